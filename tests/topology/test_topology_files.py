"""Files are read as they were written; broken files are refused with a message that names them."""

import json
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from topology_graphs import SPECS, graph

from gossipfl.errors import BadExperiment
from gossipfl.topology import FORMATS, check, load, read, write
from gossipfl.topology.endpoint import local, unreachable
from gossipfl.topology.names import natural
from gossipfl.topology.public_key import PublicKey

ROOT = Path(__file__).parents[2]
FULL = [".json", ".toml", ".graphml", ".gml"]
LOOSE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

text = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12
).filter(lambda t: t.isprintable() and any(map(str.isalnum, t)))
name = text.filter(lambda t: t == t.strip() and not t.startswith(".") and "/" not in t and "\\" not in t)
number = st.floats(0, 1, exclude_min=True)
endpoints = st.builds(
    "tcp://{}:{}".format, st.from_regex(r"[a-z0-9][a-z0-9.-]*", fullmatch=True), st.integers(1, 65535)
)


@st.composite
def graphs(draw: st.DrawFn, names: st.SearchStrategy[str] = name) -> nx.Graph:
    """Connected graphs with any attributes: each peer has a link to an earlier one, and there are more links."""
    peers = sorted(draw(st.sets(names, min_size=1, max_size=6)), key=natural)
    g = nx.Graph(name=draw(text)) if draw(st.booleans()) else nx.Graph()
    places = draw(st.lists(endpoints, min_size=len(peers), max_size=len(peers), unique=True))
    parts = st.binary(min_size=32, max_size=32)
    keys = draw(st.lists(parts, min_size=2 * len(peers), max_size=2 * len(peers), unique=True))
    for i, (peer, place) in enumerate(zip(peers, places, strict=True)):
        key = str(PublicKey(*keys[2 * i : 2 * i + 2]))
        optional = {"endpoint": st.just(place), "public_key": st.just(key), "role": text}
        g.add_node(peer, **draw(st.fixed_dictionaries({}, optional=optional)))
    for i in range(1, len(peers)):
        for j in draw(st.sets(st.integers(0, i - 1), min_size=1)):
            edge = st.fixed_dictionaries({}, optional={"weight": number, "delay": number, "drop": number})
            g.add_edge(peers[j], peers[i], **draw(edge))
    while (pair := unreachable(g.nodes, g.edges)) and any(
        "public_key" in about for _, about in g.nodes.data()
    ):
        g.nodes[pair[0]]["endpoint"] = places[peers.index(pair[0])]
    return g


@pytest.mark.parametrize("suffix", FULL)
@LOOSE
@given(g=graphs(), directed=st.booleans())
def test_what_is_written_is_read(tmp_path: Path, suffix: str, g: nx.Graph, directed: bool) -> None:
    path = tmp_path / f"g{suffix}"
    g = g.to_directed() if directed else g
    write(g, path)
    back = load(path)
    assert list(back) == list(g)
    assert nx.utils.graphs_equal(back, g)
    assert back.is_directed() == directed


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_keeps_every_family(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"g{suffix}"
    for spec in SPECS:
        write(graph(spec), path)
        back = load(path)
        assert list(back) == list(graph(spec))
        assert nx.utils.graphs_equal(back, graph(spec))


@pytest.mark.parametrize("suffix", [".edgelist", ".adj"])
@LOOSE
@given(g=graphs(name.filter(lambda n: n.split() == [n] and "#" not in n)))
def test_plain_formats_keep_names_and_links(tmp_path: Path, suffix: str, g: nx.Graph) -> None:
    path = tmp_path / f"g{suffix}"
    write(g, path)
    back = load(path)
    assert list(back) == list(g)
    assert {frozenset(edge) for edge in back.edges} == {frozenset(edge) for edge in g.edges}
    if suffix == ".edgelist":
        assert dict(nx.get_edge_attributes(back, "weight")) == dict(nx.get_edge_attributes(g, "weight"))


def test_a_blank_in_a_name_is_refused_where_it_would_be_lost(tmp_path: Path) -> None:
    with pytest.raises(BadExperiment, match=r"use \.json"):
        write(nx.path_graph(["a b", "c"]), tmp_path / "g.edgelist")


def test_networkx_reads_ours_and_we_read_networkx(tmp_path: Path) -> None:
    g = graph("ba:50:2")
    for suffix, reader, writer in [
        (".graphml", nx.read_graphml, nx.write_graphml), (".gml", nx.read_gml, nx.write_gml),
        (".edgelist", nx.read_edgelist, nx.write_edgelist), (".adj", nx.read_adjlist, nx.write_adjlist),
    ]:  # fmt: skip
        write(g, tmp_path / f"ours{suffix}")
        assert reader(tmp_path / f"ours{suffix}").adj == g.adj
        writer(g, tmp_path / f"theirs{suffix}")
        assert load(tmp_path / f"theirs{suffix}").adj == g.adj
    write(g, tmp_path / "ours.json")
    assert nx.node_link_graph(json.loads((tmp_path / "ours.json").read_text())).adj == g.adj
    (tmp_path / "old.json").write_text(json.dumps(nx.node_link_data(g, edges="links")))
    assert load(tmp_path / "old.json").adj == g.adj


PIECES = {
    ".json": ["{", "}", "[", "]", ":", ",", '"nodes"', '"edges"', '"id"', '"source"', '"target"', '"weight"',
    "1", '"a"', "null", "NaN"],
    ".toml": ["[peers.a]", "[peers.b]\n", "edges = ", '[["a","b"]]', "[", "]", "{", "}", "name = ", '"a"',
    "1", "\n", ", ", "weight = ", "nan"],
    ".graphml": ["<graphml>", "</graphml>", '<graph edgedefault="undirected">', "</graph>", '<node id="a"/>',
    '<edge source="a" target="b"/>', "<!DOCTYPE a>", '<key id="k" attr.name="weight" attr.type="int"/>',
    '<data key="k">x</data>', "&a;"],
    ".gml": ["graph ", "[", "]", "node ", "edge ", "id ", "label ", "source ", "target ", "1 ", "0 ", '"a" ',
    '"', "\n", "directed ", "NAN ", "1e999 ", "."],
    ".edgelist": ["a ", "b ", "1 ", "nan ", "-1 ", "#", "\n", "{} ", "{'weight': 1}"],
    ".edges": ["a ", "b ", "\n"],
    ".adj": ["a ", "b ", "c ", "#", "\n"],
    ".g6": [">>graph6<<", "?", "@", "A_", "~", "~~", "\n", "B", "w"],
}  # fmt: skip


def graph_or_sentence(path: Path) -> bool:
    try:
        return all(isinstance(peer, str) for peer in read(path))
    except BadExperiment as refused:
        return str(path) in str(refused)


@pytest.mark.parametrize("suffix", FORMATS)
@settings(LOOSE, max_examples=100)
@given(data=st.data())
def test_hostile_bytes_give_a_graph_or_a_sentence(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    pieces = st.lists(st.sampled_from(PIECES[suffix]), max_size=25).map(lambda parts: "".join(parts).encode())
    path = tmp_path / f"g{suffix}"
    path.write_bytes(data.draw(st.binary(max_size=60) | pieces))
    assert graph_or_sentence(path)


@pytest.mark.parametrize("suffix", FORMATS)
@settings(LOOSE, max_examples=60)
@given(data=st.data())
def test_a_damaged_file_gives_a_graph_or_a_sentence(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    path = tmp_path / f"g{suffix}"
    write(graph("ring:5"), path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=3))
    path.write_bytes(content)
    assert graph_or_sentence(path)


BOMB = '<!DOCTYPE a [<!ENTITY b "bb">]><graphml><graph>&b;</graph></graphml>'
GRAPHML = (
    '<graphml><key id="k" attr.name="weight" attr.type="{}"/><graph edgedefault="{}">'
    '<node id="a"/><node id="b"/><edge source="a" target="b"><data key="{}">{}</data></edge>'
    "</graph></graphml>"
)
THREE = (
    '<graphml><graph edgedefault="{}"><node id="a"/><node id="b"/><node id="c"/><edge source="a" target="b" directed="{}"/>'
    '<edge source="b" target="c" directed="{}"/><edge source="c" target="a" directed="{}"/></graph></graphml>'
)
BROKEN = [
    (".json", "{", "cannot be read"), (".json", "[]", "must be a table"), (".json", "[" * 100_000, "nested"),
    (".json", '{"nodes": 1, "edges": []}', '"nodes" must be a list'), (".json", '{"nodes": []}', '"edges"'),
    (".json", '{"nodes": [], "edges": []}', "no peers"), (".json", '{"nodes": [{}], "edges": []}',
    "nodes must"),
    (".json", '{"nodes": [{"id": "a"}], "edges": [{"source": "a"}]}', "edges must"),
    (".json", '{"nodes": [{"id": 1.5}], "edges": []}', "not a valid peer name"),
    (".json", '{"nodes": [{"id": "../a"}], "edges": []}', "not a valid peer name"),
    (".json", '{"nodes": [{"id": ""}], "edges": []}', "not a valid peer name"),
    (".json", '{"nodes": [{"id": 1}, {"id": "1"}], "edges": []}', "listed twice"),
    (".json", '{"directed": true, "nodes": [{"id": 1}, {"id": 2}], "edges": [{"source": 1, "target": 2}]}',
    "not strongly connected, in 2 parts"),
    (".json", '{"multigraph": true, "nodes": [], "edges": []}', "single"),
    (".toml", 'directed = 1\nedges = []\n[peers.a]', "true or false"),
    (".toml", 'schedule = 1\nedges = []\n[peers.a]', "schedule must be printable text"),
    (".json", '{"graph": {"name": 3}, "nodes": [], "edges": []}', "name must be printable text"),
    (".toml", "edges = [", "cannot be read"), (".toml", "peer = 1", '"peer" is not a key'), (".toml",
    "peers = 1", "peers"),
    (".toml", 'edges = [["a", "b"]]', "peers"), (".toml", 'edges = ["ab"]\n[peers.a]', '"one", "other"'),
    (".toml", 'edges = [["a", "huh"]]\n[peers.a]\n[peers.hub]', 'did you mean "hub"'),
    (".toml", 'edges = [["a", "a"]]\n[peers.a]', "linked to itself"),
    (".toml", 'edges = [["a", "b"], ["b", "a"]]\n[peers.a]\n[peers.b]', "listed twice"),
    (".toml", 'edges = [["a", "b", {weight = inf}]]\n[peers.a]\n[peers.b]', "weight must be a finite number"),
    (".toml", 'edges = [["a", "b", {weight = true}]]\n[peers.a]\n[peers.b]', "weight must be"),
    (".toml", 'edges = [["a", "b", {weight = nan}]]\n[peers.a]\n[peers.b]', "weight must be"),
    (".toml", 'edges = [["a", "b", {drop = 1.5}]]\n[peers.a]\n[peers.b]', "drop must be a probability"),
    (".toml", 'edges = [["a", "b", {delay = "1"}]]\n[peers.a]\n[peers.b]', "delay must be"),
    (".toml", 'edges = [["a", "b", {wieght = 1}]]\n[peers.a]\n[peers.b]', 'did you mean "weight"'),
    (".toml", 'edges = [["a", "b", 1]]\n[peers.a]\n[peers.b]', "must be a table"),
    (".toml", "[peers.a]\nendpoint = 5", "endpoint must be printable text"),
    (".toml", '[peers.a]\nendpoint = "host:5501"', 'peer "a": endpoint host:5501 is not an endpoint: write tcp://'),
    (".toml", '[peers.a]\nendpoint = "tcp://h:99999"', "with a port from 1 to 65535"),
    (".toml", '[peers.a]\nendpoint = "tcp://h:0"', "with a port from 1 to 65535"),
    (".toml", '[peers.a]\nendpoint = "tcp://h:*"', "not *"), (".toml", '[peers.a]\nendpoint = "tcp://*:1"', "not *"),
    (".toml", '[peers.a]\nendpoint = "tcp://0.0.0.0:1"', "others cannot connect to it"),
    (".toml", '[peers.a]\nendpoint = "tcp://[::]:1"', "others cannot connect to it"),
    (".toml", '[peers.a]\nendpoint = "tcp://[::1:1"', "not an endpoint"),
    (".toml", '[peers.a]\nendpoint = "tcp://[:::1]:1"', "not an endpoint"),
    (".toml", '[peers.a]\nendpoint = "tcp://a b:1"', "not an endpoint"),
    (".toml", f'[peers.a]\nendpoint = "ipc://{"x" * 108}"', "of at most 107 bytes"),
    (".toml", 'edges = [["a", "b"]]\n[peers]\na.endpoint = "tcp://h:1"\nb.endpoint = "tcp://h:1"',
    "a and b cannot both listen on tcp://h:1: give each its own"),
    (".json", '{"nodes": [{"id": 1, "endpoint": "tcp:/h:1"}], "edges": []}', 'peer "1": endpoint tcp:/h:1 is not'),
    (".toml", '[peers.a]\nendpiont = "x"', 'did you mean "endpoint"'),
    (".toml", "[peers.a]\n[peers.b]", "cut off from the largest: b"),
    (".graphml", "<graphml>", "cannot be read"), (".graphml", BOMB, "DOCTYPE"), (".graphml", "<graphml/>",
    "<graph"),
    (".graphml", GRAPHML.format("double", "directed", "k", 1), "not strongly connected, in 2 parts"),
    (".graphml", GRAPHML.format("double", "undirected", "j", 1), "refers to an unknown <key>: j"),
    (".graphml", GRAPHML.format("double", "undirected", "k", "x"), "x"),
    (".graphml", GRAPHML.format("double", "undirected", "k", "NaN"), "finite"),
    (".graphml", GRAPHML.format("string", "undirected", "k", 1), "weight must be"),
    (".graphml", THREE.format("undirected", "true", "false", "true"), '"b" - "c" is not directed and others are directed'),
    (".graphml", THREE.format("directed", "true", "true", "false"), '"c" - "a" is not directed'),
    (".graphml", THREE.format("undirected", "0", "1", "0"), '"b" - "c" is directed and others are not'),
    (".graphml", '<graphml><graph><node id="a"><graph/></node></graph></graphml>', "a graph in a node"),
    (".graphml", "<graphml><graph/><graph/></graphml>", "several graphs"),
    (".graphml", '<graphml><graph><node id="a"/><hyperedge/></graph></graphml>', "hyperedge"),
    (".gml", "graph [", "cannot be read"), (".gml", "graph [ directed 1 ]", "no peers"),
    (".gml", "graph [ multigraph 1 ]", "single"),
    (".gml", "graph [ node [ id 1 ] edge [ source 1 target 2 ] ]", "undefined target"),
    (".edgelist", "a b c d", "PEER PEER"), (".edgelist", "a b x", "to float"), (".edgelist", "a b\nb a",
    "twice"),
    (".edgelist", "a b nan", "finite"), (".edgelist", "", "no peers"), (".edgelist", "a a", "itself"),
    (".edgelist", "a b\nc d", "not connected, in 2 parts"), (".adj", "a b b", "twice"), (".adj", "a a",
    "itself"),
    (".g6", "", "one line"), (".g6", "A_\nA_", "one line"), (".g6", "~~~~~~~~", "bits"), (".g6", "A\xff",
    "one line"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "content", "words"), BROKEN)
def test_a_broken_file_is_refused_by_name_and_reason(
    tmp_path: Path, suffix: str, content: str, words: str
) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_text(content)
    with pytest.raises(BadExperiment) as refused:
        load(path)
    assert str(path) in str(refused.value)
    assert words in str(refused.value)


def test_a_missing_file_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    write(graph("ring:3"), tmp_path / "hospitals.json")
    with pytest.raises(BadExperiment, match=r"did you mean .*hospitals\.json"):
        load(tmp_path / "hospitls.json")
    with pytest.raises(BadExperiment, match="ring:16"):
        load(tmp_path / "nowhere" / "x.toml")
    with pytest.raises(BadExperiment, match="cannot read"):
        load("a\0b.json")
    with pytest.raises(BadExperiment, match="cannot write"):
        write(graph("ring:3"), tmp_path / "nowhere" / "x.json")
    (tmp_path / "g.yaml").write_text("")
    with pytest.raises(BadExperiment, match=r'"\.yaml" is not a topology format; use one of \.json'):
        load(tmp_path / "g.yaml")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (nx.Graph(), "no peers"), (nx.DiGraph([("a", "b")]), "largest: [ab];.*reach all others"), (nx.MultiGraph([("a", "b")]),
        "single"),
        (nx.Graph([("a", "a"), ("a", "b")]), "linked to themselves: a"),
        (nx.Graph([("a", "b"), ("c", "d"), ("b", "e")]), "largest: c, d;"),
        (nx.empty_graph([str(i) for i in range(20)]), "8 and 11 more"),
    ],
)  # fmt: skip
def test_check_names_those_to_blame(bad: nx.Graph, words: str) -> None:
    with pytest.raises(BadExperiment, match=f"here: .*{words}"):
        check(bad, "here")


def test_peers_are_in_natural_order(tmp_path: Path) -> None:
    (tmp_path / "g.edgelist").write_text("10 9\n9 a10\na10 a2\na2 2\n2 01\n01 1\n")
    assert list(load(tmp_path / "g.edgelist")) == ["01", "1", "2", "9", "10", "a2", "a10"]


@given(st.lists(text, max_size=6))
@example(["9" * 5000, "1"])
def test_natural_order_is_total_and_knows_numbers(names: list[str]) -> None:
    assert len({natural(name) for name in names}) == len(set(names))
    assert natural("x9y") < natural("x10y")


@pytest.mark.parametrize("path", sorted((ROOT / "topologies").glob("*.[!m]*")), ids=lambda path: path.name)
def test_every_file_we_ship_loads(path: Path) -> None:
    assert len(load(path)) >= 4
    assert f"`{path.name}`" in (ROOT / "topologies" / "README.md").read_text()


def test_of_two_neighbours_one_must_have_an_endpoint_where_peers_have_keys(tmp_path: Path) -> None:
    keys = [str(PublicKey(bytes([k]) * 32, bytes([9 - k]) * 32)) for k in range(3)]
    tables = [f'[peers.{name}]\npublic_key = "{key}"\n' for name, key in zip("abc", keys, strict=True)]
    file = tmp_path / "sites.toml"
    file.write_text('edges = [["a", "b"], ["b", "c"], ["c", "a"]]\n' + "".join(tables))
    assert len(load(file)) == 3, "keys may be there before endpoints"
    file.write_text(file.read_text().replace("[peers.a]", '[peers.a]\nendpoint = "tcp://h:1"'))
    with pytest.raises(BadExperiment, match=r"b and c are neighbours and neither has an endpoint.*give one"):
        load(file)


def test_the_hospitals_are_named_and_have_endpoints() -> None:
    g = load(ROOT / "topologies" / "hospitals.toml")
    assert list(g) == ["cleveland", "hungary", "switzerland", "va"]
    assert all(endpoint.startswith("tcp://127.0.0.1:55") for _, endpoint in g.nodes(data="endpoint"))


@pytest.mark.parametrize("default", ["directed", "undirected"])
@pytest.mark.parametrize("way", ["true", "false", "1", "0"])
def test_the_edges_of_graphml_say_themselves_whether_they_are_directed(
    tmp_path: Path, default: str, way: str
) -> None:
    path = tmp_path / "g.graphml"
    path.write_text(THREE.format(default, way, way, way))
    assert load(path).is_directed() == (way in ("true", "1"))


@pytest.mark.parametrize(
    ("place", "here"),
    [
        ("ipc:///run/a", True), ("tcp://127.0.0.1:5501", True), ("tcp://127.9.8.7:5501", True), ("tcp://localhost:5501", True),
        ("tcp://[::1]:5501", True), ("tcp://127.evil.example.org:5501", False), ("tcp://127.0.0.1.example.org:5501", False),
        ("tcp://127.0.0:5501", False), ("tcp://localhost.example.org:5501", False), ("tcp://192.0.2.1:5501", False),
        ("tcp://[::2]:5501", False), ("", False),
    ],
)  # fmt: skip
def test_only_addresses_of_this_machine_are_local(place: str, here: bool) -> None:
    """Open links are allowed there: a name that begins like such an address is none."""
    assert local(place) is here
