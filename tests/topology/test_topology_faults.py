"""Faults as links, compared with a replay of the events round by round; and refused faults."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from topology_graphs import graph, pairs

from gossipfl.errors import BadExperiment
from gossipfl.topology import WEIGHTS, Fault, afflicted, churn, every, lossy, static

N, ROUNDS = 8, 14
LINKS = WEIGHTS["metropolis"](graph("torus:2x4"))
WHOLE = static(LINKS)


class Replay:
    """Each peer's life, round by round."""

    def __init__(self) -> None:
        self.gone: dict[int, int] = {}  # who is away, and since which round
        self.returns: set[int] = set()  # peers that are back in the next round
        self.forgetting: set[int] = set()  # of these
        self.cuts: set[frozenset[int]] = set()
        self.told: list[tuple[set[int], set[int], set[frozenset[int]]]] = []  # away, of these forgetting, cut

    def play(self, faults: list[Fault]) -> None:
        for round in range(ROUNDS):
            for peer in self.returns:
                self.gone.pop(peer)
            self.returns = set()
            for fault in (f for f in faults if f.round == round):
                self.strike(fault)
            self.told.append(({*self.gone}, self.returns & self.forgetting, {*self.cuts}))

    def strike(self, fault: Fault) -> None:
        peers = frozenset(fault.peers)
        for peer in peers if fault.do in ("kill", "stop") else ():
            self.gone.setdefault(peer, fault.round)
        for peer in peers & {*self.gone} if fault.do == "continue" else ():
            self.gone.pop(peer)
        for peer in peers if fault.do == "restart" else ():
            since = self.gone.setdefault(peer, fault.round)
            if since == fault.round:
                self.returns.add(peer)
                self.forgetting = self.forgetting | {peer} if fault.fresh else self.forgetting - {peer}
            else:
                self.gone.pop(peer)
                for k in range(since, fault.round) if fault.fresh else ():
                    self.told[k][1].add(peer)
        if fault.do == "cut":
            self.cuts |= {peers}
        elif fault.do == "heal":
            self.cuts -= {peers} if peers else self.cuts


@st.composite
def scripts(draw: st.DrawFn) -> list[Fault]:
    """Possible events, at most one for a peer in a round; killed peers are not continued, and only cuts are healed."""
    faults: list[Fault] = []
    killed: set[int] = set()
    cuts: list[tuple[int, ...]] = []
    for round in range(ROUNDS):
        for peer in draw(st.sets(st.integers(0, N - 1), max_size=2)):
            do = draw(st.sampled_from(["kill", "stop", "continue", "restart"]))
            do = "restart" if do == "continue" and peer in killed else do
            killed = killed | {peer} if do == "kill" else killed - {peer} if do == "restart" else killed
            faults.append(Fault(round, do, (peer,), fresh=do == "restart" and draw(st.booleans())))
        if draw(st.integers(0, 5)) == 0 and len(cuts) < 3:
            cuts.append(tuple(sorted(draw(st.sets(st.integers(0, N - 1), min_size=1, max_size=4)))))
            faults.append(Fault(round, "cut", cuts[-1]))
        elif cuts and draw(st.integers(0, 5)) == 0:
            healed = draw(st.sampled_from([*cuts, ()]))
            cuts = [cut for cut in cuts if healed and cut != healed]
            faults.append(Fault(round, "heal", healed))
    return faults


@given(scripts())
@settings(max_examples=60)
def test_links_are_what_a_replay_comes_to(faults: list[Fault]) -> None:
    topology, replay = afflicted(WHOLE, N, faults), Replay()
    replay.play(faults)
    for round, (away, fresh, cuts) in enumerate(replay.told):
        links = topology(round)
        assert {*np.flatnonzero(~links.present).tolist()} == away
        assert {*np.flatnonzero(links.forgets).tolist()} == fresh
        assert pairs(links) == [(i, j) for i, j in pairs(LINKS) if not {i, j} & away]
        if links.arrives is None:
            assert not any(fault.do == "cut" for fault in faults)
        else:
            passing = [all((i in cut) == (j in cut) for cut in cuts) for i, j in pairs(links)]
            assert links.arrives.tolist() == passing


def lost(faults: list[Fault], rounds: range) -> dict[tuple[int, int], float]:
    """The share of messages that are lost on each link."""
    topology, count = afflicted(WHOLE, N, faults, seed=3), Counter[tuple[int, int]]()
    for k in rounds:
        links = topology(k)
        count.update(
            pair for pair, there in zip(pairs(links), links.arrives.tolist(), strict=True) if not there
        )
    return {pair: count[pair] / len(rounds) for pair in pairs(LINKS)}


def test_so_much_is_lost_from_then_on_of_those_that_are_named() -> None:
    faults = [Fault(1000, "loss", (), 0.2), Fault(2000, "loss", (3,), 0.6), Fault(3000, "loss", (), 0.0)]
    assert not any(lost(faults, range(1000)).values())
    assert not any(lost(faults, range(3000, 3050)).values())
    for pair, share in lost(faults, range(1000, 2000)).items():
        assert abs(share - 0.2) < 6 * np.sqrt(0.16 / 1000), pair
    for pair, share in lost(faults, range(2000, 3000)).items():
        assert abs(share - (0.6 if 3 in pair else 0.2)) < 6 * 0.5 / np.sqrt(1000), pair
    assert {*lost([Fault(0, "loss", (), 1.0)], range(3)).values()} == {1.0}


def test_links_are_one_object_from_one_event_to_the_next() -> None:
    topology = afflicted(WHOLE, N, [Fault(5, "kill", (1,)), Fault(9, "restart", (1,))])
    assert topology(0) is topology(4) is not topology(5)
    assert topology(5) is topology(8)
    assert topology(0).receivers is topology(9).receivers is LINKS.receivers
    assert topology(3).arrives is None, "nothing is ever lost"


def test_faults_go_on_other_conditions() -> None:
    faults = [Fault(3, "kill", (1,)), Fault(4, "cut", (2, 3)), Fault(9, "heal", ())]
    topology = afflicted(lossy(churn(WHOLE, N, 0.7, 5, 1), 0.3, 2), N, faults)
    alone, under = afflicted(WHOLE, N, faults), lossy(churn(WHOLE, N, 0.7, 5, 1), 0.3, 2)
    for k in range(12):
        links, said, lossier = topology(k), alone(k), under(k)
        assert np.array_equal(links.present, said.present & lossier.present)
        both = [dict(zip(pairs(of), of.arrives.tolist(), strict=True)) for of in (said, lossier)]
        assert {*pairs(links)} == both[0].keys() & both[1].keys()
        assert links.arrives.tolist() == [both[0][pair] and both[1][pair] for pair in pairs(links)]
    local = afflicted(every(WHOLE, 3), N, faults)
    assert [local(k).present[1].item() for k in range(6)] == [True] * 3 + [False] * 3
    assert [len(local(k).weights) > 0 for k in range(6)] == [False, False, True] * 2


@pytest.mark.parametrize(
    ("faults", "sentence"),
    [
        ([Fault(1, "kill", (8,))], "no peer number 8; use 0 to 7"),
        ([Fault(-1, "kill", (1,))], "counted from 0"),
        ([Fault(1, "kill", ())], "name at least one peer"),
        ([Fault(1, "loss", (), 1.5)], "from 0 to 1"),
        ([Fault(1, "smash", (1,))], "no such fault"),  # type: ignore[arg-type]
        ([Fault(4, "continue", (1,)), Fault(3, "kill", (1,))], "was killed; restart it"),
        ([Fault(3, "cut", (1, 2)), Fault(4, "heal", (1,))], "no cut of the peers"),
    ],
)
def test_what_cannot_be_is_refused(faults: list[Fault], sentence: str) -> None:
    with pytest.raises(BadExperiment, match=sentence):
        afflicted(WHOLE, N, faults)


def test_what_changes_nothing_is_no_mistake() -> None:
    faults = [
        Fault(1, "continue", (2,)),
        Fault(2, "kill", (3,)),
        Fault(4, "kill", (3,)),
        Fault(5, "stop", (3,)),
    ]
    topology = afflicted(WHOLE, N, [*faults, Fault(6, "restart", (3,))])
    assert [bool(topology(k).present[3]) for k in range(8)] == [True] * 2 + [False] * 4 + [True] * 2
    assert all(topology(k).present[2] for k in range(8))
