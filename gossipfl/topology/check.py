"""Refuses graphs that no study can run on; must not know where a graph came from, only what to call it."""

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.topology.names import several


def check(graph: nx.Graph, where: str) -> None:
    """Refuse what is not a simple, undirected, connected graph of at least one peer.

    Args:
        graph: its nodes are the peers' names.
        where: the file or shorthand it came from, for the message.

    Raises:
        BadExperiment: naming the peers that are to blame.
    """
    if graph.is_directed() or graph.is_multigraph():
        raise BadExperiment(
            f"{where}: links must be undirected and single; convert with networkx.Graph(graph)"
        )
    if not len(graph):
        raise BadExperiment(f"{where}: there is no peer in it; name at least one")
    if loops := list(nx.nodes_with_selfloops(graph)):
        raise BadExperiment(f"{where}: linked to itself: {several(loops)}; remove these links")
    parts = sorted(nx.connected_components(graph), key=len, reverse=True)
    if len(parts) > 1:
        apart = set().union(*parts[1:])
        names = several([peer for peer in graph if peer in apart])
        raise BadExperiment(
            f"{where}: disconnected, in {len(parts)} parts; cut off from the largest: {names}; "
            "link them to the others"
        )
