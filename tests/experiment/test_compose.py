"""What a session is made of is composed once, and both engines take the same."""

import itertools
import threading
from queue import SimpleQueue

import pytest
import torch
from runs import settings

from gossipfl.algorithms import leaves
from gossipfl.config.file import parse
from gossipfl.experiment.learning.compose import Parts, compose
from gossipfl.experiment.learning.session import Session
from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.step import auto_step, largest, permitted
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.live.engines import Live
from gossipfl.experiment.live.following import Following, called, openings
from gossipfl.experiment.study.decay import Scheduled
from gossipfl.experiment.study.make import study
from gossipfl.peer import Exchange, Memory
from gossipfl.peer.fallback import PeerFallback
from gossipfl.peer.wire import ident
from gossipfl.simulator import SimulatedFallback

BEER = {
    "algorithm": {"kind": "beer", "decay": {"rounds": 10}},
    "channel": {"compress": "top-k", "keep": 0.5},
    "faults": [{"do": "kill", "round": 5, "peers": ["2"], "lasts": 5}],
}


def parts_of(session: Session) -> Parts:
    return compose(session.study, session.prepared)


def same(expected, found):
    """Equal states, bit for bit, but for what the peers hold of a sum."""
    for name in expected.keys() - {"v"}:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0, equal_nan=True)


def live(made, rows):
    """Sessions of live peers that talk in memory, each at the end of its agreement."""
    hub = {ident(name): SimpleQueue() for name in made.names}
    found = {}

    def one(me):
        name = made.names[me]
        transport = Memory(ident(name), hub)
        exchange = Exchange(ident(name), called(made), made.fingerprint, openings(made, me), transport, 30.0)
        engines = Live(made, me, exchange, transport, lambda: None)
        found[me] = Session(made, [rows[me]], [me], engines)

    threads = [threading.Thread(target=one, args=(me,)) for me in range(len(made.names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    return [found[me] for me in range(len(made.names))]


def test_a_fallback_has_the_steps_that_shrink_in_both_engines():
    """With decay, BEER and a fault the simulator's fallback took whole steps, and the live one's did not."""
    made = study(parse(settings(topology__graph="ring:4", **BEER)))
    rows = tables(made)
    simulated = Session(made, rows, range(4), Simulated(made))
    assert isinstance(simulated.engine, SimulatedFallback)
    engines = [simulated.engine]
    for session in live(made, rows):
        assert isinstance(session.engine, Following)
        assert isinstance(session.engine.inner, PeerFallback)
        engines.append(session.engine.inner)
    for engine in engines:
        for method in (engine.fast, engine.robust):
            assert isinstance(method.problem, Scheduled)
            assert method.problem.factor(10) == 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm__kind": "newton"},
        {"algorithm__kind": "exact-diffusion"},
        {"algorithm__kind": "push-pull"},
        BEER,
        {"algorithm__kind": "choco-sgd", "channel__compress": "int8"},
        {"algorithm__kind": "d-psgd", "algorithm__momentum": 0.5},
    ],
    ids=["newton", "exact-diffusion", "push-pull", "beer", "choco-sgd", "d-psgd"],
)
def test_both_engines_are_made_of_the_same_parts(changes):
    """All but the problem, which holds other rows, is equal; and a composition is a pure function."""
    made = study(parse(settings(topology__graph="ring:4", **changes)))
    rows = tables(made)
    sessions = [Session(made, rows, range(4), Simulated(made)), *live(made, rows)]
    told = [parts_of(session) for session in sessions]
    for parts, again in itertools.product(told, [told[0]]):
        assert parts.turn == again.turn
        assert parts.tolerant == again.tolerant
        for one, other in ((parts.main, again.main), (parts.fallback, again.fallback)):
            assert (one is None) == (other is None)
            if one and other:
                assert (one.kind, one.mixing, one.cycle) == (other.kind, other.mixing, other.cycle)
                assert type(one.algorithm) is type(other.algorithm)
    session = sessions[0]
    before = session.prepared
    assert parts_of(session).main.algorithm == parts_of(session).main.algorithm
    assert session.prepared is before


def test_a_session_that_learns_is_not_made_anew():
    """Its engine and what was prepared stay the objects that they were."""
    made = study(parse(settings(stop__rounds=20, algorithm__kind="newton")))
    session = Session(made, tables(made), range(len(made.names)), Simulated(made))
    before = dict(vars(session))
    for _ in session:
        pass
    changed = {name for name, value in vars(session).items() if before[name] is not value}
    assert changed <= {"cpu"}
    assert torch.isfinite(session.models).all()


def test_the_first_sum_of_a_method_rides_in_the_agreement():
    """With it all hear the largest smoothness constant. Learning goes on where it would be after that sum, bit for bit."""
    made = study(
        parse(settings(topology__graph="line:4", algorithm__kind="newton", algorithm__averaging="tree"))
    )
    rows = tables(made)
    session = Session(made, rows, range(4), Simulated(made))
    parts = parts_of(session)
    engine, _ = Simulated(made).learning(parts)
    run = engine.init(session.prepared.start)
    for _ in range(made.tree.exchanges):
        run = engine.step(run)
    expected, found = leaves(run.state), leaves(session.outcome.run.state)
    same(expected, found)
    assert session.agreement.exchanges == made.diameter + 2 * made.tree.exchanges
    kind = parts.fallback.kind
    twin = auto_step(made, kind, session.prepared.problem, lambda problem: float(problem.smoothness().max()))
    assert session.facts.fallback_step == twin
    alone = live(made, rows)
    for me, peer in enumerate(alone):
        same({name: tensor[me : me + 1] for name, tensor in found.items()}, leaves(peer.outcome.run.state))
        assert peer.facts.fallback_step == twin


@pytest.mark.parametrize(
    "more",
    [{}, {"data__standardise": "none"}, {"data__standardise": "local"}, {"model__class_weight": "balanced"}],
    ids=str,
)
def test_no_peer_makes_the_step_shorter_than_its_rows_could(more):
    """If one peer held nearly all that the totals allow, it would need a step about so short. A lie counts for no more."""
    made = study(parse(settings(topology__graph="ring:4", algorithm__kind="exact-diffusion", **more)))
    session = Session(made, tables(made), range(4), Simulated(made))
    problem, most = session.prepared.problem, permitted(made, session.facts.moments)
    assert float(problem.smoothness().max()) <= most < 1e3 * float(problem.smoothness().max())

    class Lying:
        def smoothness(self):
            return torch.tensor([1.0, 1.0, 1e150, 1.0], dtype=torch.float64)

    assert largest(session.agreement, False, most)(Lying()) == most
