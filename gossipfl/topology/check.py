"""Refuses graphs that no experiment can run on; must not know where a graph came from, only its name."""

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.topology.names import several


def check(graph: nx.Graph, where: str) -> None:
    """Refuse a graph that is not simple and connected (strongly connected if directed), or that has no peers.

    Args:
        graph: its nodes are the peers' names.
        where: the file or shorthand that it came from, for the message.

    Raises:
        BadExperiment: the graph is refused; the message names the peers that cause it.
    """
    if graph.is_multigraph():
        raise BadExperiment(
            f"{where}: links must be single; convert the multigraph with networkx.Graph(graph)"
        )
    if not len(graph):
        raise BadExperiment(f"{where}: there are no peers; add at least one")
    if loops := list(nx.nodes_with_selfloops(graph)):
        raise BadExperiment(f"{where}: peers linked to themselves: {several(loops)}; remove these links")
    components = nx.strongly_connected_components if graph.is_directed() else nx.connected_components
    parts = sorted(components(graph), key=len, reverse=True)
    if len(parts) > 1:
        apart = set().union(*parts[1:])
        names = several([peer for peer in graph if peer in apart])
        raise BadExperiment(
            f"{where}: not strongly connected, in {len(parts)} parts; cut off from the largest: {names}; "
            "each of these must reach all others and be reached by them, directly or through others"
            if graph.is_directed()
            else f"{where}: not connected, in {len(parts)} parts; cut off from the largest: {names}; "
            "link them to the others"
        )
