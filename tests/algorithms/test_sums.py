"""Optimisers on totals against the pooled optimum; their certificates against the truth; sums in the simulator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import carry_out, settings
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_diabetes
from torch import Tensor

from gossipfl import topology
from gossipfl.algorithms import Objective, Summed, Summing, Units
from gossipfl.algorithms.sums import LBFGS, Bound, DampedNewton, Probe, distance, lbfgs
from gossipfl.algorithms.sums.certificate import CONTRACTION, LEAST, Verdict, at_rounding, predicted
from gossipfl.algorithms.sums.quadratic import lasso_step
from gossipfl.mixing import Mixing, Sum
from gossipfl.models import Linear, pooled_optimum
from gossipfl.models.losses import Huber, Logistic, Loss, Poisson, Softmax, Squared, SquaredHinge
from gossipfl.models.scoring import Scoring
from gossipfl.simulator import Simulator
from gossipfl.topology import cycle, tree

PEERS, FEATURES = 6, 5
LOSSES = [Squared(), Logistic(), Softmax(), SquaredHinge(), Huber(0.3), Poisson()]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)


def world(loss: Loss, l2: float = 0.0, l1: float = 0.0, seed: int = 0, scale: float = 1.0) -> Linear:
    """Peers whose data differ in size and place."""
    random = np.random.default_rng(seed)
    truth, shards = random.normal(size=(FEATURES, 3)), []
    for i in range(PEERS):
        x = random.normal(size=(15 + 3 * i, FEATURES)) @ np.diag([1, 0.1, 1, 3, 1]) + 0.3 * i
        z = scale * (x @ truth + random.normal(size=(len(x), 3)))
        y = {
            "regression": z[:, 0] + (random.random(len(x)) < 0.1) * 20,
            "binary": (z[:, 0] > 0) * 1.0,
            "multiclass": z.argmax(1) * 1.0,
            "count": random.poisson(np.exp(z[:, 0].clip(-3, 2))) * 1.0,
        }[loss.task]
        shards.append((x, y))
    return Linear(shards, loss, outputs=3 if loss.task == "multiclass" else 1, l2=l2, l1=l1)


def objective(problem: Linear) -> Objective:
    x = torch.cat([part.features for part in problem.of_peers()])[:, :-1]
    y = torch.cat([part.target for part in problem.of_peers()])
    spread = float(y.std(correction=0)) if problem.loss_of_row.task == "regression" else 1.0
    units = Units(x.std(0, correction=0), x.mean(0), spread, problem.outputs)
    return Objective(problem.penalised, units, problem.l2, problem.l1, problem.outputs, problem.outputs)


def states(method: Any, problem: Linear, most: int = 300) -> Iterator[Any]:
    """The states after each sum, until the method has finished."""
    s = method.init(torch.zeros(problem.width, dtype=torch.float64))
    rows = problem.of_peers()
    for _ in range(most):
        s = method.update(s, sum(method.contribute(s, part) for part in rows))
        yield s
        if s.finished:
            return


def gap(x: Tensor, problem: Linear) -> float:
    optimum = pooled_optimum(problem)
    return distance(x - optimum, optimum, objective(problem).units)


@each_loss
@pytest.mark.parametrize("l2", [1.0, 1e-3, 1e-6])
def test_newton_meets_the_optimum_and_says_so(loss: Loss, l2: float) -> None:
    problem = world(loss, l2)
    run = list(states(DampedNewton(objective(problem), loss, 1e-12), problem))
    assert predicted(run[-1].evidence) <= 1e-12
    # the reference has a flat direction of softmax only to 1e-16 / l2
    assert gap(run[-1].x, problem) <= (1e-10 if isinstance(loss, Softmax) else 1e-11)
    assert len(run) <= (2 if isinstance(loss, Squared) else 12)


@pytest.mark.parametrize(("l2", "sums"), [(0.1, 8), (1e-3, 11), (1e-5, 14), (1e-6, 15)])
def test_a_small_penalty_takes_few_sums_more(l2: float, sums: int) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    problem = Linear([((x - x.mean(0)) / x.std(0), y * 1.0)], Logistic(), l2=l2)
    run = list(states(DampedNewton(objective(problem), Logistic(), 1e-12), problem))
    assert predicted(run[-1].evidence) <= 1e-12
    assert len(run) <= sums


@pytest.mark.parametrize("delta", [5.0, 20.0])
def test_huber_takes_few_sums_by_ever_smaller_deltas(delta: float) -> None:
    x, y = load_diabetes(return_X_y=True)
    problem = Linear([((x - x.mean(0)) / x.std(0), y - y.mean())], Huber(delta), l2=1e-3)
    run = list(states(DampedNewton(objective(problem), Huber(delta), 1e-12), problem))
    assert predicted(run[-1].evidence) <= 1e-12
    assert len(run) <= 25


def test_distances_have_no_units_and_slopes_near_0_count_by_the_spread() -> None:
    """An optimum at 0 has a distance, too. Slopes larger than a thousandth of the spread count by their own size."""
    random = np.random.default_rng(0)
    step, x, deviation, mean = (torch.from_numpy(random.random(k)) for k in (4, 4, 3, 3))
    for spread in (1.0, 50.0):
        units = Units(deviation, mean, spread)
        slopes = torch.cat((step[:3], -(mean @ step[:3])[None]))  # which leaves the intercept at the mean row
        size = float((deviation * step[:3]).norm())
        for at in (0.0, 1e-3, 0.5, 1.0, 30.0):  # slopes of so many thousandths of the spread
            here = at * LEAST * spread * x / (deviation * x[:3]).norm()
            assert distance(slopes, here, units) == pytest.approx(size / (LEAST * spread * max(at, 1.0)))
            for scale in (1e-6, 1e12):
                larger = units._replace(spread=scale * spread)
                assert distance(scale * step, scale * here, larger) == pytest.approx(
                    distance(step, here, units)
                )


@each_loss
def test_certificates_against_the_truth(loss: Loss) -> None:
    """Within the guards, a certificate is near the true distance; it never promises ten times too much."""
    held = 0
    for l2 in (1.0, 1e-2, 1e-5):
        problem = world(loss, l2, seed=1)
        for s in states(DampedNewton(objective(problem), loss, 1e-13), problem):
            told, true = float(s.evidence.certificate), gap(s.x, problem)
            if np.isfinite(told) and told > 1e-11:
                held += 1
                assert true <= 10 * told
                if told <= 1e-2 and s.evidence.contraction <= CONTRACTION:
                    assert 0.58 <= true / told <= 1.34
    assert held or isinstance(loss, Squared)


@pytest.mark.parametrize("loss", [Squared(), Logistic(), Poisson()], ids=str)
@pytest.mark.parametrize("l1", [0.3, 0.01])
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_newton_with_l1(loss: Loss, l1: float, l2: float) -> None:
    problem = world(loss, l2, l1)
    run = list(states(DampedNewton(objective(problem), loss, 1e-12), problem))
    assert predicted(run[-1].evidence) <= 1e-12
    optimum = pooled_optimum(problem)
    assert torch.equal(run[-1].x.sign(), optimum.sign())
    assert gap(run[-1].x, problem) <= 1e-10
    assert len(run) == 2 or not isinstance(loss, Squared)


@pytest.mark.parametrize("l1", [0.0, 0.01])
@pytest.mark.parametrize("loss", [Logistic(), Softmax(), Squared()], ids=str)
def test_lbfgs_meets_the_optimum_and_says_so(loss: Loss, l1: float) -> None:
    problem = world(loss, 0.0 if l1 else 1e-2, l1)
    run = list(states(LBFGS(objective(problem), 1e-9), problem))
    assert predicted(run[-1].evidence) <= 1e-9
    optimum = pooled_optimum(problem)
    assert torch.linalg.vector_norm(run[-1].x - optimum) <= 1e-8 * torch.linalg.vector_norm(optimum)


def test_l1_with_more_coefficients_than_a_hessian_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """The subgradient of least norm goes to 0 by the memory alone, though one-hot columns make the Hessian singular."""
    monkeypatch.setattr(lbfgs, "WORKING", 20)
    random = np.random.default_rng(0)
    columns = np.minimum(random.zipf(1.5, size=(300, 5)) - 1, 59) + 60 * np.arange(5)
    x = np.zeros((300, 300))
    np.put_along_axis(x, columns, 1.0, 1)
    y = random.random(300) < 1 / (1 + np.exp(-x @ random.normal(size=300)))
    problem = Linear([(sparse.csr_array(x), y * 1.0)], Logistic(), l1=1e-3)
    method = LBFGS(Objective(problem.penalised, Units(torch.ones(300), torch.zeros(300)), l1=1e-3))
    run = list(states(method, problem, 250))
    least = [float(method._pseudo(s).norm()) for s in (run[0], run[-1])]
    assert int((run[-1].x != 0).sum()) > 30
    assert least[1] <= 1e-10 * least[0]


def probed(method: Any, problem: Linear, x: Tensor) -> float:
    s, rows = method.init(x), problem.of_peers()
    while not s.finished:
        s = method.update(s, sum(method.contribute(s, part) for part in rows))
    return predicted(s.evidence)


@each_loss
@pytest.mark.parametrize("l2", [1.0, 1e-3, 1e-6])
def test_a_probe_tells_the_distance_of_any_model(loss: Loss, l2: float) -> None:
    problem = world(loss, l2)
    optimum, random = pooled_optimum(problem), np.random.default_rng(1)
    for apart in (0.1, 1e-3, 1e-7, 1e-10):
        x = optimum * torch.from_numpy(1 + apart * random.normal(size=len(optimum)))
        told = {
            t: probed(Probe(DampedNewton(objective(problem), loss, 1e-9), t), problem, x)
            for t in (False, True)
        }
        assert 0.5 <= gap(x, problem) / told[True] <= 2
        assert apart == 0.1 or 0.5 <= gap(x, problem) / told[False] <= 2


@each_loss
def test_the_second_sum_of_a_quick_probe_has_a_gradient_alone(loss: Loss) -> None:
    """It tells what a sum with a Hessian would tell: how much shorter the next step is by the same Hessian."""
    problem = world(loss, 1e-3)
    x = pooled_optimum(problem) * (1 + 1e-3)
    newton, rows = DampedNewton(objective(problem), loss, 1e-9), problem.of_peers()
    found, widths = [], []
    for thorough in (False, True):
        probe = Probe(newton, thorough)
        s = probe.init(x)
        for _ in range(2):
            numbers = [probe.contribute(s, part) for part in rows]
            widths.append(len(numbers[0]))
            s = probe.update(s, sum(numbers))
        found.append(s)
    d = len(x)
    whole_width = 5 + d + d * (d + 1) // 2
    assert widths == [whole_width, 2 + d, whole_width, whole_width]
    quick, whole = found
    assert quick.finished
    assert float(quick.evidence.certificate) == float(whole.evidence.certificate)
    assert float(quick.evidence.contraction) == pytest.approx(
        float(whole.evidence.contraction), rel=1e-6, abs=1e-12
    )


@pytest.mark.parametrize("loss", [Logistic(), Softmax(), Squared()], ids=str)
def test_without_a_hessian_there_is_a_bound(loss: Loss) -> None:
    problem = world(loss, 0.1)
    optimum, random = pooled_optimum(problem), np.random.default_rng(1)
    for apart in (0.1, 1e-3, 1e-9):
        x = optimum + apart * torch.from_numpy(random.normal(size=len(optimum)))
        true = float(torch.linalg.vector_norm(x - optimum) / torch.linalg.vector_norm(x))
        assert true <= probed(Bound(objective(problem)), problem, x) <= 1e3 * true


def test_the_quadratic_is_solved_exactly_where_it_is_singular() -> None:
    """Columns twice, more columns than rows: the subgradient vanishes."""
    random = np.random.default_rng(3)
    a = random.normal(size=(8, 12))
    a[:, 5], a[:, 11] = a[:, 2], 0.0
    h, g = torch.from_numpy(a.T @ a), torch.from_numpy(a.T @ random.normal(size=8))
    for l1 in (1.0, 0.1, 1e-3):
        lasso = torch.full((12,), l1, dtype=torch.float64)
        z = lasso_step(torch.zeros_like(g), g, h, lasso)
        v = g + h @ z
        left = torch.where(z != 0, v + lasso * z.sign(), (v.abs() - lasso).clamp(min=0))
        assert left.abs().max() <= 1e-12 * g.abs().max()


def verdict(problem: Linear) -> Verdict:
    return Verdict(
        int([*states(DampedNewton(objective(problem), problem.loss_of_row), problem)][-1].evidence.verdict)
    )


def test_problems_without_an_optimum() -> None:
    apart = np.vstack([np.eye(3), -np.eye(3)]) @ np.array([[1.0, 2, 0], [0, 1, 1], [1, 1, 1]])
    sign, one = np.array([1.0, 1, 1, 0, 0, 0]), np.ones(6)
    assert verdict(Linear([(apart, sign)] * 2, Logistic())) == Verdict.SEPARATED
    assert verdict(Linear([(apart, one)] * 2, Logistic(), l2=0.01)) == Verdict.ONE_SIDED
    assert verdict(Linear([(apart, 0 * one)] * 2, Poisson(), l2=0.01)) == Verdict.ONE_SIDED
    level = np.hstack([np.random.default_rng(0).normal(size=(40, 2)), np.eye(40)[:, :1]])
    mixed = np.tile([0.0, 1.0], 20)
    assert verdict(Linear([(level, mixed)] * 2, Logistic())) == Verdict.RECEDING
    assert verdict(Linear([(level[1:], mixed[1:])] * 2, Logistic())) == Verdict.OPEN


def test_rounding_is_told() -> None:
    problem = world(Logistic(), 1e-3)
    last = [*states(DampedNewton(objective(problem), Logistic()), problem)][-1]
    assert at_rounding(last.evidence)
    assert predicted(last.evidence) <= 1e-14


def simulated(spec: str, problem: Linear, rounds: int, method: Any = None) -> tuple[Simulator, Any]:
    graph = topology.load(spec)
    made = tree(graph)
    method = method or DampedNewton(objective(problem), problem.loss_of_row, 1e-12)
    shift = torch.zeros(problem.width, dtype=torch.float64)
    algorithm = Summed(method, problem.of_peers(), len(graph), made.exchanges, shift)
    simulator = Simulator(algorithm, problem, cycle(made.rounds()), Mixing(Sum()))
    run = simulator.init(torch.zeros(len(graph), problem.width, dtype=torch.float64))
    for _ in range(rounds * made.exchanges):
        run = simulator.step(run)
    return simulator, run


@pytest.mark.parametrize("spec", ["line:6", "star:6", "full:6", "ring:6"])
def test_all_peers_hold_the_same_model(spec: str) -> None:
    problem = world(Logistic(), 1e-3)
    state: Summing = simulated(spec, problem, 12)[1].state
    assert state.finished
    assert (state.x == state.x[0]).all()
    assert not state.voids.any()
    assert not state.repairs.any()
    assert gap(state.x[0], problem) <= 1e-11


def test_one_row_contributes_what_it_does_among_all() -> None:
    """A peer that holds one row alone computes the same bits."""
    problem, shift = world(Softmax(), 1e-3), torch.zeros(18, dtype=torch.float64)
    method = DampedNewton(objective(problem), Softmax())
    x = torch.randn(1, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sent: list[Tensor] = []

    def keep(v: Tensor) -> Tensor:
        sent.append(v)
        return v

    together = Summed(method, problem.of_peers(), PEERS, 2, shift)
    together.round(together.init(x.expand(PEERS, -1)), torch.zeros_like, keep)  # type: ignore[arg-type]
    for i, shard in enumerate(problem.data.shards()):
        own = Linear([(shard[0][:, :-1], shard[1])], Softmax(), outputs=3, l2=1e-3, mean_rows=7.0)
        alone = Summed(method, own.of_peers(), PEERS, 2, shift)
        alone.round(alone.init(x), torch.zeros_like, keep)  # type: ignore[arg-type]
        assert torch.equal(sent[-1][0], sent[0][i])


def test_models_that_differ_are_averaged() -> None:
    """Law C: a peer whose processor computes otherwise."""
    problem = world(Logistic(), 1e-3)
    simulator, run = simulated("line:6", problem, 4)
    x = run.state.inner.x.clone()
    x[2] += 1e-13
    run = run._replace(state=run.state._replace(inner=run.state.inner._replace(x=x)))
    for _ in range(12 * simulator.algorithm.exchanges):  # type: ignore[attr-defined]
        run = simulator.step(run)
    assert (run.state.repairs == 1).all()
    assert run.state.finished
    assert (run.state.x == run.state.x[0]).all()
    assert gap(run.state.x[0], problem) <= 1e-11


@pytest.mark.parametrize("peer", ["0", "3"])
def test_a_peer_that_is_killed_and_comes_back(peer: str, tmp_path: Path) -> None:
    """Sums without a peer are void; exact diffusion takes over, and sums end at the optimum of all data."""
    faults = [{"do": "kill", "round": 5, "peers": [peer]}, {"do": "restart", "round": 14, "peers": [peer]}]
    raw = settings(
        reference=True, data__source="breast_cancer", model__kind="logistic", model__l2=0.1, stop__tolerance=1e-10,
        topology__graph="er:8:0.4", algorithm__kind="newton", algorithm__averaging="tree", faults=faults, stop__rounds=300,
    )  # fmt: skip
    summary, _ = carry_out("simulator", raw, tmp_path / "run")
    assert summary["stopped"] == "tolerance"
    assert summary["distance_to_optimum"] <= 1e-9
    assert summary["certificate"] <= 1e-10


@each_loss
@pytest.mark.parametrize("l1", [0.0, 0.01])
def test_every_sum_is_over_rows_so_that_what_a_site_is_as_a_whole_is_in_none(loss: Loss, l1: float) -> None:
    """The rows of two sites as those of one: the same numbers. The square of a site's score, for example, is no such number."""
    problem = world(loss, 0.1, l1)
    made = objective(problem)
    methods: list[Any] = [DampedNewton(made, loss, 1e-9), LBFGS(made, 1e-9)]
    if not l1:
        methods += [Probe(DampedNewton(made, loss, 1e-9), thorough) for thorough in (False, True)]
        methods += [Bound(made)]
    for method in methods:
        s, several = method.init(torch.zeros(problem.width, dtype=torch.float64)), problem.of_peers()
        for _ in range(4):
            total = sum(method.contribute(s, part) for part in several)
            torch.testing.assert_close(
                method.contribute(s, problem.of_all(range(PEERS))), total, rtol=1e-9, atol=1e-9
            )
            s = method.update(s, total)
    scoring = Scoring(loss, problem.outputs)
    random = np.random.default_rng(0)
    z = random.normal(size=(PEERS, 20, problem.outputs))
    y = random.integers(0, 3 if loss.task == "multiclass" else 2, (PEERS, 20)).astype(float)
    flat = z.reshape(-1, problem.outputs), y.ravel()
    first = sum(scoring.first(*site) for site in zip(z, y, strict=True))
    np.testing.assert_allclose(scoring.first(*flat), first, rtol=1e-12)
    second = sum(scoring.second(*site, first) for site in zip(z, y, strict=True))
    np.testing.assert_allclose(scoring.second(*flat, first), second, rtol=1e-12)
