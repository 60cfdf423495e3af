"""The links between peers, with plain sockets in the peers' place: which are cut, late or broken off by what."""

import select
import socket
import time
from contextlib import closing

import networkx as nx
import pytest

from gossipfl.experiment.launch.processes import forkserver
from gossipfl.faults import Due
from gossipfl.faults.network import FaultyNetwork


class World:
    """Four peers on a ring; each listens, and has a connection to each neighbour."""

    def __init__(self):
        self.listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
        self.between = FaultyNetwork(nx.cycle_graph(4), forkserver(), 0)
        told = []
        for me, s in enumerate(self.listening):
            assert told == []
            told = self.between.listens(me, f"tcp://127.0.0.1:{s.getsockname()[1]}")
        assert told == [0, 1, 2, 3]
        assert self.between.listens(2, self.between.endpoints[2]) == [2], "it lives again"
        self.near, self.far = {}, {}
        for me in range(4):
            for other, endpoint in self.between.connections(me).items():
                at = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
                self.near[me, other] = socket.create_connection(at, timeout=200)
                self.far[me, other] = self.listening[other].accept()[0]
                self.far[me, other].settimeout(200)

    def heard(self):
        """The pairs whose word comes through: each says one, those that are silent by then are cut."""
        for pair in self.near:
            self.near[pair].sendall(b"x")
        open_, ready = {*self.near}, set()
        while more := select.select([self.far[pair] for pair in open_ - ready], [], [], 0.3)[0]:
            ready |= {pair for pair in open_ if self.far[pair] in more}
        for pair in ready:
            self.far[pair].recv(100)
        return ready

    def close(self):
        self.between.close()
        for one in (*self.listening, *self.near.values(), *self.far.values()):
            one.close()


@pytest.fixture
def world():
    with closing(World()) as made:
        yield made


def test_cuts_add_up_and_heal_one_by_one(world):
    everything = {(a, b) for a in range(4) for b in ((a + 1) % 4, (a - 1) % 4)}
    assert world.heard() == everything
    world.between.change(Due(0, "cut", (0, 1)))
    sides = {(0, 1), (1, 0), (2, 3), (3, 2)}
    assert world.heard() == sides
    world.between.change(Due(0, "cut", (0,)))
    assert world.heard() == {(2, 3), (3, 2)}
    world.between.change(Due(0, "heal", (0, 1)))
    assert world.heard() == {pair for pair in everything if 0 not in pair}
    world.between.change(Due(0, "heal", (0,)))
    assert world.heard() == everything


@pytest.mark.parametrize("pair", [(2, 1), (1, 2)])
def test_a_delay_is_for_what_a_peer_sends_or_is_sent(world, pair):
    world.between.change(Due(0, "delay", (2,), 0.2))
    world.between.change(Due(0, "delay", (1,), 0.1))
    began = time.monotonic()
    world.near[pair].sendall(b"late")
    world.near[0, 3].sendall(b"soon")
    assert select.select([world.far[pair], world.far[0, 3]], [], [], 30)[0] == [world.far[0, 3]]
    assert world.far[pair].recv(4) == b"late"
    assert time.monotonic() - began >= 0.2
    world.far[0, 3].recv(4)
    for peer in (1, 2):
        world.between.change(Due(0, "delay", (peer,)))
    assert len(world.heard()) == 8


def test_a_reset_breaks_all_connections_of_a_peer_off(world):
    world.between.change(Due(0, "reset", (3,)))
    for pair, near in world.near.items():
        if 3 in pair:
            with pytest.raises(ConnectionResetError):
                near.recv(1)
    assert select.select([near for pair, near in world.near.items() if 3 not in pair], [], [], 0)[0] == []
