"""Each algorithm against its paper, written with dense matrices, and against the optimum that it should reach."""

from collections.abc import Callable, Iterator

import networkx as nx
import numpy as np
import pytest
import torch
from worlds import DATA, PEERS, STEP, WIDTH, Toy, after, dense, lopsided, metropolis, newton, soft, start

from gossipfl import topology
from gossipfl.algorithms import (
    ALGORITHMS,
    DPSGD,
    Extra,
    Ingredients,
    NetworkTraits,
    Newton,
    Prox,
    made,
    no_penalty,
)
from gossipfl.errors import Incompatible
from gossipfl.experiment.study.fit import check
from gossipfl.mixing import Average, Compressed, Feedback, Maximum, Mixing, PullAndPush, Push
from gossipfl.mixing.compressors import TopK
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
    """Yuan et al. 2019, algorithm 1: adapt, correct, combine; psi starts at x. Here W is already (I + W)/2."""
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


def opapc(w: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Kovalev, Salim, Richtarik 2020, algorithm 2 (APAPC), gossip matrix I - W, here with L = 1/a, mu = chi = 1."""
    one, mu = np.eye(len(w)), 1.0
    tau = min(1.0, 0.5 * np.sqrt(1.0 / (1 / a / mu)))
    eta = 1 / (4 * tau / a)
    theta = 1 / eta
    y, xf = 0 * x, x
    while True:
        xg = tau * x + (1 - tau) * xf
        half = (x - eta * (g(xg) - mu * xg + y)) / (1 + eta * mu)
        y = y + theta * (one - w) @ half
        new = (x - eta * (g(xg) - mu * xg + y)) / (1 + eta * mu)
        x, xf = new, xg + 2 * tau / (2 - tau) * (new - x)
        yield x


def gradient_tracking(w: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Semi-ATC tracking: x' = W (x - a y); y' = W y + g(x') - g(x), from y = g(x).

    Here it starts after one round that only mixes.
    """
    x = w @ x
    y = g(x)
    while True:
        yield x
        new = w @ (x - a * y)
        x, y = new, w @ y + g(new) - g(x)


def sgp(c: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Assran et al. 2019, algorithm 1: x' = P (x - a g(z)), w' = P w, z' = x' / w'."""
    z, w = x, np.ones((len(x), 1))
    while True:
        x, w = c @ (x - a * g(z)), c @ w
        z = x / w
        yield z


def push_diging(c: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Nedic et al. 2017, algorithm 2, semi-ATC: u' = C (u - a y), v' = C v, x' = u'/v', y' = C y + g(x') - g(x).

    Here it starts after one round that only mixes.
    """
    u, v = c @ x, c @ np.ones((len(x), 1))
    x = u / v
    y = g(x)
    while True:
        yield x
        u, v = c @ (u - a * y), c @ v
        y, x = c @ y + g(u / v) - g(x), u / v


def push_pull(c: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Pu et al. 2021, algorithm 1 in the order x' = R (x - a y); y' = C y + g(x') - g(x), R averaging plainly."""
    r = (c != 0) / (c != 0).sum(1, keepdims=True)
    x = r @ x
    y = g(x)
    while True:
        yield x
        new = r @ (x - a * y)
        x, y = new, c @ y + g(new) - g(x)


def qg_dsgdm(w: Matrix, x: Matrix, g: Gradient, a: float) -> Iterator[Matrix]:
    """Lin et al. 2021, algorithm 1: x' = W (x - a (0.9 m + g(x))), m' = 0.9 m + 0.1 (x - x') / a."""
    m = 0 * x
    while True:
        new = w @ (x - a * (0.9 * m + g(x)))
        m, x = 0.9 * m + 0.1 * (x - new) / a, new
        yield x


PAPERS = {
    "d-psgd": d_psgd,
    "extra": extra,
    "exact-diffusion": exact_diffusion,
    "nids": exact_diffusion,  # without a penalty it is the same
    "d2": d2,
    "opapc": opapc,
    "gradient-tracking": gradient_tracking,
    "sgp": sgp,
    "push-diging": push_diging,
    "push-pull": push_pull,
    "qg-dsgdm": qg_dsgdm,
}
EYE = torch.eye(WIDTH, dtype=torch.float64)
each = pytest.mark.parametrize("name", PAPERS)


def test_every_algorithm_has_its_paper() -> None:
    assert PAPERS.keys() | {"newton"} == ALGORITHMS.keys()  # newton's twin is below


def numpy_gradient(problem: Toy) -> Gradient:
    a, label = problem.a.numpy(), problem.b.numpy()

    def gradient(x: Matrix) -> Matrix:
        rows = []
        for i in range(len(a)):
            z = a[i] @ x[i]
            slope = z - label[i] if problem.squares else -label[i] / (1 + np.exp(label[i] * z))
            rows.append(a[i].T @ slope / len(z) + problem.l2 * x[i])
        return np.stack(rows)

    return gradient


def mixing_of(name: str) -> Mixing:
    return Mixing(ALGORITHMS[name].aggregator, gamma=ALGORITHMS[name].gamma)


@each
@pytest.mark.parametrize("spec", GRAPHS)
@pytest.mark.parametrize("loss", ["squares", "logistic"])
def test_twin(name: str, spec: str, loss: str) -> None:
    problem, links = Toy(range(PEERS), loss=loss), metropolis(GRAPHS[spec])
    algorithm = made(name, Ingredients(STEP, beta=0.9 if name == "qg-dsgdm" else 0.0))
    simulator = Simulator(algorithm, problem, static(links), mixing_of(name))
    runs = after(simulator, simulator.init(start()), 40)[1:]
    w = dense(links, PEERS, ALGORITHMS[name].gamma)
    twin = PAPERS[name](w, start().numpy(), numpy_gradient(problem), STEP)
    for run, expected in zip(runs, twin, strict=False):
        np.testing.assert_allclose(run.state.x.numpy(), expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["sgp", "push-diging", "push-pull"])
def test_twin_on_a_directed_graph(name: str) -> None:
    problem, links = Toy(range(PEERS), loss="logistic"), lopsided()
    c = np.zeros((PEERS, PEERS))
    for i, j, share in zip(*(t.tolist() for t in links[:3]), strict=True):
        c[i, j] = share
    c += np.diag(1 - c.sum(0))
    simulator = Simulator(made(name, Ingredients(STEP)), problem, static(links), mixing_of(name))
    runs = after(simulator, simulator.init(start()), 60)[1:]
    for run, expected in zip(
        runs, PAPERS[name](c, start().numpy(), numpy_gradient(problem), STEP), strict=False
    ):
        np.testing.assert_allclose(run.state.x.numpy(), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["push-diging", "push-pull"])
def test_exact_methods_reach_the_optimum_on_a_directed_graph(name: str) -> None:
    problem = Toy(range(PEERS), loss="logistic")
    algorithm = made(name, Ingredients(0.2 / float(problem.smoothness().max())))
    simulator = Simulator(algorithm, problem, static(lopsided()), mixing_of(name))
    x = after(simulator, simulator.init(start()), 3000)[-1].state.x
    assert ((x - newton(problem)).norm(dim=1) / newton(problem).norm()).max() < 1e-11


@pytest.mark.parametrize("spec", [f"ring:{PEERS}", f"star:{PEERS}", f"line:{PEERS}"])
@pytest.mark.parametrize("loss", ["squares", "logistic"])
def test_newton_takes_the_steps_of_one_that_holds_all_data(spec: str, loss: str) -> None:
    problem, graph = Toy(range(PEERS), loss=loss), GRAPHS[spec]
    rounds = topology.averaging(graph).rounds(graph)
    algorithm = Newton(len(rounds), problem.hessian)
    simulator = Simulator(algorithm, problem, lambda k: rounds[k % len(rounds)])
    run, x = simulator.init(torch.zeros_like(start())), torch.zeros(WIDTH, dtype=torch.float64)
    for _ in range(8):
        all_at_x = x.expand(PEERS, -1)
        hessian, gradient = problem.hessian(all_at_x).mean(0), problem.grad(0)(all_at_x).mean(0)
        x = x - torch.linalg.solve(hessian, gradient)
        for _ in rounds:
            run = simulator.step(run)
        torch.testing.assert_close(run.state.x, x.expand(PEERS, -1), rtol=1e-11, atol=1e-12)
    optimum = ridge(problem) if loss == "squares" else newton(problem)
    torch.testing.assert_close(run.state.x, optimum.expand(PEERS, -1), rtol=1e-13, atol=1e-14)


def learned(
    name: str, problem: Toy, graph: nx.Graph, rounds: int, step: float, *, prox: Prox = no_penalty
) -> torch.Tensor:
    algorithm, mixing, links = made(name, Ingredients(step, prox)), mixing_of(name), metropolis(graph)
    check(name, algorithm, mixing, NetworkTraits(float(topology.eigenvalues(links, len(graph))[0])))
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
    """The fixed point of x = W (x - a (H x - c)), from one linear system over all peers."""
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


SHARES = {
    "alike": torch.ones(PEERS, 1),
    "each its own": torch.tensor([[0.125], [0.375], [1.0], [1.5], [2.0]]),
}


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("name", ["nids", "extra", "gradient-tracking", "push-pull"])
def test_proximal_versions_reach_the_pooled_lasso(name: str, shares: str) -> None:
    """Also if each peer has its own penalty: the pooled penalty is the mean."""
    from sklearn.linear_model import Lasso

    problem, l1 = Toy(range(PEERS), loss="squares", l2=0.0), 2.0
    lasso = Lasso(alpha=l1, fit_intercept=False, tol=1e-14, max_iter=100_000)
    lasso.fit(problem.a.reshape(-1, WIDTH).numpy(), problem.b.reshape(-1).numpy())
    optimum = torch.from_numpy(lasso.coef_)
    assert 0 < (optimum == 0).sum() < WIDTH, "the optimum should have some zeros, but not only zeros"
    step = 0.3 / float(problem.smoothness().max())
    own, graph = l1 * SHARES[shares].double(), GRAPHS[f"ring:{PEERS}"]
    x = learned(name, problem, graph, 4000, step, prox=lambda x, a: soft(x, a, own))
    torch.testing.assert_close(x, optimum.expand_as(x), rtol=1e-8, atol=1e-9)


def test_check_refuses_what_would_not_converge() -> None:
    smallest = NetworkTraits(-0.6)  # of a torus with raw weights
    with pytest.raises(Incompatible, match=r"d2 needs every eigenvalue of the mixing matrix above -0\.333"):
        check("d2", made("d2", Ingredients(0.1)), Mixing(), smallest)
    check("exact-diffusion", made("exact-diffusion", Ingredients(0.1)), Mixing(gamma=0.5), smallest)
    with pytest.raises(Incompatible, match=r"extra requires MEAN and LINEAR .* Maximum over Direct"):
        check("extra", Extra(0.1), Mixing(Maximum()), smallest)
    check("d-psgd", DPSGD(0.1), Mixing(Average()), smallest)


ONE_WAY, LOSING = NetworkTraits(doubly=False), NetworkTraits(reliable=False)
TURNING = NetworkTraits(changing=True, fixed=False, symmetric=False)
FED, BARE = (Mixing(channel=channel(TopK(0.1)), gamma=0.3) for channel in (Feedback, Compressed))


@pytest.mark.parametrize(
    ("name", "mixing", "network", "sentence"),
    [
        (
            "gradient-tracking",
            Mixing(),
            ONE_WAY,
            'requires MEAN .* set algorithm.kind = "push-diging" or "push-pull"',
        ),
        ("exact-diffusion", Mixing(Maximum()), LOSING, "requires .*RELIABLE"),
        (
            "gradient-tracking",
            Mixing(),
            LOSING._replace(symmetric=False),
            "requires RELIABLE .* undirected .*push-pull",
        ),
        ("gradient-tracking", FED, LOSING, "requires RELIABLE"),
        ("newton", Mixing(), LOSING, 'requires RELIABLE .* algorithm.kind = "exact-diffusion"'),
        ("push-diging", Mixing(Push()), LOSING, "requires RELIABLE"),
        (
            "exact-diffusion",
            FED,
            NetworkTraits(0.5),
            'requires LINEAR .* set algorithm.kind = "beer"',
        ),
        ("gradient-tracking", BARE, NetworkTraits(0.5), "requires SETTLING .* channel.feedback = true"),
        ("gradient-tracking", FED, TURNING, "no message may be missing"),
        ("d2", Mixing(), TURNING, "every eigenvalue"),
        (
            "push-pull",
            Mixing(PullAndPush()),
            NetworkTraits(changing=True, fixed=False),
            'requires FIXED .* set algorithm.kind = "gradient-tracking"',
        ),
        (
            "extra",
            Mixing(gamma=0.5),
            NetworkTraits(0.5, symmetric=False),
            'requires SYMMETRIC .* set algorithm.kind = "gradient-tracking"',
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(
    name: str, mixing: Mixing, network: NetworkTraits, sentence: str
) -> None:
    with pytest.raises(Incompatible, match=sentence):
        check(name, made(name, Ingredients(0.1)), mixing, network)


@pytest.mark.parametrize(
    ("name", "mixing", "network"),
    [
        ("push-diging", Mixing(Push()), ONE_WAY),
        ("push-pull", Mixing(PullAndPush()), NetworkTraits(doubly=False, reliable=False)),
        ("gradient-tracking", FED, NetworkTraits(0.5)),
        ("d-psgd", BARE, NetworkTraits(0.5)),
        ("exact-diffusion", Mixing(gamma=0.5), TURNING),
        ("gradient-tracking", Mixing(), TURNING),
        ("d-psgd", Mixing(), NetworkTraits(0.5, reliable=False)),
        ("exact-diffusion", Mixing(gamma=0.5), LOSING),
        ("extra", Mixing(gamma=0.5), LOSING),
        ("gradient-tracking", Mixing(), LOSING._replace(changing=True, fixed=False)),
    ],
)
def test_what_fits_is_let_through(name: str, mixing: Mixing, network: NetworkTraits) -> None:
    check(name, made(name, Ingredients(0.1)), mixing, network)


def test_d2_does_diverge_where_check_refuses_it() -> None:
    """The bound is needed: best-constant weights on a ring of six have an eigenvalue below it."""
    graph = topology.load("ring:6")
    links = WEIGHTS["best-constant"](graph)
    assert topology.eigenvalues(links, 6)[0] < -0.34
    problem = Toy(range(6), peers=6, loss="squares")
    algorithm = made("d2", Ingredients(0.5 / float(problem.smoothness().max())))
    simulator = Simulator(algorithm, problem, static(links))
    x = after(simulator, simulator.init(start(6)), 400)[-1].state.x
    assert not x.abs().max() < 1e3
