"""Which public keys a topology may name, and the words that people compare."""

import networkx as nx
import pytest

from gossipfl.errors import BadExperiment
from gossipfl.topology import load, write
from gossipfl.topology.phrase import phrase
from gossipfl.topology.public_key import PublicKey, public_keys, written


def key(number, other=None):
    return PublicKey(bytes([number] * 32), bytes([number + 100 if other is None else other] * 32))


def three(**keys):
    graph = nx.path_graph(["oslo", "rome", "wien"])
    for i, peer in enumerate(graph):
        graph.nodes[peer]["endpoint"] = f"tcp://127.0.0.1:{7000 + i}"
        graph.nodes[peer]["public_key"] = keys.get(peer, str(key(i)))
    return graph


def test_what_is_written_is_read():
    both = key(1), key(2)
    assert public_keys(written(both)) == both


@pytest.mark.parametrize(
    "wrong",
    ["", "hello", "a.b", str(key(1))[:-1], str(key(1)) + "A", str(key(1)).replace(".", ":"), f"{key(1)}  {key(2)}",
     f"{key(1)} {key(1)}", f"{key(1)} {key(2)} {key(3)}", str(key(1))[:-1] + "1"],
)  # fmt: skip
def test_anything_else_is_refused(wrong):
    with pytest.raises(ValueError, match=r"is not a public key|has one key"):
        public_keys(wrong)


@pytest.mark.parametrize("rome", [key(0), key(0, 50), key(50, 100)])
def test_no_two_peers_share_a_key_of_either_kind(rome, tmp_path):
    graph = three()
    path = tmp_path / "three.json"
    write(graph, path)
    path.write_text(path.read_text().replace(str(key(1)), str(rome)))
    with pytest.raises(BadExperiment, match="oslo and rome have the same public key"):
        load(path)


@pytest.mark.parametrize("suffix", [".toml", ".json", ".graphml", ".gml"])
def test_the_phrase_is_the_same_in_every_format(suffix, tmp_path):
    write(three(), tmp_path / f"g{suffix}")
    words = phrase(load(tmp_path / f"g{suffix}"))
    assert words == phrase(three())
    assert len(words.split()) == 8


def test_the_phrase_changes_with_names_links_keys_and_endpoints():
    other_key = three(rome=str(key(9)))
    moved = three()
    moved.nodes["rome"]["endpoint"] = "tcp://127.0.0.1:7100"
    renamed = nx.relabel_nodes(three(), {"rome": "roma"})
    closed = three()
    closed.add_edge("oslo", "wien")
    weighted = three()
    weighted.edges["oslo", "rome"]["weight"] = 0.25
    found = [phrase(g) for g in (three(), other_key, moved, renamed, closed, weighted, three().to_directed())]
    assert len(set(found)) == len(found)
