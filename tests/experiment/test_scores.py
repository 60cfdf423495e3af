"""Peers that read only their own test rows end with the scores of all test rows, or say whose scores they have."""

import itertools
import threading
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from ports import free_ports
from runs import carry_out, settings

from gossipfl import topology
from gossipfl.config.file import parse
from gossipfl.experiment.learning.scores import Contradicted, Contributors
from gossipfl.experiment.learning.tables import own_table
from gossipfl.experiment.live.alone import endpoints, peer
from gossipfl.experiment.study.make import study
from gossipfl.report.scores import scored
from gossipfl.runs.summary import read_summary
from gossipfl.topology import among, tree

SITES = ["a", "b", "c", "d"]


def world(folder: Path, rows: int, rare: float) -> dict:
    """Four sites in a line, each with a file; `rare` of all rows have the class 1, none of them at d."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    for name in SITES:
        y = rng.random(rows) < (rare * 4 / 3 if name != "d" else 0)
        x = rng.normal(size=(rows, 3)) + 1.2 * y[:, None]
        np.savetxt(folder / "data" / f"{name}.csv", np.c_[x, y], delimiter=",", header="p,q,r,y", comments="")
    places = "".join(
        f"[peers.{n}]\nendpoint = 'tcp://127.0.0.1:{port}'\n"
        for n, port in zip(SITES, free_ports(len(SITES)), strict=True)
    )
    (folder / "sites.toml").write_text(f"edges = {[[*pair] for pair in itertools.pairwise(SITES)]}\n{places}")
    return {
        "data": {"source": str(folder / "data"), "target": "y", "test": 0.25},
        "topology": {"graph": str(folder / "sites.toml")},
        "model": {"l2": 0.01},
        "stop": {"rounds": 300},
    }


def alone(raw: dict, folder: Path) -> list[dict]:
    """The summaries of peers that were started by hand, each of which reads its own file only."""
    made = study(parse(raw))

    def live(name: str) -> None:
        (folder / f"run-{name}").mkdir()
        table = own_table(made, name, folder / "data" / f"{name}.csv")
        peer(made, name, table, folder / f"run-{name}", endpoints(made, name), lambda *_: None)

    threads = [threading.Thread(target=live, args=(name,)) for name in SITES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [read_summary(folder / f"run-{name}") for name in SITES]


@pytest.mark.parametrize("kind", ["auto", "d-psgd"])
def test_four_sites_score_all_test_rows_as_the_launcher_does(kind, tmp_path):
    raw = world(tmp_path, 4000, 0.01)
    if kind != "auto":  # whose peers end with different models
        raw |= {"algorithm": {"kind": kind, "step": 0.5}, "stop": {"rounds": 20}}
    launched, _ = carry_out("simulator", raw, tmp_path / "simulated")
    exact = launched["test"]["all"]
    for summary in (launched, *alone(raw, tmp_path)):
        found = summary["scores"]
        assert found["peers"] == SITES
        assert found["rows"] == exact["rows"] == 4000
        assert found["accuracy"] == exact["accuracy"]
        assert found["log_loss"] == pytest.approx(exact["log_loss"], rel=1e-12)
        assert abs(found["auc"] - exact["auc"]) <= found["auc_bound"] <= 1e-3
        title, figures = scored(found)
        assert title == "4,000 test rows of all 4 peers, from sums"
        assert f"± {found['auc_bound']:.0e}" in figures
    assert summary["test"]["all"]["rows"] == 1000, "its own, which alone it has read"


def test_peers_of_gossip_learning_tell_their_scores_as_their_own(tmp_path):
    raw = world(tmp_path, 80, 0.4) | {"algorithm": {"kind": "gossip-learning"}, "stop": {"rounds": 3}}
    raw["gossip"] = {"period": 0.02}
    for name, summary in zip(SITES, alone(raw, tmp_path), strict=True):
        found, exact = summary["scores"], summary["test"]["all"]
        assert (found["peers"], found["rows"]) == ([name], 20)
        assert found["log_loss"] == pytest.approx(exact["log_loss"], rel=1e-12)
        assert scored(found)[0] == f"20 test rows of {name} alone"


def test_no_sum_without_test_rows_and_regression_has_its_own_scores(tmp_path):
    raw = settings(data={"source": "diabetes", "test": 0.0}, model={"kind": "linear", "l2": 0.1})
    assert carry_out("simulator", raw, tmp_path / "none")[0]["scores"] is None
    raw["data"]["test"] = 0.3
    summary, _ = carry_out("simulator", raw, tmp_path / "some")
    found, exact = summary["scores"], summary["test"]["all"]
    for name in ("r2", "rmse"):
        assert found[name] == pytest.approx(exact[name], rel=1e-12)


def test_scores_are_told_as_those_of_the_peers_that_are_left(tmp_path):
    gone = [{"do": "kill", "peers": ["2"], "round": 10}]
    raw = settings(topology__graph="torus:2x4", stop__rounds=60, faults=gone)
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    found, exact = summary["scores"], summary["test"]["all"]
    assert found["peers"] == [str(i) for i in range(8) if i != 2]
    assert scored(found)[0].endswith("(7 of 8 peers), from sums")
    assert found["rows"] == exact["rows"]
    assert found["log_loss"] == pytest.approx(exact["log_loss"], rel=1e-9)


@pytest.mark.slow
def test_live_peers_score_without_an_inner_peer_that_died(tmp_path):
    gone = [{"do": "kill", "peers": ["0"], "at": 1.0}]
    raw = settings(
        topology__graph="full:5", stop={"rounds": 2**40, "seconds": 6.0, "absent": 0.5}, faults=gone
    )
    summary, _ = carry_out("peers", raw, tmp_path / "run")
    found, exact = summary["scores"], summary["test"]["all"]
    assert found["peers"] == ["1", "2", "3", "4"]
    assert found["accuracy"] == exact["accuracy"]
    assert found["log_loss"] == pytest.approx(exact["log_loss"], rel=1e-6)


def test_the_tree_of_some_peers_is_a_tree_and_leaves_the_others_out():
    graph = topology.load("er:20:0.3")
    part = nx.Graph(graph)
    part.remove_nodes_from(["3", "7"])
    part.remove_edge(*next(iter(nx.cycle_basis(part)))[:2])
    found, numbers = among(graph, part), [i for i, name in enumerate(graph) if name in part]
    links = {(i, int(found.receiver[i])) for i in numbers if found.receiver[i] != i}
    names = list(graph)
    assert all(part.has_edge(names[a], names[b]) for a, b in links)
    assert nx.is_tree(nx.Graph([*links, tuple(found.roots)] if len(found.roots) == 2 else links))
    held = np.eye(20)
    for round in found.rounds():
        before = held.copy()
        for receiver, sender, weight in zip(*(t.tolist() for t in round[:3]), strict=True):
            held[receiver] = before[sender] + (1 - weight) * held[receiver]
    assert (held[numbers] == [i in numbers for i in range(20)]).all()
    whole = among(graph, graph)
    assert all((a == b).all() for a, b in zip(whole[1:], tree(graph)[1:], strict=True))


class Sums:
    """An agreement in which peers come and go: `there` of each sum."""

    peers = 60

    def __init__(self, *there: set[int]) -> None:
        self.there = list(there)

    def total(self, x: np.ndarray) -> np.ndarray:
        return x[sorted(self.there.pop(0))].sum(0)


def test_sums_of_different_peers_contradict_each_other():
    everybody = set(range(60))
    numbers = [np.array([float(i)]) for i in range(60)]
    sums = Contributors(Sums(everybody - {50}, everybody - {50}, everybody), range(60), range(60))
    for _ in range(2):
        assert sums.total(numbers) == [sum(everybody) - 50]
        assert sums.who == sorted(everybody - {50})
    with pytest.raises(Contradicted):
        sums.total(numbers)
