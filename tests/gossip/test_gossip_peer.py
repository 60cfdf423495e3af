"""A live gossiping peer as an engine: its cycles follow its clock, and neighbours may be behind."""

from itertools import islice

import pytest
import torch
from gossip_worlds import SVM
from test_gossiper import gossiper, says
from test_letter import STUDY
from test_live import PERIOD, Script, Slow
from worlds import met

from gossipfl.gossip import RECEIVED, SENT, GossipLearning
from gossipfl.gossip.letters import CARRIES
from gossipfl.peer import GossipPeer, Inbox
from gossipfl.peer.letter import Letter, write
from gossipfl.peer.wire import Header, encode, gossips

START = torch.zeros(1, 5, dtype=torch.float64)


def lives(script, cycles, learning=None):
    engine = GossipPeer(gossiper(learning=learning), script, PERIOD, script.clock)
    return engine, [(run.round, script.now) for run in islice(engine.rounds(engine.init(START)), cycles)]


def test_a_cycle_is_a_period_whatever_comes_in_it():
    script = Script(*((0.3 * k, says(1 + k % 3, age=k)) for k in range(100)))
    engine, seen = lives(script, 20)
    assert [cycle for cycle, _ in seen] == list(range(1, 21))
    assert all(PERIOD * cycle <= now < PERIOD * (cycle + 1) for cycle, now in seen)
    assert engine.messages_sent == int(engine.gossiper.run.tally[0, SENT]) > 0
    assert engine.bytes_sent > 0


def test_cycles_that_learning_took_are_over_when_it_is():
    script = Script((0.1, says(1)), (30.0, says(2)))
    slow = GossipLearning(Slow(script, 5 * PERIOD), jitter=0.0)
    _, seen = lives(script, 12, slow)
    assert [cycle for cycle, _ in seen] == list(range(1, 13))
    assert [now for _, now in seen][:5] == pytest.approx([0.1 + 5 * PERIOD] * 5)


def test_a_run_goes_on_from_its_cycle():
    script = Script()
    engine = GossipPeer(gossiper(learning=GossipLearning(SVM, jitter=0.0)), script, PERIOD, script.clock)
    *_, run = islice(engine.rounds(engine.init(START)), 5)
    sent = engine.messages_sent
    assert [r.round for r in islice(engine.rounds(run), 5)] == [6, 7, 8, 9, 10]
    assert engine.messages_sent - sent == 5, "it wakes as often as before"
    assert engine.step(run).round == 6


def test_it_starts_where_it_is_told_and_says_how_far_it_is_from_what_it_heard():
    script = Script((0.1, says(1, value=3.0)))
    engine = GossipPeer(gossiper(), script, PERIOD, script.clock)
    run = engine.init(START + 2)
    assert run.replicas is None
    assert run.state.x.tolist() == run.state.last.tolist() == [[2.0] * 5]
    run = engine.step(run)
    assert run.state.tally[0, RECEIVED] == 1
    x = run.state.x
    assert float(engine.disagreement(run)) == pytest.approx(float((x - 3).norm() / x.norm()))
    assert not engine.settled(torch.tensor([True]))


def test_goodbye_is_said_to_those_who_are_left():
    script = Script((0.1, says(2, leaving="rounds", kind=2)))
    engine, _ = lives(script, 1)
    script.sent.clear()
    engine.leave("interrupted")
    assert sorted(to for _, to in script.sent) == [1, 3]


def test_who_still_agrees_takes_no_notice_of_letters():
    neighbours = met(1, 2)
    inbox = Inbox(STUDY, neighbours)
    inbox.advance(0, 40)
    for tick in range(300):
        letter = Letter(gossips(STUDY), 1, tick, age=tick, kind=CARRIES)
        inbox.put(write(letter, torch.zeros(1, 5, dtype=torch.float64)))
        inbox.put([encode(Letter(gossips(STUDY), 2, tick, leaving="rounds")), b""])
    assert inbox.refused == 0
    assert not any(one.strange or one.goodbye for one in neighbours.values())
    assert inbox.missing([1, 2]) == [1, 2]
    inbox.put([encode(Header(STUDY, 1, 0)), b"x" * 40])
    assert inbox.missing([1, 2]) == [2]
