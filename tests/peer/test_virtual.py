"""Whatever befalls live peers for a while, nobody settles before it is over, and all end together at the optimum of all.

No peer refuses what another one says, since all are honest.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import networkx as nx
import pytest
import torch
from sparing import sparing
from virtual import World
from worlds import WIDTH, Toy, newton

from gossipfl import topology
from gossipfl.algorithms import Summed
from gossipfl.algorithms.sums import DampedNewton
from gossipfl.engine import relative_distance
from gossipfl.mixing import Mixing, Sum
from gossipfl.peer.neighbourhood import ENDED, WAITS
from gossipfl.peer.wire import MAIN, decode, encode
from gossipfl.simulator import Simulator
from gossipfl.topology import cycle, tree

KINDS = sparing(["exact-diffusion", "newton", "tree", "gradient-tracking", "extra"], 2)


def all_end_together_at_the_optimum(world: World, apart: int = 1) -> None:
    """They end at most `apart` rounds from each other."""
    world.run(150.0)
    refusals = [exchange.refusals for exchange in world.exchanges.values()]
    assert not any(refusals), refusals
    killed = {me: world.points[me] for me in world.points.keys() - world.ended if world.lives[me].over}
    ends = world.ended | killed  # a peer may be killed in the exchange in which all others settle
    assert len(ends) == len(world.graph), "everybody settles"
    rounds = {round for round, _ in ends.values()}
    assert max(rounds) - min(rounds) <= apart
    optimum = newton(Toy(range(len(world.graph)), peers=len(world.graph)))
    for _, x in ends.values():
        assert float(relative_distance(x, optimum[None]).max()) <= 1e-8


@pytest.mark.parametrize("kind", KINDS)
def test_without_faults(kind: str) -> None:
    all_end_together_at_the_optimum(World(topology.load("ring:5"), kind))


def test_one_that_goes_on_while_others_take_a_certificate_is_refused_by_nobody() -> None:
    """If a peer calls off that it has converged, some hear of it before the certificate begins, and others after that."""
    rounds: list[int] = []

    def world(calls_off: int = -1) -> World:
        made = World(topology.load("ring:4"), "exact-diffusion", certified=True)

        def says(frames: list[bytes]) -> list[bytes]:
            header = decode(frames[0])
            rounds.extend([header.number] * (header.method == MAIN and not header.leaving))
            if header.number != calls_off:
                return frames
            return [encode(msgspec.structs.replace(header, converged=b"")), frames[1]]

        made.lies[1] = says
        all_end_together_at_the_optimum(made)
        return made

    assert world().voids == 0
    made = world(calls_off=max(rounds))
    assert made.voids > 0
    assert not any(exchange.refused for exchange in made.exchanges.values())


@pytest.mark.parametrize("kind", ["newton", "tree"])
def test_lost_messages_are_sent_again(kind: str) -> None:
    """On a tree a peer may be many exchanges ahead when its parent asks for a message again."""
    world = World(topology.load("line:6"), kind)
    world.loses = 0.05
    all_end_together_at_the_optimum(world, apart=5)  # some hear of the end by a goodbye
    assert world.now < 110.0


@pytest.mark.parametrize("spec", ["ring:5", "tree:2:2", "er:8:0.4"])
def test_sums_along_a_tree_give_the_bits_of_the_simulator(spec: str) -> None:
    """Law B, whenever peers begin, and however long messages travel."""
    graph = topology.load(spec)
    size, chance = len(graph), random.Random(1)
    world = World(graph, "tree", begins=[chance.uniform(0.0, 2.0) for _ in range(size)])
    world.travels = 0.001, 0.02
    world.run(150.0)
    assert len(world.ended) == size
    toys, along = [Toy([peer], peers=size) for peer in range(size)], tree(graph)
    simulator = Simulator(
        world.summed(toys), Toy(range(size), peers=size), cycle(along.rounds()), Mixing(Sum())
    )
    run = simulator.init(torch.zeros(size, WIDTH, dtype=torch.float64))
    while not run.state.finished:
        run = simulator.step(run)
    for me, (round, x) in world.ended.items():
        assert (round, x.tolist()) == (run.round, run.state.x[me : me + 1].tolist())


class Unlike(World):
    """Peer 2 has a processor of another kind: its Newton steps have other last digits."""

    def summed(self, toys: Sequence[Toy]) -> Summed:
        made = super().summed(toys)
        assert isinstance(made.method, DampedNewton)
        method = Rough(made.method.objective, made.method.loss, made.method.tolerance)
        return replace(made, method=method) if toys[0].rows[0] == 2 else made


class Rough(DampedNewton):
    def _direction(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return super()._direction(x, g, h) * (1 + 2**-50)


def test_unlike_processors_repair_their_models() -> None:
    """Law C: the digests tell that models differ, and all take their mean."""
    world = Unlike(topology.load("ring:5"), "tree", begins=[0.0] * 5)
    all_end_together_at_the_optimum(world)
    assert min(float(state.repairs) for state in world.states.values()) >= 1
    models = torch.cat([x for _, x in world.ended.values()])
    assert len(models.unique(dim=0)) <= 2
    assert float(relative_distance(models, models[:1]).max()) <= 1e-12


@pytest.mark.parametrize("seed", sparing(range(4)))
def test_who_has_finished_stays_at_the_optimum_though_messages_are_lost(seed: int) -> None:
    """An incomplete sum is taken again. No other method takes over, which would begin anew, and move away."""
    world = World(topology.load("line:6"), "tree", seed, tolerance=0.0)
    world.at(100.5, lambda: setattr(world, "loses", 0.1))
    world.run(8.0)
    assert max(exchange.neighbours.rumours.broken for exchange in world.exchanges.values()) > 300
    optimum = newton(Toy(range(6), peers=6))
    for _, x in world.points.values():
        assert float(relative_distance(x, optimum[None]).max()) <= 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("spec", "leaf"), [("star:5", 4), pytest.param("tree:2:2", 6, marks=pytest.mark.slow)]
)
def test_a_leaf_that_hangs_is_waited_for(kind: str, spec: str, leaf: int) -> None:
    """All others give it up in the same exchange, and are converged in the one before."""
    world = World(topology.load(spec), kind)
    world.at(100.05, lambda: world.stop(leaf))
    world.at(103.0, lambda: world.resume(leaf))
    all_end_together_at_the_optimum(world)
    assert world.now > 103.0


def befall(world: World, chance: random.Random) -> None:
    """One to five faults in the first second, each of which is mended."""
    edges = list(nx.convert_node_labels_to_integers(world.graph).edges)
    for _ in range(chance.randint(1, 5)):
        begins, lasts = 100 + chance.uniform(0.01, 0.8), chance.choice([0.05, 0.3, 0.8, 2.0, 4.0])
        me, (a, b) = chance.randrange(len(world.graph)), chance.choice(edges)
        ways = chance.choice([{(a, b)}, {(b, a)}, {(a, b), (b, a)}])
        match chance.choice(["stop", "kill", "cut"]):
            case "stop":
                world.at(begins, lambda me=me: world.stop(me))
                world.at(begins + lasts, lambda me=me: world.resume(me))
            case "kill":
                fresh = chance.random() < 0.5
                world.at(begins, lambda me=me: world.lives[me].kill())
                world.at(begins + lasts, lambda me=me, fresh=fresh: world.begin(me, fresh))
            case "cut":
                world.at(begins, lambda ways=ways: world.cuts.update(ways))
                world.at(begins + lasts, lambda ways=ways: world.cuts.difference_update(ways))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spec", sparing(["ring:4", "star:5", "full:4"]))
@pytest.mark.parametrize("seed", sparing(range(8), 4))
def test_after_whatever_was_mended(kind: str, spec: str, seed: int) -> None:
    world = World(topology.load(spec), kind, seed)
    befall(world, random.Random(seed))
    all_end_together_at_the_optimum(world)


def deserted(kind: str, alone: float) -> World:
    """Peer 2 of a ring is killed, and the others settle without it."""
    world = World(topology.load("ring:4"), kind, absent=1.0, alone=alone)
    world.at(100.02, world.lives[2].kill)
    return world


def test_one_that_comes_back_to_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = deserted("exact-diffusion", alone=math.inf)
    world.when(lambda: len(world.ended) == 3, lambda: world.begin(2, late=True))
    world.run(15.0)
    assert world.ended.keys() == {0, 1, 3}
    assert world.now > 114
    assert not world.lives[2].wrong
    assert caplog.text.count(f"{ENDED}; {WAITS}") == 1
    assert world.points[2][0] < min(round for round, _ in world.ended.values()) / 2, "it has learned nothing"


def test_one_that_may_go_on_alone_does_so_when_it_has_waited() -> None:
    world = deserted("exact-diffusion", alone=5.0)
    back = []
    world.when(lambda: len(world.ended) == 3, lambda: back.append(world.now) or world.begin(2, late=True))
    world.run(300.0)
    assert world.ended.keys() == {0, 1, 2, 3}
    assert world.now > back[0] + 5.0
    own = newton(Toy([2], peers=4))
    assert float(relative_distance(world.ended[2][1], own[None]).max()) <= 1e-8


def test_one_that_comes_back_while_others_say_goodbye_stops_with_their_model() -> None:
    """It is there all the time, but nothing reaches it before they have settled."""
    world, walls = deserted("newton", alone=math.inf), {(1, 2), (3, 2), (2, 1), (2, 3)}
    world.at(100.5, lambda: world.cuts.update(walls))
    world.at(100.5, lambda: world.begin(2))
    world.when(lambda: len(world.ended) == 3, world.cuts.clear)
    world.run(60.0)
    assert world.ended.keys() == {0, 1, 2, 3}
    assert world.ended[2][0] == max(round for round, _ in world.ended.values())
    assert any(torch.equal(world.ended[2][1], world.ended[me][1]) for me in (1, 3))
    theirs = newton(Toy([0, 1, 3], peers=4))
    assert float(relative_distance(world.ended[2][1], theirs[None]).max()) <= 1e-8


def test_all_that_were_killed_wait_for_each_other(caplog: pytest.LogCaptureFixture) -> None:
    world = World(topology.load("ring:4"), "newton")
    for me, begins in enumerate((101, 107, 108, 109)):
        world.at(100.02 + me / 100, world.lives[me].kill)
        world.at(begins, lambda me=me: world.begin(me))
    all_end_together_at_the_optimum(world)
    assert world.now > 109
    assert "does not answer" not in caplog.text, "whoever comes has as much time as others"
