"""Messages that get lost without the sender's knowledge: both engines, and the methods that tolerate it."""

import numpy as np
import torch
from worlds import PEERS, Toy, after, live, lopsided, metropolis, newton, start

from gossipfl import rng, topology
from gossipfl.algorithms import Consensus, Ingredients, leaves, made
from gossipfl.engine import Run
from gossipfl.mixing import Maximum, Mixing, PullAndPush, Push
from gossipfl.peer import Exchange, Peer
from gossipfl.simulator import Simulator
from gossipfl.topology import Links, Topology

RING = topology.load(f"ring:{PEERS}")


def losing(links: Links, probability: float) -> Topology:
    """The same links in every round; each loses its message at random."""

    def of(round: int) -> Links:
        tossed = rng.uniform(5, "loss", np.arange(len(links.receivers)), round, 1)[:, 0]
        return links._replace(arrives=tossed >= probability)

    return of


def same_in_both_engines(name: str, mixing: Mixing, links: Links) -> None:
    schedule, x, toy = losing(links, 0.4), start(), Toy(range(PEERS), 3)
    simulator = Simulator(made(name, Ingredients(0.05)), toy, schedule, mixing)
    expected = after(simulator, simulator.init(x), 40)[-1]

    def act(i: int, exchange: Exchange) -> tuple[Run, int]:
        peer = Peer(exchange, made(name, Ingredients(0.05)), Toy([i], 3), schedule, mixing)
        return after(peer, peer.init(x[i : i + 1]), 40)[-1], peer.messages_sent

    runs, sent = zip(*live("memory", RING, act), strict=True)
    assert sum(sent) == simulator.messages_sent  # lost messages were sent too
    for field, tensor in leaves(expected.state).items():
        found = torch.cat([leaves(run.state)[field] for run in runs])
        torch.testing.assert_close(found, tensor, rtol=1e-11, atol=1e-12)


def test_engine_law_with_loss() -> None:
    same_in_both_engines("push-pull", Mixing(PullAndPush()), metropolis(RING))
    same_in_both_engines("d-psgd", Mixing(), metropolis(RING))
    same_in_both_engines("sgp", Mixing(Push()), metropolis(RING))


def test_push_pull_reaches_the_optimum_though_half_of_all_messages_are_lost() -> None:
    problem = Toy(range(PEERS), loss="logistic")
    algorithm = made("push-pull", Ingredients(0.1 / float(problem.smoothness().max())))
    simulator = Simulator(algorithm, problem, losing(lopsided(), 0.5), Mixing(PullAndPush()))
    x = after(simulator, simulator.init(start()), 8000)[-1].state.x
    optimum = newton(problem)
    assert ((x - optimum).norm(dim=1) / optimum.norm()).max() < 1e-9


def test_an_average_over_lost_messages_stays_an_average_and_a_maximum_comes_late() -> None:
    links, x = metropolis(RING), start()
    simulator = Simulator(Consensus(), None, losing(links, 0.4))
    same = after(simulator, simulator.init(torch.ones_like(x)), 9)[-1].state.x
    torch.testing.assert_close(same, torch.ones_like(x))
    simulator = Simulator(Consensus(), None, losing(links, 0.4), Mixing(Maximum()))
    top = after(simulator, simulator.init(x), 40)[-1].state.x
    assert torch.equal(top, x.amax(0).expand_as(x))
