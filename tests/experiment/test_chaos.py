"""Chaos: which experiment it makes, how it judges what is left, and (slow) that real peers stand it."""

import json
import os
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from gossipfl.cli.app import app
from gossipfl.config.file import parse
from gossipfl.experiment.launch.chaos import BEGIN, KINDS, Chaos, checks, troubled
from gossipfl.experiment.study.make import study
from gossipfl.faults import footprint
from gossipfl.faults.footprint import FILES, LONG, PAGE, SLACK, Footprints, Sample, growth
from gossipfl.report.chaos import chaos as shown

MB = 1 << 20


def test_an_experiment_gets_random_faults_a_clock_and_a_reference():
    converged = parse({
        "data": {"source": "iris"}, "stop": {"rounds": 10, "tolerance": 1e-3}, "topology": {"graph": "ring:4"},
        "faults": [{"do": "kill", "round": 1, "count": 1}],
    })  # fmt: skip
    e = troubled(converged, Chaos(minutes=10, every=2.0, rest=20.0, seed=5))
    assert (e.seed, e.reference, e.stop.tolerance, e.stop.seconds) == (5, True, 0.0, BEGIN + 620)
    events = study(e).faults.events
    assert {event.do for event in events} == {*KINDS, "restart", "continue", "heal"}
    assert min(event.when for event in events) >= BEGIN
    assert max(event.when for event in events) <= BEGIN + 600
    assert troubled(converged, Chaos(1)).seed == converged.seed


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A /proc of our own, and the children in it."""

    class Machine:
        root, children = tmp_path, []

        def process(self, name, pid, megabytes, descriptors, threads):
            here = tmp_path / str(pid)
            (here / "fd").mkdir(parents=True, exist_ok=True)
            (here / "statm").write_text(f"99 {int(megabytes * MB / PAGE)} 1 1 0 1 0\n")
            (here / "status").write_text(f"Name:\tx\nThreads:\t{threads}\nSeccomp:\t0\n")
            for k in range(descriptors):
                (here / "fd" / str(k)).touch()
            self.children.append(SimpleNamespace(name=name, pid=pid))

    made = Machine()
    monkeypatch.setattr(footprint.multiprocessing, "active_children", lambda: made.children)
    return made


def test_each_peer_is_looked_at_once_a_second_and_strangers_are_not(machine):
    machine.process("a", 1, 10, 5, 3)
    machine.process("proxy", 2, 10, 5, 3)
    machine.children.append(SimpleNamespace(name="b", pid=3))  # it ends at this moment
    seen = Footprints(["a", "b"], machine.root)
    for now in (0.0, 0.5, 1.0, 1.9, 2.0):
        seen.look(now)
    assert seen.lives == {
        "a": {1: [Sample(now, 10 * MB, 5, 3) for now in (0.0, 1.0, 2.0)]}, "b": {}
    }  # fmt: skip


def test_this_very_process_can_be_looked_at(monkeypatch):
    monkeypatch.setattr(
        footprint.multiprocessing, "active_children", lambda: [SimpleNamespace(name="me", pid=os.getpid())]
    )
    seen = Footprints(["me"])
    seen.look(0.0)
    sample = seen.lives["me"][os.getpid()][0]
    assert sample.memory > MB
    assert sample.descriptors >= 3
    assert sample.threads >= 1


def life(memory, descriptors=lambda k: 20, threads=lambda k: 4, length=LONG):
    return [Sample(float(k), int(memory(k)), descriptors(k), threads(k)) for k in range(length)]


def test_memory_that_grows_is_seen_and_what_settles_is_not():
    assert growth(life(lambda k: 40 * MB)) == 0.0
    assert growth(life(lambda k: (40 if k > LONG // 4 else 20) * MB)) == 0.0, (
        "it settles in its first quarter"
    )
    assert growth(life(lambda k: (40 + 2 * (k == LONG - 2)) * MB)) == 0.0, "a peak is no growth"
    assert growth(life(lambda k: 40 * MB + (SLACK - 1) * (k > LONG // 2))) == 0.0
    assert growth(life(lambda k: 40 * MB + MB * k)) == pytest.approx(0.4, abs=0.2)


def judged(lives, apart=1e-12, peers=None):
    seen = Footprints(lives)
    seen.lives = {name: dict(enumerate(of)) for name, of in lives.items()}
    summary = {"peers": len(lives) if peers is None else peers, "distance_to_optimum": apart}
    return {check.what: check for check in checks(summary, seen)}


def test_all_is_well():
    found = judged({"a": [life(lambda k: 40 * MB)], "b": [life(lambda k: MB)] * 2})
    assert all(check.holds for check in found.values())
    assert "2 peers" in found["memory is flat"].told


@pytest.mark.parametrize(
    ("broken", "what", "told"),
    [
        ({"peers": 1}, "every peer is there", "1 of 2"),
        ({"apart": 2e-8}, "at the optimum of all data", "2.0e-08"),
        ({"apart": None}, "at the optimum of all data", "unknown"),
        ({"b": [life(lambda k: (40 + k) * MB)]}, "memory is flat", "grown: b"),
        (
            {"b": [life(lambda k: MB), life(lambda k: MB, descriptors=lambda k: 21 + FILES)]},
            "no descriptor",
            "more than at first: b",
        ),
        (
            {"b": [life(lambda k: MB, threads=lambda k: 4 + (k > 30))]},
            "no descriptor",
            "more than at first: b",
        ),
    ],
)
def test_what_does_not_hold_is_named(broken, what, told):
    lives = {"a": [life(lambda k: 40 * MB)], "b": broken.pop("b", [life(lambda k: MB)])}
    found = judged(lives, **broken)
    wrong = [check for check in found.values() if not check.holds]
    assert len(wrong) == 1
    assert wrong[0].what.startswith(what)
    assert told in wrong[0].told


def test_a_life_too_short_is_not_judged():
    found = judged({"a": [life(lambda k: (1 + k) * MB, length=LONG - 1)]})
    assert found["memory is flat"].holds is None
    assert "not checked" in found["memory is flat"].told


def test_what_was_not_judged_is_neither_well_nor_wrong():
    lives = {"a": [life(lambda k: MB, length=LONG - 1)]}

    def marks(**broken):
        told = [check._asdict() for check in judged(lives, **broken).values()]
        head, _, table = shown({"checks": told, "struck": {}}, "so it ended")
        return str(head)[0], [*table.columns[0].cells]

    assert marks() == ("✓", ["✓", "✓", "-", "✓"])
    assert marks(peers=2) == ("✗", ["✗", "✓", "-", "✓"])


@pytest.mark.slow
def test_real_peers_stand_it(tmp_path):
    (tmp_path / "e.toml").write_text(
        '[data]\nsource = "diabetes"\npartition = "sorted"\n[topology]\ngraph = "torus:3x3"\n'
        '[model]\nkind = "linear"\nl2 = 0.1\n[algorithm]\nkind = "exact-diffusion"\n'
    )
    words = [
        "chaos",
        str(tmp_path / "e.toml"),
        "--minutes",
        "0.5",
        "--every",
        "1",
        "--rest",
        "30",
        "--format",
        "json",
    ]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "run")], standalone_mode=False)
    said = json.loads(done.stdout)
    assert said["checks"], said
    assert not any(check["holds"] is False for check in said["checks"]), said["checks"]
    assert done.return_value == said["exit_code"] == 0
    assert said["struck"]["kill"] >= 1
