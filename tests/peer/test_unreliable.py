"""A transport that loses and doubles: how often, which ones, and that nothing else changes."""

from queue import SimpleQueue

import numpy as np
import pytest

from gossipfl import rng
from gossipfl.peer import Chances, Memory, Unreliable


class World:
    """One sender and two receivers in memory, and chances that can be changed."""

    def __init__(self, loss=0.0, duplicate=0.0, me=0, seed=7):
        hub = [SimpleQueue() for _ in range(3)]
        self.chances = Chances(loss, duplicate)
        self.sender = Unreliable(Memory(me, hub), lambda: self.chances, me, seed)
        self.others = {to: Memory(to, hub) for to in range(3) if to != me}

    def send(self, count, to=1, first=0):
        return [self.sender.send(to, [str(k).encode()]) for k in range(first, first + count)]

    def arrived(self, to=1):
        return [int(frames[0]) for frames in iter(lambda: self.others[to].recv(0.0), None)]


def test_without_chance_it_is_the_transport():
    world = World()
    assert all(world.send(300))
    assert world.arrived() == list(range(300))
    world.others[1].send(0, [b"back"])
    assert world.sender.recv(0.0) == [b"back"]
    assert world.sender.recv(0.0) is None
    world.sender.close()


def test_each_message_meets_the_fate_that_is_drawn_for_it():
    world = World(loss=0.3, duplicate=0.2)
    assert all(world.send(5000)), "a sender learns nothing of what is lost"
    fates = [
        rng.uniform(7, "unreliable", np.array([0]), block, 256).reshape(128, 2).tolist()
        for block in range(40)
    ]
    expected = []
    for k, (loss, double) in enumerate([fate for block in fates for fate in block][:5000]):
        expected += [] if loss < 0.3 else [k, k] if double < 0.2 else [k]
    assert world.arrived() == expected
    assert world.sender.dropped == pytest.approx(1500, abs=5 * (5000 * 0.21) ** 0.5)
    assert world.sender.doubled == pytest.approx(700, abs=5 * (5000 * 0.14 * 0.86) ** 0.5)
    assert len(expected) == 5000 - world.sender.dropped + world.sender.doubled


def test_chances_change_in_time_and_the_fates_stay_those_of_the_message():
    world, whole = World(), World(loss=0.5)
    world.send(100)
    world.chances = Chances(loss=0.5)
    world.send(100, first=100)
    world.chances = Chances()
    world.send(100, first=200)
    whole.send(300)
    lost = {*range(300)} - {*whole.arrived()}
    assert {*range(300)} - {*world.arrived()} == {k for k in lost if 100 <= k < 200} != set()


def test_certain_loss_and_certain_doubling():
    world = World(loss=1.0)
    world.send(200)
    assert world.arrived() == []
    world.chances = Chances(duplicate=1.0)
    world.send(200)
    assert world.arrived() == [k for k in range(200) for _ in range(2)]


def test_peers_and_seeds_have_fates_of_their_own():
    def fate(me, seed):
        world = World(0.5, me=me, seed=seed)
        world.send(200, to=2)
        return world.arrived(2)

    assert fate(0, 7) == fate(0, 7)
    assert fate(0, 7) != fate(1, 7)
    assert fate(0, 7) != fate(0, 8)


def test_a_full_queue_is_still_said():
    class Full:
        def send(self, to, frames):
            return False

        def recv(self, timeout):
            return None

        def close(self):
            return

    sender = Unreliable(Full(), lambda: Chances(0.0, 1.0), 0, 0)
    assert not sender.send(1, [b""])
    assert sender.doubled == 0
