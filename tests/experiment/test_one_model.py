"""Peers that stop by tolerance hold one model to it, and peers that hold one model stop: with any method, in both engines."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch
from runs import carry_out, settings
from torch import Tensor
from worlds import after, live, start

from gossipfl.algorithms import DPSGD, GradientTracking, Iterate, Momentum, PushSum
from gossipfl.engine import Engine, Run
from gossipfl.experiment.evaluation.verdict import DONE, verdict
from gossipfl.experiment.learning.learn import Rest, Rhythm
from gossipfl.mixing import Mixing, Push
from gossipfl.peer import Exchange, Peer
from gossipfl.simulator import Simulator
from gossipfl.topology import WEIGHTS, load, static

ONE_WAY = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (0, 3), (0, 5), (1, 4), (4, 0), (5, 1)]
PUSHED = [PushSum(DPSGD(0.1)), PushSum(GradientTracking(0.1)), Momentum(PushSum(DPSGD(0.1)), 0.5)]


@pytest.mark.parametrize("algorithm", PUSHED, ids=["sgp", "push-diging", "momentum"])
def test_models_count_and_not_their_weighted_messages(algorithm: Any) -> None:
    """Where push-sum's weights differ, peers that hold one model send different numbers."""
    graph = load("star:6")
    topology, x, mixing = static(WEIGHTS["push"](graph)), start(6), Mixing(Push())
    simulator = Simulator(algorithm, None, topology, mixing)
    run = after(simulator, simulator.init(x), 200)[-1]
    assert (run.replicas[:, 0] / run.replicas[0, 0] - 1).abs().max() > 0.3
    assert simulator.disagreement(run).max() < 1e-12

    def apart(i: int, exchange: Exchange) -> Tensor:
        peer = Peer(exchange, algorithm, None, topology, mixing)
        early = after(peer, peer.init(x[i : i + 1]), 3)[-1]
        return peer.disagreement(early)

    early = after(simulator, simulator.init(x), 3)[-1]
    torch.testing.assert_close(torch.cat(live("memory", graph, apart)), simulator.disagreement(early))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["simulator", "peers"])
def test_push_sum_meets_a_tolerance(engine: str, tmp_path) -> None:
    file = tmp_path / "one-way.toml"
    file.write_text(
        f"directed = true\nedges = {[[str(a), str(b)] for a, b in ONE_WAY]}\n"
        + "".join(f"[peers.{i}]\n" for i in range(6))
    )
    raw = settings(topology__graph=str(file), algorithm__kind="push-diging", model__l2=1.0)
    raw["stop"] = {"rounds": 5000, "tolerance": 1e-4}
    summary, _ = carry_out(engine, raw, tmp_path / "run")
    assert (summary["algorithm"], summary["stopped"]) == ("push-diging", "tolerance")
    assert verdict(summary, 1e-4)[0] == DONE
    assert summary["consensus_distance"] < 1e-4


def test_an_oscillation_that_passes_through_zero_is_not_the_end(tmp_path) -> None:
    raw = settings(
        data__source="diabetes", data__partition={"scheme": "sorted"}, data__test=0.0, model__kind="linear",
        topology__graph="star:16", algorithm__kind="opapc",
    )  # fmt: skip
    raw["stop"] = {"rounds": 1000, "tolerance": 1e-4}
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    assert summary["stopped"] == "tolerance"
    assert summary["agreed"]


@pytest.mark.parametrize(("graph", "imbalance"), [("ring:16", 3.0), ("star:50", 1.0)])
def test_opapc_holds_one_model_where_it_stops_by_tolerance(graph: str, imbalance: float, tmp_path) -> None:
    raw = settings(topology__graph=graph, algorithm__kind="opapc", data__partition__imbalance=imbalance)
    raw["stop"] = {"rounds": 5000, "tolerance": 1e-4}
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    code, sentence = verdict(summary, 1e-4)
    assert (summary["stopped"], summary["agreed"], code) == ("tolerance", True, DONE)
    assert f"the {summary['peers']} peers hold one model" in sentence


class Swinging:
    """An engine that knows at once when all have converged, and whose two peers are |cos t / 20| apart."""

    def disagreement(self, run: Run) -> Tensor:
        return torch.full((2,), abs(float(torch.cos(torch.tensor(run.round / 20)))))

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        return bool(converged.all())


@pytest.mark.parametrize(("hops", "tolerance", "stops"), [(4, 0.5, False), (4, 4.0, True), (1, 0.5, True)])
def test_peers_are_near_for_as_long_as_news_travels_twice(hops: int, tolerance: float, stops: bool) -> None:
    """At 4 hops, the bound 0.5 / 8 holds for three rounds of each swing only; the bound 4 / 8 holds for more than nine."""

    def runs() -> Iterator[Run]:
        state = Iterate(torch.ones(2, 1))
        yield from (Run(round, state, torch.ones(2, 1)) for round in range(1, 400))

    first = Run(0, Iterate(torch.ones(2, 1)), None)
    rest = Rest(cast(Engine, Swinging()), first, tolerance, Rhythm(1, lambda: 1, hops, 1))
    assert any(rest.reached(run, run.round) for run in runs()) == stops
