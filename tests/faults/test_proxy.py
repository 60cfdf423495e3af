"""The proxy by itself, between plain sockets: what it passes, holds, slows and breaks off."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from ports import free_ports

from gossipfl.errors import NetworkError
from gossipfl.experiment.launch.processes import forkserver
from gossipfl.faults.proxy import Proxy, Weather

AB, CD = (0, 1), (2, 3)


def listens(port):
    return socket.create_server(("127.0.0.1", port))


class World:
    """A proxy with two routes, and what listens at their ends."""

    def __init__(self, targets=None):
        self.ports = dict(zip((AB, CD), free_ports(2), strict=True))
        self.listening = {pair: listens(port) for pair, port in self.ports.items()}
        ends = {pair: f"tcp://127.0.0.1:{port}" for pair, port in self.ports.items()}
        self.proxy = Proxy(forkserver(), 0)
        self.endpoints = self.proxy.open(ends | (targets or {}))
        self.sockets = [*self.listening.values()]

    def dial(self, pair=AB):
        """A connection to the proxy."""
        host, _, port = self.endpoints[pair].removeprefix("tcp://").rpartition(":")
        self.sockets.append(socket.create_connection((host, int(port)), timeout=200))
        return self.sockets[-1]

    def accept(self, pair=AB):
        self.listening[pair].settimeout(200)
        self.sockets.append(self.listening[pair].accept()[0])
        self.sockets[-1].settimeout(200)
        return self.sockets[-1]

    def connect(self, pair=AB):
        return self.dial(pair), self.accept(pair)

    def later(self):
        """Return when the proxy has done what it had to do before: something passes by the other route, there and back."""
        near, far = self.connect(CD)
        for _ in range(3):
            near.sendall(b"?")
            assert exactly(far, 1) == b"?"

    def close(self):
        self.proxy.close()
        for one in self.sockets:
            one.close()


def exactly(end, count):
    parts = []
    while count and (part := end.recv(min(count, 1 << 16))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def silent(end):
    return not select.select([end], [], [], 0)[0]


@pytest.fixture
def world():
    with closing(World()) as made:
        yield made


def test_bytes_come_through_unchanged_and_in_order_both_ways(world):
    near, far = world.connect()
    there, back = os.urandom(5_000_001), os.urandom(3_000_001)
    writers = [
        threading.Thread(target=end.sendall, args=(data,)) for end, data in ((near, there), (far, back))
    ]
    heard = {}
    readers = [
        threading.Thread(target=lambda e=end, n=count: heard.update({n: exactly(e, n)}))
        for end, count in ((far, len(there)), (near, len(back)))
    ]
    for thread in (*writers, *readers):
        thread.start()
    for thread in (*writers, *readers):
        thread.join()
    assert heard == {len(there): there, len(back): back}


def test_many_connections_keep_to_themselves(world):
    pairs = [world.connect() for _ in range(20)]
    for k, (near, _) in enumerate(pairs):
        near.sendall(b"%02d" % k)
    assert [exactly(far, 2) for _, far in pairs] == [b"%02d" % k for k in range(20)]


def test_closing_is_passed_on_after_what_was_said(world):
    near, far = world.connect()
    near.sendall(b"goodbye")
    near.close()
    assert exactly(far, 100) == b"goodbye"


def test_a_cut_holds_what_is_said_and_healing_lets_it_flow(world):
    near, far = world.connect()
    near.sendall(b"before ")
    assert exactly(far, 7) == b"before "
    world.proxy.become({AB: Weather(cut=True)})
    near.sendall(b"during ")
    far.sendall(b"other way")
    world.later()
    assert silent(far)
    assert silent(near)
    world.proxy.become({AB: Weather()})
    near.sendall(b"after")
    assert exactly(far, 12) == b"during after"
    assert exactly(near, 9) == b"other way"


def test_a_cut_accepts_who_is_new_and_leaves_it_waiting(world):
    world.proxy.become({AB: Weather(cut=True)})
    near = world.dial()
    near.sendall(b"hello")
    world.later()
    assert silent(world.listening[AB])
    world.proxy.become({AB: Weather()})
    assert exactly(world.accept(), 5) == b"hello"


def test_a_cut_hides_that_a_side_has_gone(world):
    near, far = world.connect()
    world.proxy.become({AB: Weather(cut=True)})
    near.sendall(b"last words")
    near.close()
    world.later()
    assert silent(far)
    world.proxy.become({AB: Weather()})
    assert exactly(far, 100) == b"last words"


def test_a_cut_link_takes_no_more_than_its_buffers(world):
    near, far = world.connect()
    world.proxy.become({AB: Weather(cut=True)})
    near.setblocking(False)
    data, sent = b"x" * (1 << 16), 0
    while sent < 1 << 28:
        try:
            sent += near.send(data)
        except BlockingIOError:
            if not select.select([], [near], [], 0.5)[1]:
                break
    assert sent < 1 << 28
    world.proxy.become({AB: Weather()})
    assert len(exactly(far, sent)) == sent


def test_delay_is_at_least_what_was_said_and_keeps_the_order(world):
    world.proxy.become({AB: Weather(delay=0.1, jitter=0.05)})
    near, far = world.connect()
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    said = b"".join(b"%03d " % k for k in range(300))
    began = time.monotonic()
    for k in range(0, len(said), 4):
        near.sendall(said[k : k + 4])
    assert exactly(far, 1) == said[:1]
    assert time.monotonic() - began >= 0.1
    assert exactly(far, len(said) - 1) == said[1:]
    world.proxy.become({AB: Weather()})
    near.sendall(b"soon")
    assert exactly(far, 4) == b"soon"


def test_what_is_late_is_not_overtaken_when_the_delay_ends(world):
    near, far = world.connect()
    world.proxy.become({AB: Weather(delay=0.2)})
    near.sendall(b"one ")
    world.later()
    world.proxy.become({AB: Weather()})
    near.sendall(b"two")
    assert exactly(far, 7) == b"one two"


def test_a_rate_is_not_exceeded(world):
    near, far = world.connect()
    world.proxy.become({AB: Weather(rate=1e6)})
    began = time.monotonic()
    near.sendall(b"x" * 200_000)
    assert len(exactly(far, 200_000)) == 200_000
    assert time.monotonic() - began >= 0.2


def test_a_reset_breaks_connections_off_and_new_ones_are_welcome(world):
    near, far = world.connect()
    near.sendall(b"a")
    assert exactly(far, 1) == b"a"
    world.proxy.reset([AB])
    for end in (near, far):
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    again, there = world.connect()
    again.sendall(b"b")
    assert exactly(there, 1) == b"b"


def test_a_reset_in_a_cut_leaves_nothing_to_be_said_later(world):
    near, far = world.connect()
    world.proxy.become({AB: Weather(cut=True)})
    near.sendall(b"lost")
    world.later()
    world.proxy.reset([AB])
    world.proxy.become({AB: Weather()})
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    with pytest.raises(ConnectionResetError):
        far.recv(1)


def test_where_nobody_listens_the_one_who_connects_sees_it_and_later_does_not(world):
    world.listening[AB].close()
    with pytest.raises(ConnectionResetError):
        world.dial().recv(1)
    world.listening[AB] = listens(world.ports[AB])
    world.sockets.append(world.listening[AB])
    near, far = world.connect()
    near.sendall(b"back")
    assert exactly(far, 4) == b"back"


def test_it_reaches_what_listens_at_a_path(tmp_path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        with closing(World({AB: f"ipc://{tmp_path / 's'}"})) as world:
            near, far = world.dial(), listening.accept()[0]
            near.sendall(b"path")
            assert exactly(far, 4) == b"path"
            far.close()


def test_a_proxy_that_has_died_is_said():
    proxy = Proxy(forkserver(), 0)
    proxy._process.kill()
    proxy._process.join()
    with pytest.raises(NetworkError, match="proxy between the peers has ended"):
        proxy.reset([])
    proxy.close()


LAUNCHER = """
import sys
from gossipfl.experiment.launch.processes import forkserver
from gossipfl.faults.proxy import Proxy
if __name__ == "__main__":
    proxy = Proxy(forkserver(), 0)  # which ends with what holds it
    print(proxy.open({(0, 1): sys.argv[1]})[0, 1], flush=True)
    sys.stdin.read()
"""


def test_it_ends_when_the_launcher_is_killed(tmp_path):
    (tmp_path / "launcher.py").write_text(LAUNCHER)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        target = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, tmp_path / "launcher.py", target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as launcher:
            endpoint = launcher.stdout.readline().strip()
            with socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as near:
                far, _ = listening.accept()
                with far:
                    launcher.send_signal(signal.SIGKILL)
                    far.settimeout(200)
                    near.settimeout(200)
                    assert far.recv(1) == b""
                    assert near.recv(1) == b""
