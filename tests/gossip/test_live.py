"""A gossiping peer over time: in a scripted world whose clock the script moves, and over real transports."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from threading import Event

import pytest
import torch
from gossip_worlds import SVM, Still
from test_gossiper import gossiper, says

from gossipfl.gossip import LOST, MISSED, RECEIVED, SENT, GossipLearning
from gossipfl.peer import Memory, ZeroMQ, live
from gossipfl.peer.gossip_peer import AT_ONCE, WHOLE

PERIOD = 2.0


class Script:
    """A transport and a clock. Each message has its time of arrival; time passes while there is no message."""

    sender = None  # links have no keys

    def __init__(self, *messages, full=False):
        self.now, self.coming, self.full, self.sent = 0.0, list(messages), full, []

    def clock(self):
        return self.now

    def send(self, to, frames):
        self.sent.append((self.now, to))
        return not self.full

    def recv(self, timeout):
        assert 0 <= timeout <= PERIOD
        if not self.coming or self.coming[0][0] > self.now + timeout:
            self.now += timeout
            return None
        when, frames = self.coming.pop(0)
        self.now = max(self.now, when)
        return frames

    def close(self):
        return


def lives(peer, script, until):
    """The run when the script's clock reaches `until`."""
    return next(run for run in live(peer, script, PERIOD, script.clock) if script.now >= until)


def test_in_silence_it_wakes_once_a_period_and_never_spins():
    script = Script()
    peer = gossiper(learning=GossipLearning(SVM, jitter=0.0))
    runs = islice(live(peer, script, PERIOD, script.clock), 22)
    assert any(run.tally[0, SENT] == 20 for run in runs)
    assert len(script.sent) == 20
    first = script.sent[0][0]
    assert [when - first for when, _ in script.sent] == pytest.approx(
        [k * PERIOD for k in range(20)], abs=2 * WHOLE
    )


def test_what_comes_is_learned_from_when_it_comes():
    script = Script((3.0, says(1, age=4)), (3.5, [b"junk"]), (3.7, says(2, age=9)))
    peer = gossiper()
    ages = {}
    for run in live(peer, script, PERIOD, script.clock):
        ages.setdefault(int(run.ages[0]), script.now)
        if script.now > 5:
            break
    assert ages == {0: ages[0], 5: 3.0, 10: 3.7}
    assert peer.refused == 1


def test_who_sent_what_is_refused_is_told(caplog):
    script = Script((3.0, says(1, study=b"another!")), (3.5, [b"junk"]))
    refused = []
    next(
        run
        for run in live(gossiper(), script, PERIOD, script.clock, refuse=refused.append)
        if script.now >= 4
    )
    assert [error.told({1: "Cleveland"}) for error in refused] == [
        "Cleveland takes part in another study",
        "a message of 1 frames; it should have 2",
    ]
    script = Script((3.0, says(1, study=b"another!")))
    next(run for run in live(gossiper(), script, PERIOD, script.clock) if script.now >= 4)
    assert caplog.messages == ["refused a message: peer 1 takes part in another study"]


class Slow:
    """Learning takes time."""

    def __init__(self, script, seconds):
        self.script, self.seconds = script, seconds

    def __call__(self, w, age, x, y):
        self.script.now += self.seconds
        return w


def test_a_straggler_speaks_after_each_model_and_falls_behind_in_nothing_but_learning():
    script = Script(*((0.1 * k, says(1 + k % 3, age=k)) for k in range(3000)))
    peer = gossiper(learning=GossipLearning(Slow(script, 10 * PERIOD), jitter=0.0))
    waiting = []
    for run in live(peer, script, PERIOD, script.clock):
        waiting.append((peer.waiting, run.tally[0].tolist()))
        if script.now >= 280:
            break
    assert max(most for most, _ in waiting) <= 3, "of 200 models that come while it learns from one"
    sent, _, received, missed = waiting[-1][1]
    assert 13 <= sent <= 16, "a message a pass, and none for the wake-ups that it missed"
    assert received + missed == 3000 - len(script.coming)
    assert missed > 2000


def test_a_flood_does_not_keep_it_from_waking():
    script = Script(*((0.0, says(1, age=k)) for k in range(5 * AT_ONCE)))
    peer = gossiper(learning=GossipLearning(Slow(script, PERIOD)))
    run = lives(peer, script, 5 * PERIOD)
    assert run.tally[0, SENT] >= 4
    assert script.coming == []


def test_messages_that_nobody_takes_are_lost_and_counted():
    script = Script(full=True)
    run = lives(gossiper(), script, 5 * PERIOD)
    sent, lost, _, _ = run.tally[0].tolist()
    assert sent == lost == len(script.sent) > 3


def together(transports, times=60):
    """The runs of peers that live in threads until each has learned a number of times."""
    done = [Event() for _ in transports]

    def one(me):
        peer = gossiper(me, GossipLearning(Still()), peers=len(transports))
        peer.run.models[:] = float(me)
        peer.run.last[:] = float(me)

        def over(run):
            if run.tally[0, RECEIVED] >= times:
                done[me].set()
            return all(event.is_set() for event in done)

        return peer, next(run for run in live(peer, transports[me], 0.002) if over(run))

    with ThreadPoolExecutor(len(transports)) as pool:
        return list(pool.map(one, range(len(transports))))


def agree(lived):
    x = torch.cat([run.x for _, run in lived])
    assert float(x.max() - x.min()) < 0.1, "0, 1 and 2 at first"
    assert 0 <= float(x.min()) <= float(x.max()) <= 2
    for peer, run in lived:
        assert peer.refused == 0
        assert run.tally[0, SENT] > 0
        assert run.tally[0, LOST] == 0
        assert run.tally[0, MISSED] >= 0


def test_peers_agree_in_memory():
    hub = [SimpleQueue() for _ in range(3)]
    agree(together([Memory(me, hub) for me in range(3)]))


def test_peers_agree_over_sockets():
    transports = [ZeroMQ("tcp://127.0.0.1:*", 10**6) for _ in range(3)]
    for me, transport in enumerate(transports):
        transport.connect({k: other.endpoint for k, other in enumerate(transports) if k != me})
    try:
        agree(together(transports))
    finally:
        for transport in transports:
            transport.close(linger=0.0)


def test_a_run_is_a_function_of_what_comes_when():
    def once():
        script = Script(*((0.3 * k, says(1 + k % 3, value=k, age=k)) for k in range(100)))
        peer = gossiper(seed=3)
        runs = islice(live(peer, script, PERIOD, script.clock), 120)
        return [run.x.tolist() for run in runs], script.sent

    assert once() == once()
