"""Whatever befalls live peers for a while, nobody settles before it is over, and all end together at the optimum of all."""

import random

import networkx as nx
import pytest
from sparing import sparing
from virtual import World
from worlds import Toy, newton

from gossipfl import topology
from gossipfl.engine import relative_distance

KINDS = sparing(["exact-diffusion", "newton", "gradient-tracking", "extra"], 2)


def all_end_together_at_the_optimum(world: World) -> None:
    world.run(150.0)
    killed = {me: world.points[me] for me in world.points.keys() - world.ended if world.lives[me].over}
    ends = world.ended | killed  # a peer may be killed in the exchange in which all others settle
    assert len(ends) == len(world.graph), "everybody settles"
    rounds = {round for round, _ in ends.values()}
    assert max(rounds) - min(rounds) <= 1
    optimum = newton(Toy(range(len(world.graph)), peers=len(world.graph)))
    for _, x in ends.values():
        assert float(relative_distance(x, optimum[None]).max()) <= 1e-8


@pytest.mark.parametrize("kind", KINDS)
def test_without_faults(kind: str) -> None:
    all_end_together_at_the_optimum(World(topology.load("ring:5"), kind))


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
