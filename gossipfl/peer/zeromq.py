"""Messages over ZeroMQ sockets, tcp:// or ipc://; must not know what they say.

A peer listens at one socket (`Door`), and dials each neighbour that has an endpoint (`Line`). A neighbour without an endpoint
dials instead, and is answered over the same connection; so is this peer, if it has none itself. ZeroMQ's own I/O
thread connects, reconnects and buffers, so neighbours may start in any order: a message waits for its connection.
"""

import errno
import math
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from struct import Struct

import zmq

from gossipfl.errors import NetworkError
from gossipfl.peer.door import Door
from gossipfl.peer.gate import Gate, LinkKeys
from gossipfl.peer.line import FAILED, HELLO, RECONNECT_MAX_MS, RECONNECT_MS, REFUSED, Line
from gossipfl.peer.reach import Reach
from gossipfl.topology.endpoint import endpoint as checked

QUEUE = 128  # messages to each neighbour: above the `AHEAD` of an inbox, so that lock-step never fills it
INFLOW = 2**25  # bytes that may wait from each connection
FEWEST = 2  # messages that may wait from each connection, whatever their size
LARGE = 65536  # bytes from which sending without a copy is faster
LAST_WORDS_MS = 1000  # time for a goodbye to a former neighbour
GATE_S = 0.05  # a peer with keys looks so often after its connections, and whether somebody dials
AGAIN_S = 0.5  # after so long a neighbour that did not let this peer in is dialled again


class ZeroMQ:
    """A `Transport` over ZeroMQ. Binds at once; `connect` when the neighbours' endpoints are known.

    Args:
        endpoint: where to listen: "tcp://host:port", "tcp://127.0.0.1:*" for a free port, or "ipc://path"; "": this peer only
            dials, and needs keys.
        largest: bytes of the largest message that is accepted, or sent: both frames and their lengths together.
        keys: of encrypted links, which only neighbours can use; None: links are open.

    Raises:
        NetworkError: the endpoint is in use, belongs to another machine, or is not an endpoint.
    """

    def __init__(self, endpoint: str, largest: int, keys: LinkKeys | None = None) -> None:
        if endpoint or not keys:
            check_endpoint(endpoint, own=True)
        self.sender: int | None = None
        self._context = zmq.Context()
        self._context.set(
            zmq.MAX_SOCKETS, self._context.get(zmq.SOCKET_LIMIT)
        )  # a hub has three for each neighbour
        self._gate = Gate(self._context, keys) if keys else None
        self._largest, self._inflow = largest, max(FEWEST, min(QUEUE, INFLOW // largest))
        self._lines: dict[int, Line] = {}
        self._reach = Reach()
        self._timeout, self._look = -1, 0.0
        self._poller = zmq.Poller()
        self._ready: list[zmq.Socket[bytes]] = []
        self._heard: dict[zmq.Socket[bytes], int] = {}  # the neighbours that answer over lines of mine
        try:
            self._door = (
                Door(self._context, endpoint, self._inflow, largest, self._gate) if endpoint else None
            )
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise NetworkError(f"cannot listen on {endpoint}: {_reason(error)}") from error
        self.endpoint = self._door.endpoint if self._door else ""
        if self._gate:
            self._poller.register(self._gate.questions, zmq.POLLIN)
        if self._door:
            self._poller.register(self._door.socket, zmq.POLLIN)

    def connect(
        self,
        neighbours: Mapping[int, str],
        queue: int = QUEUE,
        keys: Mapping[int, Sequence[bytes]] | None = None,
    ) -> None:
        """Begin to connect to each neighbour's endpoint, and disconnect former neighbours; return at once.

        A neighbour whose endpoint is "" dials this peer. `queue` messages to each may wait. A neighbour that is connected
        already, at the same endpoint, stays connected. `keys` replace those of the neighbours: from now on messages under
        another key are refused, and to a neighbour without keys nothing goes out.
        """
        if self._gate and keys is not None:
            self._gate.admit(keys)
        here = self._gate and self._door
        callers = {peer for peer, endpoint in neighbours.items() if here and not endpoint}
        for peer, endpoint in neighbours.items():
            if peer not in callers:
                check_endpoint(endpoint)
        for peer in [peer for peer, line in self._lines.items() if neighbours.get(peer) != line.endpoint]:
            self._hang_up(peer, LAST_WORDS_MS)
        for peer, line in list(self._lines.items()):
            if self._gate and not self._gate.valid(peer, line.key):
                self._dial(peer, line.queue, at_once=False, attempt=0)
        if self._door:
            self._door.expect(callers, queue)
        for peer in neighbours.keys() - self._lines.keys() - callers:
            self._call(peer, neighbours[peer], queue)

    def send(self, to: int, frames: list[bytes]) -> bool:
        """As any transport does. Raises NetworkError for a message that no neighbour accepts."""
        message = _join(*frames)
        size = len(message)
        if size > self._largest:
            raise NetworkError(
                f"a message has {size:,} bytes, and the peers of this study accept at most {self._largest:,}: do other peers "
                "have far more category levels or classes than this one? Give each peer some rows of each"
            )
        way = self._lines.get(to)
        if way is not None:
            return way.send(message, size < LARGE)
        if self._door and self._door.calls(to):
            return self._door.send(to, message, size < LARGE)
        return False

    def recv(self, timeout: float) -> list[bytes] | None:
        if self._gate is None:
            assert self._door
            return self._open(self._door.socket, timeout)
        self._mind(time.monotonic())
        while not self._ready:
            self._ready = [
                socket for socket, _ in self._poller.poll(math.ceil(1000 * max(0.0, min(timeout, GATE_S))))
            ]
            if not self._ready and timeout <= GATE_S:
                return None
            timeout -= GATE_S
            self._mind(time.monotonic())
        try:
            return self._take(self._ready.pop())
        except zmq.Again:
            return None

    def _open(self, door: "zmq.Socket[bytes]", timeout: float) -> list[bytes] | None:
        """The next message where links have no keys: nobody knows whose it is."""
        milliseconds = max(0, math.ceil(timeout * 1000))
        # A timeout that is a bit longer is as good, and need not be set.
        if not milliseconds <= self._timeout <= milliseconds + milliseconds // 16:
            door.setsockopt(zmq.RCVTIMEO, milliseconds)
            self._timeout = milliseconds
        try:
            return _split(door.recv())
        except zmq.Again:
            return None

    def _take(self, socket: "zmq.Socket[bytes]") -> list[bytes] | None:
        """What a socket that is ready has: a message, or something that is none."""
        assert self._gate
        if self._door and socket is self._door.socket:
            self.sender, message = self._door.take()
        elif socket in self._heard:
            self.sender, message = self._heard[socket], self._lines[self._heard[socket]].take()
        elif socket is self._gate.questions:
            self._gate.serve(time.monotonic())
            return None
        else:  # a connection of mine has begun or ended
            self.lost()
            return None
        if message is None:
            return None if self.sender is None else []
        return None if self.sender is None or message == HELLO else _split(message)

    def _mind(self, now: float) -> None:
        """From time to time: dial those again that presented another key than the one that was tried, or did not let me in."""
        if now < self._look:
            return
        self._look = now + GATE_S
        assert self._gate
        if self._door:
            self._door.lost()
        for peer, line in list(self._lines.items()):
            if not line.lost():
                continue
            other = line.failed == FAILED and self._gate.several(peer)
            if other or (line.failed == REFUSED and now - line.dialled >= AGAIN_S):
                with suppress(NetworkError):  # too many open files: perhaps it can be dialled later
                    self._dial(peer, line.queue, at_once=False, attempt=line.attempt + other)

    def lost(self) -> set[int]:
        gone = {peer for peer, line in self._lines.items() if line.lost()}
        return gone | self._door.lost() if self._door else gone

    def forget(self, to: int) -> None:
        if to in self._lines:
            self._dial(to, QUEUE, at_once=True, attempt=self._lines[to].attempt)
        elif self._door:
            self._door.forget(to)

    def _call(
        self,
        peer: int,
        endpoint: str,
        queue: int,
        at_once: bool = False,
        lost: bool = False,
        attempt: int = 0,
    ) -> None:
        """Dial a neighbour, and hear it over the same connection if this peer has no door; hang up the line that there was."""
        inflow = 0 if self._door else self._inflow
        gate = self._gate
        line = Line(self._context, endpoint, queue, inflow, self._largest, at_once, lost, gate, peer, attempt)
        if peer in self._lines:
            self._hang_up(peer, linger=0)
        self._lines[peer] = line
        if not self._door:
            self._heard[line.socket] = peer
            for socket in (line.socket, line.monitor):
                self._poller.register(socket, zmq.POLLIN)

    def _hang_up(self, peer: int, linger: int) -> None:
        line = self._lines.pop(peer)
        if self._heard.pop(line.socket, None) is not None:
            for socket in (line.socket, line.monitor):
                self._poller.unregister(socket)
            self._ready = []  # the poller finds the others again
        line.shut(linger)

    def _dial(self, peer: int, queue: int, at_once: bool, attempt: int) -> None:
        """Connect to a neighbour anew; what has waited for it goes along, but not where nothing is to wait."""
        line = self._lines[peer]
        self._call(peer, line.endpoint, queue, at_once, line.lost(), attempt)
        self._lines[peer].before = line.failed or line.before
        for message in () if at_once else line.unsent:
            self._lines[peer].send(message)

    def reached(self, peer: int) -> bool:
        """Whether a neighbour that this peer dials has let it in, and has the right key if links have keys."""
        line = self._lines.get(peer)
        return line is not None and not line.lost() and line.there

    def why(self, peer: int) -> str:
        """Why there is no connection to a neighbour, as a sentence without its name; "" if it is not known, or there is one."""
        line = self._lines.get(peer)
        if self._gate and self._gate.keyless(peer):
            return "has no public key in the topology any more: no link to it counts until it has one"
        if line is None:
            return "dials us, and has not called yet" if peer in self.lost() else ""
        line.lost()  # reads what has happened
        if line.there:
            return ""
        failed = line.failed or line.before
        if failed == REFUSED:
            return "does not know the key of this peer: its topology has another one, or none"
        why = self._reach(line.endpoint, keyed=self._gate is not None)
        if why == "" and failed == FAILED:
            return f"has another key at {line.endpoint} than the topology says"
        return why or ""

    def close(self, linger: float = 5.0, gone: Collection[int] = ()) -> None:
        """Wait at most `linger` seconds until neighbours that listen have all messages.

        For neighbours that have gone, or have no connection, wait no longer than it takes to connect again.
        """
        if not self._context.closed:
            short = min(linger, (RECONNECT_MAX_MS + RECONNECT_MS) / 1000)
            away = {*gone} | self.lost()
            for peer, line in self._lines.items():
                line.shut(int(1000 * (short if peer in away else linger)))
            if self._door:
                self._door.close(int(1000 * (linger if self._door.callers - away else 0)))
            if self._gate:
                self._gate.close()
            self._context.term()


_size, _sized = Struct("<I").pack, Struct("<I").unpack_from


def _join(header: bytes, payload: bytes) -> bytes:
    """Both frames as one, each after its length in 4 bytes: an interrupt between two parts of a message would tear it."""
    return b"".join((_size(len(header)), header, _size(len(payload)), payload))


def _split(message: bytes) -> list[bytes]:
    """The two frames that were joined; the message itself, if `_join` did not make it."""
    size = len(message)
    if size < 8:
        return [message]
    header = 4 + _sized(message, 0)[0]
    payload = header + 4
    if size < payload or payload + _sized(message, header)[0] != size:
        return [message]
    return [message[4:header], message[payload:]]


def _reason(error: zmq.ZMQError) -> str:
    """Why this peer cannot listen there, and what to do."""
    why = str(error).partition(" (addr=")[0]
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        return (
            f"{why}. This machine has no such address: give one that it has, or listen on all of them "
            "(gossipfl peer --listen tcp://*:port)"
        )
    if error.errno == errno.EADDRINUSE:
        return (
            f"{why}. Is another peer (or another program) using it? "
            "Stop that one, or give this peer another endpoint in the topology file"
        )
    return f"{why}. Give this peer another endpoint in the topology file"


def check_endpoint(endpoint: str, own: bool = False) -> None:
    """Raise NetworkError for what is not an endpoint: this peer's own, or a neighbour's."""
    try:
        checked(endpoint, own)
    except ValueError as why:
        raise NetworkError(str(why)) from None
