"""The text of each topology format, to and from lists of peers and links; must not know paths or check lists.

Each `parse` takes a file's bytes and raises ValueError, or any error of the library that it calls. Each `dump` takes a graph
of `assemble`.
"""

import json
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import networkx as nx
import tomli_w

from gossipfl.topology.assemble import Listed


class Format(NamedTuple):
    """One format; `strict` if people write it by hand, so that a mistyped attribute is refused."""

    parse: Callable[[bytes], Listed]
    dump: Callable[[nx.Graph], bytes]
    strict: bool = False
    whole: bool = False  # holds all that `assemble` gives: directed graphs and schedules too


def _table(value: Any, what: str, kind: type = dict) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{what} must be {'a table' if kind is dict else 'a list'}")
    return value


# .json: networkx's node-link form; networkx before 3.6 writes `links` instead of `edges`


def _parse_json(content: bytes) -> Listed:
    data = _table(json.loads(content.decode("utf-8-sig")), "the whole file")
    if data.get("multigraph"):
        raise ValueError("links must be single: set multigraph to false")
    nodes = _table(data.get("nodes"), '"nodes"', list)
    edges = _table(data.get("edges", data.get("links")), '"edges"', list)
    for item, keys in [
        *((node, {"id"}) for node in nodes),
        *((edge, {"source", "target"}) for edge in edges),
    ]:
        if not isinstance(item, dict) or not keys <= item.keys():
            raise ValueError(
                f"each of its {'nodes' if 'id' in keys else 'edges'} must be a table with {sorted(keys)}"
            )
    return Listed(
        _table(data.get("graph", {}), '"graph"'),
        [(node["id"], node) for node in nodes],
        [(edge["source"], edge["target"], edge) for edge in edges],
        bool(data.get("directed")),
    )


def _dump_json(graph: nx.Graph) -> bytes:
    nodes = [{"id": peer, **attributes} for peer, attributes in graph.nodes.items()]
    edges = [{"source": u, "target": v, **attributes} for (u, v), attributes in graph.edges.items()]
    lists = (",\n    ".join(json.dumps(item) for item in items) for items in (nodes, edges))
    directed = json.dumps(graph.is_directed())
    head = f'"directed": {directed}, "multigraph": false, "graph": {json.dumps(graph.graph)}'
    return '{{{},\n  "nodes": [\n    {}\n  ],\n  "edges": [\n    {}\n  ]}}\n'.format(head, *lists).encode()


# .toml, by hand: name, edges = [["a", "b"], ["b", "c", { weight = 0.3 }]], and [peers.a] for each peer;
# directed = true if ["a", "b"] only means that a sends to b


def _parse_toml(content: bytes) -> Listed:
    data = tomllib.loads(content.decode("utf-8-sig"))
    known = ("name", "schedule", "directed", "edges", "peers")
    if unknown := data.keys() - {*known}:
        raise ValueError(f'"{min(unknown)}" is not a key of a topology; use one of {", ".join(known)}')
    directed = data.get("directed", False)
    if not isinstance(directed, bool):
        raise ValueError('"directed" must be true or false')
    edges = _table(data.get("edges", []), '"edges"', list)
    for edge in edges:
        if not isinstance(edge, list) or len(edge) not in (2, 3):
            raise ValueError('each of "edges" must be ["one", "other"] or ["one", "other", { weight = 0.5 }]')
    return Listed(
        {key: data[key] for key in ("name", "schedule") if key in data},
        _table(data.get("peers"), '"peers" (one [peers.NAME] for each)').items(),
        [(edge[0], edge[1], edge[2] if len(edge) == 3 else {}) for edge in edges],
        directed,
    )


def _dump_toml(graph: nx.Graph) -> bytes:
    edges = [[u, v, attributes] if attributes else [u, v] for (u, v), attributes in graph.edges.items()]
    about = {**graph.graph, "directed": True} if graph.is_directed() else graph.graph
    return tomli_w.dumps({**about, "edges": edges, "peers": dict(graph.nodes.items())}).encode()


# .graphml: read here, not by networkx, which follows all extensions that it finds


def _parse_graphml(content: bytes) -> Listed:
    text = content.decode("utf-8-sig")
    if "<!DOCTYPE" in text:
        raise ValueError("it declares a DOCTYPE, which a graph does not need; remove it")
    root = ET.fromstring(text)
    keys = {key.get("id"): key for key in root.iterfind("{*}key")}
    graph = root.find("{*}graph")
    if len(root.findall(".//{*}graph")) > 1 or root.find(".//{*}hyperedge") is not None:
        raise ValueError("it has several graphs, a graph in a node, or a hyperedge; write one plain graph")
    if graph is None:
        raise ValueError(
            'it has no <graph>: add <graph edgedefault="undirected"> or <graph edgedefault="directed">'
        )

    def attributes(element: ET.Element) -> Iterator[tuple[str, Any]]:
        for data in element.iterfind("{*}data"):
            key = keys.get(data.get("key"))
            if key is None:
                raise ValueError(f"a <data> refers to an unknown <key>: {data.get('key')}")
            number = key.get("attr.type") in ("int", "long", "float", "double")
            yield str(key.get("attr.name")), float(data.text or "") if number else data.text or ""

    edges, default = list(graph.iterfind("{*}edge")), str(graph.get("edgedefault") == "directed").lower()
    ways = [edge.get("directed", default) in ("true", "1") for edge in edges]
    if len(set(ways)) > 1:
        odd = edges[ways.index(not ways[0])]
        raise ValueError(
            f'the edge "{odd.get("source")}" - "{odd.get("target")}" is {"" if not ways[0] else "not "}directed and others are '
            f"{'not' if not ways[0] else 'directed'}; make all alike (two directed edges are one that leads both ways)"
        )
    return Listed(
        dict(attributes(graph)),
        [(node.get("id"), dict(attributes(node))) for node in graph.iterfind("{*}node")],
        [(edge.get("source"), edge.get("target"), dict(attributes(edge))) for edge in edges],
        ways[0] if ways else default == "true",
    )


def _dump_graphml(graph: nx.Graph) -> bytes:
    return "\n".join([*nx.generate_graphml(graph), ""]).encode()


# .gml


def _parse_gml(content: bytes) -> Listed:
    graph = nx.parse_gml(content.decode("utf-8-sig"), label=None)
    if graph.is_multigraph():
        raise ValueError("links must be single: set multigraph to 0")
    name = {number: attributes.get("label", number) for number, attributes in graph.nodes.items()}
    return Listed(
        graph.graph,
        [(name[number], attributes) for number, attributes in graph.nodes.items()],
        [(name[u], name[v], attributes) for (u, v), attributes in graph.edges.items()],
        graph.is_directed(),
    )


def _dump_gml(graph: nx.Graph) -> bytes:
    return "\n".join([*nx.generate_gml(graph), ""]).encode()


# .edgelist, .edges: "one other" or "one other weight" on each line; .adj: "one other another ..."


def _lines(content: bytes) -> Iterator[list[str]]:
    for line in content.decode("utf-8-sig").splitlines():
        if words := line.partition("#")[0].split():
            yield words


def _parse_edges(content: bytes) -> Listed:
    peers: dict[str, dict[str, Any]] = {}
    links: list[tuple[str, str, dict[str, Any]]] = []
    for words in _lines(content):
        peers |= {peer: {} for peer in words[:2]}
        if len(words) > 3:
            raise ValueError(f'"{" ".join(words)[:40]}" is not "PEER PEER" or "PEER PEER WEIGHT"')
        if words[1:]:
            weight = {"weight": float(words[2])} if words[2:] not in ([], ["{}"]) else {}
            links.append((words[0], words[1], weight))
    return Listed({}, peers.items(), links)


def _dump_edges(graph: nx.Graph) -> bytes:
    lines = [_plain(peer) for peer in graph if not graph.degree[peer]]
    for u, v, weight in graph.edges(data="weight"):
        lines.append(f"{_plain(u)} {_plain(v)}" + ("" if weight is None else f" {weight!r}"))
    return "\n".join([*lines, ""]).encode()


def _parse_adjacency(content: bytes) -> Listed:
    peers: dict[str, dict[str, Any]] = {}
    links: dict[tuple[str, str], dict[str, Any]] = {}
    for one, *others in _lines(content):
        peers |= {peer: {} for peer in (one, *others)}
        if len(set(others)) < len(others):
            raise ValueError(f'peer "{one}" has the same neighbour twice; keep one')
        links |= {(one, other): {} for other in others if (other, one) not in links or other == one}
    return Listed({}, peers.items(), [(*link, {}) for link in links])


def _dump_adjacency(graph: nx.Graph) -> bytes:
    return "\n".join([*(" ".join(map(_plain, [peer, *graph[peer]])) for peer in graph), ""]).encode()


def _plain(name: str) -> str:
    if "#" in name or name.split() != [name]:
        raise ValueError(
            f'the peer "{name}" has a blank or # in its name, which this format cannot hold; use .json'
        )
    return name


# .g6


def _parse_g6(content: bytes) -> Listed:
    line = content.strip().removeprefix(b">>graph6<<")
    if not line or min(line) < 63 or max(line) > 126:
        raise ValueError("it must be one line of the characters ? to ~")
    graph = nx.from_graph6_bytes(line)
    return Listed({}, [(peer, {}) for peer in graph], [(u, v, {}) for u, v in graph.edges])


def _dump_g6(graph: nx.Graph) -> bytes:
    return bytes(nx.to_graph6_bytes(nx.convert_node_labels_to_integers(graph)))


FORMATS: dict[str, Format] = {
    ".json": Format(_parse_json, _dump_json, whole=True),
    ".toml": Format(_parse_toml, _dump_toml, strict=True, whole=True),
    ".graphml": Format(_parse_graphml, _dump_graphml, whole=True),
    ".gml": Format(_parse_gml, _dump_gml, whole=True),
    ".edgelist": Format(_parse_edges, _dump_edges),
    ".edges": Format(_parse_edges, _dump_edges),
    ".adj": Format(_parse_adjacency, _dump_adjacency),
    ".g6": Format(_parse_g6, _dump_g6),
}
