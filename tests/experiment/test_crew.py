"""Real processes that only count: who is killed, stopped, started again and waited for, and what becomes of the rest."""

import os
import struct
from contextlib import closing
from multiprocessing import Pipe
from typing import NamedTuple

import pytest
import stub

from gossipfl.config.file import parse
from gossipfl.experiment.launch import processes
from gossipfl.experiment.launch.crew import Crew
from gossipfl.experiment.launch.launch import local
from gossipfl.experiment.study.make import study
from gossipfl.runs.events import Progress, Struck, Warned


class Life(NamedTuple):
    crew: Crew
    struck: list[str]
    rounds: list[int]
    warned: list[Warned]

    def report(self, me):
        own, near, began, rejoin, chances = self.parts(me)
        return own, near, int(began), rejoin == "True", chances

    def parts(self, me):
        own, _, rest = self.crew.reports[me].why.partition(" ")
        near, _, rest = rest.partition("] ")
        began, rejoin, chances = rest.split(" ", 2)
        return own, near + "]", began, rejoin, chances


@pytest.fixture
def live(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "main", stub.main)

    def live(*faults, rounds=150, name="lives", graph="ring:5"):
        made = study(parse({
            "name": name, "data": {"source": "iris"}, "topology": {"graph": graph}, "stop": {"rounds": rounds},
            "faults": list(faults),
        }))  # fmt: skip
        crew = local(made, [None] * len(made.names), tmp_path)
        with closing(crew):
            events = list(crew.follow())
        struck = [event.fault for event in events if isinstance(event, Struck)]
        warned = sorted(event for event in events if isinstance(event, Warned))
        return Life(crew, struck, [event.round for event in events if isinstance(event, Progress)], warned)

    return live


def test_without_faults_each_round_is_told_once(live):
    life = live(rounds=30)
    assert life.rounds == list(range(1, 31))
    assert set(life.crew.status.values()) == {"rounds"}
    assert life.crew.failure() is None


def test_a_peer_killed_on_purpose_is_no_failure_and_the_others_go_on(live):
    life = live({"do": "kill", "round": 40, "peers": ["3"]})
    assert life.struck == ["kill 3"]
    assert life.crew.status[3] == "killed, as the faults say"
    assert sorted(life.crew.reports) == [0, 1, 2, 4]
    assert life.crew.lost == []
    assert life.crew.failure() is None
    assert life.rounds == sorted({*life.rounds})
    assert life.rounds[-1] == 150


def test_nobody_waits_for_the_rest_of_a_word_that_a_stopped_peer_was_saying(live, monkeypatch):
    hear, say = Pipe()
    os.write(say.fileno(), struct.pack("!i", 1000) + b"half of it")
    signalled, whole = processes.Processes.signal, {}

    def signal(self, me, what):
        if what == "continue":
            self._pipes[me] = whole.pop(me)
        signalled(self, me, what)
        if what == "stop":
            whole[me], self._pipes[me] = self._pipes[me], hear

    monkeypatch.setattr(processes.Processes, "signal", signal)
    life = live({"do": "stop", "round": 20, "peers": ["1"]}, {"do": "continue", "round": 90, "peers": ["1"]})
    assert life.struck == ["stop 1", "continue 1", "1 learns again"]
    assert sorted(life.crew.reports) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("how", ["dies", "torn"])
def test_a_peer_that_dies_by_itself_is_lost_and_the_others_go_on(live, how):
    """Between two words, or in the middle of one."""
    life = live(name=f"{how}-2")
    assert life.crew.lost == [2]
    assert life.crew.status[2] == "died with exit code 3"
    assert life.crew.failure() is None
    assert life.rounds[-1] == 150


def test_a_peer_that_dies_before_it_listens_is_named(live):
    life = live(name="early-2")
    assert life.crew.lost == [2]
    assert life.crew.failure().exit_code == 5
    assert "peer 2 died with exit code 3" in str(life.crew.failure())


def test_peers_that_die_when_they_are_asked_to_end_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "main", stub.main)
    raw = {
        "name": "stubborn",
        "data": {"source": "iris"},
        "topology": {"graph": "ring:3"},
        "stop": {"rounds": 10**6},
    }
    crew = local(study(parse(raw)), [None] * 3, tmp_path)
    with closing(crew):
        for event in crew.follow():
            if isinstance(event, Progress) and event.round == 5:
                crew.interrupt()
    assert crew.lost == [0, 1, 2]
    assert crew.failure().exit_code == 5
    assert "peer 0 died with exit code 4; peer 1 died" in str(crew.failure())


@pytest.mark.parametrize("fresh", [False, True])
def test_a_peer_lives_again_where_it_listened_before(live, fresh):
    life = live({"do": "kill", "round": 40, "peers": ["1"], "lasts": 20, "fresh": fresh}, rounds=400)
    assert life.struck == ["kill 1", "restart 1" + " without a checkpoint" * fresh, "1 learns again"]
    own, near, began, rejoined, _ = life.report(1)
    assert rejoined is not fresh
    assert f"(1, '{own}')" in life.report(0)[1], "its neighbours know it by its first endpoint"
    assert near == str(sorted({0: life.report(0)[0], 2: life.report(2)[0]}.items()))
    assert began == 0 if fresh else began > 0
    assert life.crew.status[1] == "rounds"
    assert not life.report(0)[3]


def test_a_stopped_peer_is_not_waited_for_and_goes_on_later(live):
    life = live({"do": "stop", "round": 20, "peers": ["0", "2"], "lasts": 30}, rounds=200)
    assert life.struck[:2] == ["stop 0, 2", "continue 0, 2"]
    assert sorted(life.struck[2:]) == ["0 learns again", "2 learns again"]
    assert set(life.crew.status.values()) == {"rounds"}
    assert life.rounds == sorted({*life.rounds})


def test_a_peer_that_hangs_when_all_others_have_ended_does_not_hang_the_crew(live):
    life = live({"do": "stop", "round": 20, "peers": ["4"]}, {"do": "continue", "round": 900, "peers": ["4"]})
    assert life.crew.status[4] == "killed, as the faults say"
    assert life.crew.missed == 1
    assert life.crew.failure() is None
    assert sorted(life.crew.reports) == [0, 1, 2, 3]


def test_seconds_count_by_themselves(live):
    life = live(
        {"do": "stop", "at": 0.05, "peers": ["0", "1", "2", "3"], "lasts": 0.3},
        {"do": "kill", "at": 0.1, "peers": ["0"]},
        rounds=500,
    )
    assert life.struck[:3] == ["stop 0, 1, 2, 3", "kill 0", "continue 1, 2, 3"]
    assert len(life.struck) == 6
    assert sorted(life.crew.reports) == [1, 2, 3, 4]


def test_what_comes_too_late_is_counted(live):
    life = live({"do": "kill", "round": 500, "count": 1}, {"do": "restart", "round": 600})
    assert life.struck == []
    assert (life.crew.faults, life.crew.missed) == (0, 2)


def test_chances_reach_the_peers_they_are_for_and_change(live):
    life = live(
        {"do": "loss", "round": 20, "peers": ["1"], "amount": 0.25, "lasts": 30},
        {"do": "duplicate", "round": 60, "amount": 0.5},
        rounds=200,
    )
    assert life.report(1)[4] == "[(0.0, 0.0), (0.0, 0.5), (0.25, 0.0)]"
    assert life.report(2)[4] == "[(0.0, 0.0), (0.0, 0.5)]"
    assert life.struck == [
        "lose 25% of what 1 sends",
        "end the loss at 1",
        "duplicate 50% of what all send",
    ]


def test_peers_find_each_other_through_a_proxy_only_where_faults_need_one(live):
    life = live({"do": "cut", "round": 10, "peers": ["0", "1"], "lasts": 10}, rounds=60)
    assert life.struck == ["cut 0, 1 from the others", "heal the cut of 0, 1 from the others"]
    told = {life.report(me)[0] for me in range(5)}
    for me in range(5):
        assert not any(endpoint in life.report(me)[1] for endpoint in told)


def test_what_a_peer_warns_of_is_passed_on(live):
    assert live(name="warns", rounds=30).warned == [Warned(str(me), "cannot write") for me in range(5)]
