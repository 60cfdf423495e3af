"""A topology as a caller has it: a shorthand, a file, a family with a number of peers, or a graph of networkx."""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.topology import FAMILIES, check, load
from gossipfl.topology.assemble import adopted
from gossipfl.topology.names import name_of
from gossipfl.topology.plan import fits

AnyTopology: TypeAlias = str | Path | nx.Graph


def graph_of(topology: AnyTopology, seed: int = 0) -> nx.Graph:
    """The checked graph, its peers in natural order.

    Args:
        topology: a graph of networkx, whose nodes are text, whole numbers or tuples of them; a shorthand or a file.
        seed: of random shorthands.

    Raises:
        BadExperiment: there is no such topology, or no experiment can run on it.

    >>> import networkx
    >>> list(graph_of(networkx.grid_2d_graph(2, 2)))
    ['0-0', '0-1', '1-0', '1-1']
    """
    if not isinstance(topology, nx.Graph):
        return load(topology, seed)
    graph = adopted(topology, "the graph")
    check(graph, "the graph")
    fits(graph, "the graph")
    return graph


def named_graph(graph: nx.Graph, names: Sequence[str]) -> nx.Graph:
    """The graph with these names of its peers, in their order; with its own ones if a name cannot be that of a peer.

    >>> list(named_graph(graph_of("ring:3"), ["oslo", "bern", "lyon"]))
    ['bern', 'lyon', 'oslo']
    """
    with suppress(ValueError, BadExperiment):
        return graph_of(nx.relabel_nodes(graph, dict(zip(graph, map(name_of, names), strict=True))))
    return graph


def shorthand(family: str, peers: int) -> str:
    """The shorthand of a family of graphs with so many peers; other parameters are those of its example.

    Raises:
        BadExperiment: the family has no graph of so many peers.

    >>> shorthand("ring", 5), shorthand("torus", 12), shorthand("regular", 10), shorthand("hypercube", 8)
    ('ring:5', 'torus:3x4', 'regular:10:4', 'hypercube:3')
    """
    if peers == 1:
        return "full:1"
    names, example = (text.split(":")[1:] for text in (FAMILIES[family].signature, FAMILIES[family].example))
    values = dict(zip(names, example, strict=True))
    if "n" in values:
        values["n"] = str(peers)
    elif "RxC" in values:
        short = next(side for side in range(math.isqrt(peers), 0, -1) if peers % side == 0)
        values["RxC"] = f"{short}x{peers // short}"
    elif "d" in values and peers == 1 << (peers.bit_length() - 1):
        values["d"] = str(peers.bit_length() - 1)
    else:
        raise BadExperiment(
            f'there is no "{family}" of {peers} peers: give a shorthand, such as {FAMILIES[family].example}, or another number'
        )
    return ":".join([family, *values.values()])
