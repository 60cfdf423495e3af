"""Builds a graph from the peers and links that a file lists, or reports what is wrong; must not know its format."""

import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.topology.endpoint import apart, dialled, endpoint
from gossipfl.topology.names import name_of, natural
from gossipfl.topology.public_key import distinct, public_keys, written


class Listed(NamedTuple):
    """The content of a file, not yet checked. Peers that only a link names are not added."""

    about: Mapping[str, Any]  # the graph's own attributes
    peers: Iterable[tuple[Any, Mapping[str, Any]]]
    links: Iterable[tuple[Any, Any, Mapping[str, Any]]]
    directed: bool = False  # a link goes from the first peer to the second only


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or not any(map(str.isalnum, value)):
        raise ValueError("must be printable text with a letter or digit")
    return value


def _number(allowed: Callable[[float], bool], sentence: str) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not allowed(value):
            raise ValueError(sentence)
        return float(value)

    return convert


GRAPH: dict[str, Callable[[Any], Any]] = {"name": _text, "schedule": _text}
PEER: dict[str, Callable[[Any], Any]] = {
    "endpoint": lambda value: endpoint(_text(value)),
    "public_key": lambda value: written(public_keys(_text(value))),
    "role": _text,
}
LINK: dict[str, Callable[[Any], Any]] = {
    "weight": _number(math.isfinite, "must be a finite number"),
    "delay": _number(lambda value: 0 <= value < math.inf, "must be a number of seconds, 0 or above"),
    "drop": _number(lambda value: 0 <= value <= 1, "must be a probability, from 0 to 1"),
}


def assemble(listed: Listed, strict: bool = False) -> nx.Graph:
    """The graph, with peers in natural order, sorted links, and the attributes of `GRAPH`, `PEER` and `LINK`.

    Args:
        listed: the content of the file.
        strict: refuse other attributes (files written by hand) instead of leaving them out (files of other programs).

    Raises:
        ValueError: an invalid name, a peer, link or endpoint that is listed twice, an unknown neighbour, a self-loop, or
            an attribute of the wrong type or sign; the message is the second half of a sentence.
    """
    peers: dict[str, dict[str, Any]] = {}
    for value, attributes in listed.peers:
        peer = name_of(value)
        if peer in peers:
            raise ValueError(f'peer "{peer}" is listed twice; keep one')
        peers[peer] = _convert(attributes, PEER, f'peer "{peer}"', strict)
    apart(peers)
    distinct(peers)
    links: dict[tuple[str, str], dict[str, Any]] = {}
    for one, other, attributes in listed.links:
        u, v = name_of(one), name_of(other)
        if not listed.directed:
            u, v = sorted((u, v), key=natural)
        for peer in (u, v):
            if peer not in peers:
                raise ValueError(f'link "{u}" - "{v}": there is no peer "{peer}"{_hint(peer, peers)}')
        if u == v:
            raise ValueError(f'peer "{u}" is linked to itself; remove that link')
        if (u, v) in links:
            raise ValueError(f'the link "{u}" - "{v}" is listed twice; keep one')
        links[u, v] = _convert(attributes, LINK, f'link "{u}" - "{v}"', strict)
    dialled(peers, links)
    about = _convert(
        {key: value for key, value in listed.about.items() if value != ""}, GRAPH, "the graph", strict
    )
    graph = nx.DiGraph(**about) if listed.directed else nx.Graph(**about)
    graph.add_nodes_from((peer, peers[peer]) for peer in sorted(peers, key=natural))
    order = {peer: i for i, peer in enumerate(graph)}
    graph.add_edges_from(
        (u, v, links[u, v]) for u, v in sorted(links, key=lambda link: [order[end] for end in link])
    )
    return graph


def adopted(graph: nx.Graph, where: str) -> nx.Graph:
    """A graph of networkx as a topology, as `assemble` makes it. Its nodes are text, whole numbers, or tuples of them.

    Raises:
        BadExperiment: it cannot be one; `where` begins the message.
    """
    if graph.is_multigraph():
        raise BadExperiment(
            f"{where}: links must be single; convert the multigraph with networkx.Graph(graph)"
        )

    def name(node: object) -> object:
        return "-".join(map(str, node)) if isinstance(node, tuple) else node

    links = [(name(u), name(v), about) for u, v, about in graph.edges(data=True)]
    peers = [(name(node), about) for node, about in graph.nodes(data=True)]
    about = {key: value for key, value in graph.graph.items() if key == "schedule"}
    try:
        return assemble(Listed(about, peers, links, graph.is_directed()))
    except ValueError as why:
        raise BadExperiment(f"{where}: {why}") from None


def _convert(
    attributes: Any, known: dict[str, Callable[[Any], Any]], owner: str, strict: bool
) -> dict[str, Any]:
    if not isinstance(attributes, Mapping):
        raise ValueError(f"{owner}: its attributes must be a table")
    if strict and (unknown := [key for key in attributes if key not in known]):
        raise ValueError(
            f'{owner} has no attribute "{unknown[0]}"{_hint(unknown[0], known)}; known: {", ".join(known)}'
        )
    converted = {}
    for key in known.keys() & attributes.keys():
        try:
            converted[key] = known[key](attributes[key])
        except ValueError as why:
            raise ValueError(f"{owner}: {key} {why}") from None
    return {key: converted[key] for key in known if key in converted}


def _hint(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
