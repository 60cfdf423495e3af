"""Refuses graphs that no study can run on; must not know where a graph came from, only what to call it."""

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.topology.names import several


def check(graph: nx.Graph, where: str) -> None:
    """Refuse what is not a simple, connected graph of at least one peer; strongly connected, if it is directed.

    Args:
        graph: its nodes are the peers' names.
        where: the file or shorthand it came from, for the message.

    Raises:
        BadExperiment: naming the peers that are to blame.
    """
    if graph.is_multigraph():
        raise BadExperiment(f"{where}: links must be single; convert with networkx.Graph(graph)")
    if not len(graph):
        raise BadExperiment(f"{where}: there is no peer in it; name at least one")
    if loops := list(nx.nodes_with_selfloops(graph)):
        raise BadExperiment(f"{where}: linked to itself: {several(loops)}; remove these links")
    components = nx.strongly_connected_components if graph.is_directed() else nx.connected_components
    parts = sorted(components(graph), key=len, reverse=True)
    if len(parts) > 1:
        apart = set().union(*parts[1:])
        names = several([peer for peer in graph if peer in apart])
        raise BadExperiment(
            f"{where}: no way there and back between {len(parts)} parts; cut off from the largest: {names}; "
            "let each both send to and hear from the others, at least through others"
            if graph.is_directed()
            else f"{where}: disconnected, in {len(parts)} parts; cut off from the largest: {names}; "
            "link them to the others"
        )
