"""With any faults, temporary or permanent: simulated peers stop, and each side is at the exact optimum of its data."""

from collections.abc import Sequence
from typing import Any

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparing import sparing
from torch import Tensor
from worlds import Toy, metropolis, newton

from gossipfl import topology
from gossipfl.algorithms import Ingredients, made
from gossipfl.engine import relative_distance
from gossipfl.experiment.learning.learn import Rest, Rhythm
from gossipfl.mixing import Mixing
from gossipfl.simulator import SimulatedFallback, Simulator
from gossipfl.topology import Fault, averaging, cycle, diameter, static
from gossipfl.topology.faults import afflicted

QUIET, MOST = 60, 8000  # rounds
GRAPHS = {spec: topology.load(spec, seed=1) for spec in ("ring:6", "star:5", "torus:2x4", "regular:8:4")}
Mended = tuple[list[Fault], set[int], list[frozenset[int]]]  # faults, dead peers, cuts that remain


@st.composite
def plans(draw: st.DrawFn, peers: int) -> Mended:
    """Events before round QUIET. After it no peer hangs and no message is lost; some peers stay dead, some cuts remain."""
    faults, gone, hang, cuts = [Fault(0, "loss", (), draw(st.sampled_from([0.0, 0.2])))], set(), set(), []
    anybody = st.integers(0, peers - 1)
    for round in sorted(draw(st.lists(st.integers(0, QUIET - 1), max_size=8))):
        peer, do = draw(anybody), draw(st.sampled_from(["kill", "stop", "back", "cut", "heal"]))
        if do == "kill":
            gone.add(peer)
            hang.discard(peer)
        elif do == "stop" and peer not in gone:
            hang.add(peer)
        elif do == "cut":
            cuts.append(frozenset(draw(st.sets(anybody, min_size=1, max_size=peers // 2))))
            faults.append(Fault(round, "cut", tuple(cuts[-1])))
        elif do == "heal":
            cuts = []
            faults.append(Fault(round, "heal", ()))
        elif do == "back":
            faults.append(Fault(round, "restart", (peer,), fresh=draw(st.booleans())))
            gone.discard(peer)
            hang.discard(peer)
        if do in ("kill", "stop"):
            faults.append(Fault(round, do, (peer,)))  # type: ignore[arg-type]
    faults += [Fault(QUIET, "loss", (), 0.0), *(Fault(QUIET, "continue", (peer,)) for peer in hang)]
    dead = {peer for peer in gone if draw(st.booleans())}
    dead = dead if len(dead) < peers else set()
    faults += [Fault(QUIET, "restart", (peer,), fresh=draw(st.booleans())) for peer in gone - dead]
    if cuts and draw(st.booleans()):
        faults, cuts = [*faults, Fault(QUIET, "heal", ())], []
    return faults, dead, cuts


def sides(graph: nx.Graph, dead: set[int], cuts: Sequence[frozenset[int]]) -> list[set[int]]:
    left = nx.convert_node_labels_to_integers(graph)
    left.remove_nodes_from(dead)
    left.remove_edges_from([(i, j) for i, j in left.edges if any((i in cut) != (j in cut) for cut in cuts)])
    return list(nx.connected_components(left))


def engine(name: str, toy: Toy, graph: nx.Graph, faults: list[Fault]) -> tuple[Any, int]:
    """The simulator of the method, and the number of rounds in a step."""
    peers, links, step = len(graph), metropolis(graph), 1 / float(toy.smoothness().max())
    ahead = diameter(graph), True

    def simulator(kind: str, whole: topology.Topology, gamma: float, turns: int = 1) -> Simulator:
        stride = 0.4 * step if kind == "gradient-tracking" else step
        algorithm = made(kind, Ingredients(stride, hessian=toy.hessian, cycle=turns))
        struck = afflicted(whole, peers, faults, seed=5, edges=links)
        return Simulator(algorithm, toy, struck, Mixing(gamma=gamma), *ahead, patience=8)

    if name != "newton":
        return simulator(name, static(links), 1.0 if name == "gradient-tracking" else 0.5), 1
    schedule = averaging(graph).rounds(graph)
    fast = simulator("newton", cycle(schedule), 1.0, len(schedule))
    return SimulatedFallback(fast, simulator("exact-diffusion", static(links), 0.5), len(schedule)), len(
        schedule
    )


def ended(name: str, toy: Toy, graph: nx.Graph, faults: list[Fault]) -> Tensor:
    """The models when all peers stop together."""
    simulator, turns = engine(name, toy, graph, faults)
    run = simulator.init(torch.zeros(len(graph), toy.width, dtype=torch.float64))
    rest = Rest(simulator, run, 1e-11, Rhythm(1, lambda: turns, diameter(graph), 1))
    while run.round < MOST:
        run = simulator.step(run)
        if rest.reached(run, run.round) and run.round > QUIET:
            return run.state.x
    raise AssertionError("they never stop")


@pytest.mark.parametrize("name", sparing(["exact-diffusion", "newton", "extra", "gradient-tracking"], 2))
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_each_side_ends_at_the_optimum_of_its_data(name: str, data: st.DataObject) -> None:
    spec = data.draw(st.sampled_from(sorted(GRAPHS)))
    graph = GRAPHS[spec]
    faults, dead, cuts = data.draw(plans(len(graph)))
    x = ended(name, Toy(range(len(graph)), peers=len(graph)), graph, faults)
    for side in sides(graph, dead, cuts):
        optimum = newton(Toy(sorted(side), peers=len(graph)))
        assert float(relative_distance(x[sorted(side)], optimum[None]).max()) <= 1e-8
