"""How peers agree on words before they learn: the union, with rows that widen as it needs, in both engines."""

import json
from collections.abc import Sequence

import networkx as nx
import pytest
import torch
from worlds import live

from gossipfl import topology
from gossipfl.errors import NetworkError
from gossipfl.experiment.learning.agree import FIRST, LONGEST, Agree, Agreement
from gossipfl.mixing.union import to_row
from gossipfl.peer import Exchange, Peer
from gossipfl.simulator import Simulator


def agreement(graph: nx.Graph, make: Agree | None = None, widest: int = LONGEST) -> Agreement:
    def simulator(algorithm, links, mixing):
        return Simulator(algorithm, None, links, mixing)

    return Agreement(graph, topology.diameter(graph), topology.tree(graph), make or simulator, widest)


def agreed_live(graph: nx.Graph, words: Sequence[set[str]]) -> list[set[str]]:
    def act(i: int, exchange: Exchange) -> set[str]:
        def peer(algorithm, links, mixing):
            return Peer(exchange, algorithm, None, links, mixing, origin=exchange.number)

        return agreement(graph, peer).union([words[i]])

    return live("memory", graph, act)


@pytest.mark.parametrize("each", [1, 40], ids=["short", "long"])
def test_words_of_all_peers_are_found_however_many_there_are(each: int) -> None:
    graph = topology.load("line:7")
    words = [{f"level {i} {k}" for k in range(each if i else 1)} for i in range(7)]
    whole = set().union(*words)
    assert agreement(graph).union(words) == whole
    assert agreed_live(graph, words) == [whole] * 7


def test_no_words_at_all() -> None:
    graph = topology.load("ring:4")
    assert agreement(graph).union([set()] * 4) == set()


def test_messages_are_as_long_as_the_words_not_as_the_network_is_large() -> None:
    graph, words = topology.load("regular:300:4"), {f"level {k}" for k in range(100)}
    agreed = agreement(graph)
    assert agreed.union([words] * 300) == words
    assert agreed.bytes_sent / agreed.messages_sent <= 3 * len(to_row(json.dumps(word) for word in words))


def test_few_words_take_one_flood() -> None:
    agreed = agreement(topology.load("line:7"))
    assert agreed.union([{f"level {i % 2}"} for i in range(7)]) == {"level 0", "level 1"}
    assert agreed.exchanges == 6


def test_a_union_that_never_fits_is_an_error_and_no_memory_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agreed = agreement(topology.load("ring:4"))
    widths = []

    def forged(rows, width, channel):
        widths.append(width)
        return torch.full((width,), 0xFF, dtype=torch.uint8)

    monkeypatch.setattr(agreed, "_united", forged)
    with pytest.raises(NetworkError, match="classes or category levels"):
        agreed.union([{"a"}, {"b"}, {"c"}, {"d"}])
    assert max(widths) == FIRST


@pytest.mark.parametrize("longest", [300, 600])
def test_words_that_no_message_of_the_study_has_room_for_are_refused(longest: int) -> None:
    """One peer can say that its words are of any length: nobody makes room for more than a message may have."""
    agreed = agreement(topology.load("line:4"), widest=1000)
    with pytest.raises(NetworkError, match=f"longer than {500 if longest > 500 else '1,000'} bytes"):
        agreed.union([{letter * longest} for letter in "abcd"])
