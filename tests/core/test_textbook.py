"""Each algorithm against its paper, transcribed with dense matrices, and against the optimum it promises."""

from collections.abc import Callable, Iterator

import networkx as nx
import numpy as np
import pytest
import torch
from worlds import DATA, PEERS, STEP, WIDTH, Toy, after, dense, metropolis, soft, start

from gossipfl import topology
from gossipfl.algorithms import ALGORITHMS, DPSGD, Extra, Prox, check, no_penalty
from gossipfl.errors import Incompatible
from gossipfl.mixing import Average, Maximum, Mixing
from gossipfl.simulator import Simulator
from gossipfl.topology import WEIGHTS, static

Matrix = np.ndarray
Gradient = Callable[[Matrix], Matrix]
GRAPHS = {
    spec: topology.load(spec) for spec in (f"ring:{PEERS}", f"star:{PEERS}", f"line:{PEERS}", f"full:{PEERS}")
}


def d_psgd(w: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Chen, Sayed 2012, adapt then combine: x' = W (x - a g(x))."""
    while True:
        x = w @ (x - a * g(x))
        yield x


def extra(w: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Shi et al. 2015, eq. 2.13 in two terms: x2 = (I + W) x1 - (I + W)/2 x0 - a (g(x1) - g(x0)).

    From x1 = W x0 - a g(x0).
    """
    one = np.eye(len(w))
    before, x = x, w @ x - a * g(x)
    while True:
        yield x
        before, x = x, (one + w) @ x - (one + w) / 2 @ before - a * (g(x) - g(before))


def exact_diffusion(w: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Yuan et al. 2019, algorithm 1: adapt, correct, combine; psi starts at x. W is (I + W)/2 already."""
    old = x
    while True:
        psi = x - a * g(x)
        phi = psi + x - old
        x, old = w @ phi, psi
        yield x


def d2(w: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Tang et al. 2018, algorithm 1: x2 = W (2 x1 - x0 - a g(x1) + a g(x0)), from x1 = W (x0 - a g(x0))."""
    before, x = x, w @ (x - a * g(x))
    while True:
        yield x
        before, x = x, w @ (2 * x - before - a * g(x) + a * g(before))


def gradient_tracking(w: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Semi-ATC tracking: x' = W (x - a y); y' = W y + g(x') - g(x), from y = g(x).

    Here after one round that only mixes.
    """
    x = w @ x
    y = g(x)
    while True:
        yield x
        new = w @ (x - a * y)
        x, y = new, w @ y + g(new) - g(x)


PAPERS = {
    "d-psgd": d_psgd,
    "extra": extra,
    "exact-diffusion": exact_diffusion,
    "d2": d2,
    "gradient-tracking": gradient_tracking,
}
EYE = torch.eye(WIDTH, dtype=torch.float64)
each = pytest.mark.parametrize("name", ALGORITHMS)


def test_every_algorithm_has_its_paper() -> None:
    assert PAPERS.keys() == ALGORITHMS.keys()


@each
@pytest.mark.parametrize("spec", GRAPHS)
@pytest.mark.parametrize("loss", ["squares", "logistic"])
def test_twin(name: str, spec: str, loss: str) -> None:
    problem, links, gamma = Toy(range(PEERS), loss=loss), metropolis(GRAPHS[spec]), ALGORITHMS[name].gamma
    a, label = problem.a.numpy(), problem.b.numpy()

    def gradient(x: Matrix) -> Matrix:
        rows = []
        for i in range(PEERS):
            z = a[i] @ x[i]
            slope = z - label[i] if loss == "squares" else -label[i] / (1 + np.exp(label[i] * z))
            rows.append(a[i].T @ slope / len(z) + problem.l2 * x[i])
        return np.stack(rows)

    simulator = Simulator(
        ALGORITHMS[name].make(STEP, no_penalty), problem, static(links), Mixing(gamma=gamma)
    )
    runs = after(simulator, simulator.init(start()), 40)[1:]
    twin = PAPERS[name](dense(links, PEERS, gamma), start().numpy(), gradient, STEP)
    for run, expected in zip(runs, twin, strict=False):
        np.testing.assert_allclose(run.state.x.numpy(), expected, rtol=1e-10, atol=1e-11)


def learned(
    name: str, problem: Toy, graph: nx.Graph, rounds: int, step: float, *, prox: Prox = no_penalty
) -> torch.Tensor:
    method = ALGORITHMS[name]
    algorithm, mixing, links = method.make(step, prox), Mixing(gamma=method.gamma), metropolis(graph)
    check(name, algorithm, mixing, float(topology.eigenvalues(links, len(graph))[0]))
    simulator = Simulator(algorithm, problem, static(links), mixing)
    run = simulator.init(start(len(graph)))
    for _ in range(rounds):
        run = simulator.step(run)
    x: torch.Tensor = run.state.x
    return x


def ridge(problem: Toy) -> torch.Tensor:
    """The pooled optimum of squares, by the normal equations."""
    a, b = problem.a.reshape(-1, WIDTH), problem.b.reshape(-1)
    return torch.linalg.solve(a.T @ a / len(a) + problem.l2 * EYE, a.T @ b / len(a))


def newton(problem: Toy) -> torch.Tensor:
    """The pooled optimum of the logistic loss."""
    a, b, x = problem.a.reshape(-1, WIDTH), problem.b.reshape(-1), torch.zeros(WIDTH, dtype=torch.float64)
    for _ in range(30):
        p = torch.sigmoid(-b * (a @ x))
        gradient = -a.T @ (b * p) / len(a) + problem.l2 * x
        hessian = a.T @ (a * (p * (1 - p))[:, None]) / len(a) + problem.l2 * EYE
        x = x - torch.linalg.solve(hessian, gradient)
    return x


@pytest.mark.parametrize("name", ["exact-diffusion", "extra", "gradient-tracking"])
@pytest.mark.parametrize("loss", ["squares", "logistic"])
def test_exact_methods_reach_the_pooled_optimum(name: str, loss: str) -> None:
    problem = Toy(range(PEERS), loss=loss)
    optimum = ridge(problem) if loss == "squares" else newton(problem)
    step = 0.5 / float(problem.smoothness().max())
    x = learned(name, problem, GRAPHS[f"ring:{PEERS}"], 2500, step)
    assert ((x - optimum).norm(dim=1) / optimum.norm()).max() < 1e-10


def test_d2_reaches_it_where_the_spectrum_allows() -> None:
    problem = Toy(range(PEERS), loss="squares")
    x = learned("d2", problem, GRAPHS[f"full:{PEERS}"], 2500, 0.5 / float(problem.smoothness().max()))
    torch.testing.assert_close(x, ridge(problem).expand_as(x), rtol=1e-10, atol=1e-10)


def test_d_psgd_settles_exactly_where_theory_says_and_not_at_the_optimum() -> None:
    """The fixed point of x = W (x - a (H x - c)), solved as one linear system over all peers."""
    problem, graph = Toy(range(PEERS), loss="squares"), GRAPHS[f"ring:{PEERS}"]
    step = 0.5 / float(problem.smoothness().max())
    w = np.kron(dense(metropolis(graph), PEERS), np.eye(WIDTH))
    h = torch.block_diag(*(problem.a.mT @ problem.a / DATA + problem.l2 * EYE)).numpy()
    c = torch.einsum("nmp,nm->np", problem.a, problem.b).reshape(-1).numpy() / DATA
    one = np.eye(len(w))
    fixed = np.linalg.solve(one - w @ (one - step * h), w @ (step * c)).reshape(PEERS, WIDTH)
    x = learned("d-psgd", problem, graph, 1500, step)
    np.testing.assert_allclose(x.numpy(), fixed, rtol=1e-9, atol=1e-10)
    assert (x - ridge(problem)).norm(dim=1).max() > 1e-2


@pytest.mark.parametrize("name", ["exact-diffusion", "extra", "gradient-tracking"])
def test_proximal_versions_reach_the_pooled_lasso(name: str) -> None:
    from sklearn.linear_model import Lasso

    problem, l1 = Toy(range(PEERS), loss="squares", l2=0.0), 2.0
    lasso = Lasso(alpha=l1, fit_intercept=False, tol=1e-14, max_iter=100_000)
    lasso.fit(problem.a.reshape(-1, WIDTH).numpy(), problem.b.reshape(-1).numpy())
    optimum = torch.from_numpy(lasso.coef_)
    assert 0 < (optimum == 0).sum() < WIDTH, "a case that shows something has some zeros"
    step = 0.3 / float(problem.smoothness().max())
    x = learned(name, problem, GRAPHS[f"ring:{PEERS}"], 4000, step, prox=lambda x, a: soft(x, a, l1))
    torch.testing.assert_close(x, optimum.expand_as(x), rtol=1e-8, atol=1e-9)


def test_check_refuses_what_would_not_converge() -> None:
    smallest = -0.6  # of a torus with raw weights
    with pytest.raises(Incompatible, match=r"d2 needs every eigenvalue of the mixing matrix above -0\.333"):
        check("d2", ALGORITHMS["d2"].make(0.1, no_penalty), Mixing(), smallest)
    check("exact-diffusion", ALGORITHMS["exact-diffusion"].make(0.1, no_penalty), Mixing(gamma=0.5), smallest)
    with pytest.raises(Incompatible, match=r"extra requires MEAN and LINEAR .* Maximum over Direct"):
        check("extra", Extra(0.1), Mixing(Maximum()), smallest)
    check("d-psgd", DPSGD(0.1), Mixing(Average()), smallest)


def test_d2_does_diverge_where_check_refuses_it() -> None:
    """The bound is no superstition: best-constant weights on a ring of six have an eigenvalue below it."""
    graph = topology.load("ring:6")
    links = WEIGHTS["best-constant"](graph)
    assert topology.eigenvalues(links, 6)[0] < -0.34
    problem = Toy(range(6), peers=6, loss="squares")
    algorithm = ALGORITHMS["d2"].make(0.5 / float(problem.smoothness().max()), no_penalty)
    simulator = Simulator(algorithm, problem, static(links))
    x = after(simulator, simulator.init(start(6)), 400)[-1].state.x
    assert not x.abs().max() < 1e3
