"""Messages over ZeroMQ sockets, tcp:// or ipc://; must not know what they say.

A peer binds one PULL socket, to which all neighbours send, and connects one PUSH socket to each neighbour. ZeroMQ's own I/O
thread connects, reconnects and buffers, so neighbours may start in any order: a message waits for its connection.
"""

import errno
import math
import time
from collections.abc import Collection, Mapping, Sequence

import zmq
from zmq.utils.monitor import parse_monitor_message

from gossipfl.errors import NetworkError
from gossipfl.peer.gate import Gate, LinkKeys
from gossipfl.topology.endpoint import endpoint as checked

QUEUE = 128  # messages to each neighbour: above the `AHEAD` of an inbox, so that lock-step never fills it
INFLOW = 2**25  # bytes that may wait from each connection
FEWEST = 8  # messages that may wait from each connection, whatever their size
LARGE = 65536  # bytes from which sending without a copy is faster
RECONNECT_MS, RECONNECT_MAX_MS = 20, 250
LAST_WORDS_MS = 1000  # time for a goodbye to a former neighbour
PROBE_S, PROBES = 2, 5  # a connection is cut when so many probes in a row, so far apart, have no answer
GATE_S = 0.05  # a peer that listens looks so often whether somebody dials
WATCHED = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
WHY: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "it has another key than the topology says",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "its links are not encrypted, and mine are",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "it does not know my key: its topology has another one for me, or none",
}


class Line:
    """The connection to one neighbour: a socket, and one that watches it.

    Args:
        context: of all sockets.
        endpoint: where the neighbour listens.
        queue: messages that may wait.
        at_once: messages may wait only while there is a connection.
        lost: there was no connection before.
        gate: encrypts the connection, as that to the peer `peer`; None: it is open.
        attempt: which of the peer's keys to try.

    Raises:
        NetworkError: ZeroMQ cannot connect there.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        queue: int,
        at_once: bool = False,
        lost: bool = False,
        gate: Gate | None = None,
        peer: int = -1,
        attempt: int = 0,
    ) -> None:
        self.endpoint, self.attempt, self._lost = endpoint, attempt, lost
        self.why = ""  # there is no connection, as far as is known
        self.socket = socket = context.socket(zmq.PUSH)
        socket.setsockopt(zmq.SNDHWM, queue)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        # TCP's probes, not ZeroMQ's: libzmq 4.3.5 aborts when it reads a ping from a full queue whose connection has ended.
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, PROBE_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, PROBE_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, PROBES)
        socket.setsockopt(zmq.TCP_MAXRT, 1000 * PROBE_S * PROBES)
        socket.setsockopt(zmq.IMMEDIATE, at_once)
        socket.setsockopt(zmq.IPV6, "[" in endpoint)
        if gate:
            gate.dial(socket, peer, attempt)
        self._monitor = socket.get_monitor_socket(WATCHED)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.shut(linger=0)
            raise NetworkError(
                f"cannot connect to {endpoint}: {error}. Is it of the form tcp://host:port?"
            ) from error

    def lost(self) -> bool:
        """Whether there is no connection, as far as is known."""
        while True:
            try:
                event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))["event"]
            except zmq.Again:
                return self._lost
            self._lost = event != zmq.EVENT_HANDSHAKE_SUCCEEDED
            self.why = WHY.get(event, self.why) if self._lost else ""

    def shut(self, linger: int) -> None:
        """Close both sockets; messages that wait have so many milliseconds to leave."""
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close(linger=linger)


class ZeroMQ:
    """A `Transport` over ZeroMQ. Binds at once; `connect` when the neighbours' endpoints are known.

    Args:
        endpoint: where to listen: "tcp://host:port", "tcp://127.0.0.1:*" for a free port, or "ipc://path".
        largest: bytes of the largest message that is accepted, or sent: both frames and their lengths together.
        keys: of encrypted links, which only neighbours can use; None: links are open.

    Raises:
        NetworkError: the endpoint is in use, belongs to another machine, or is not an endpoint.
    """

    def __init__(self, endpoint: str, largest: int, keys: LinkKeys | None = None) -> None:
        check_endpoint(endpoint, own=True)
        self.sender: int | None = None
        self._context = zmq.Context()
        self._inbox = self._context.socket(zmq.PULL)
        self._gate = Gate(self._context, keys) if keys else None
        if self._gate:
            self._gate.guard(self._inbox)
        self._largest = largest
        self._inbox.setsockopt(zmq.RCVHWM, max(FEWEST, min(QUEUE, INFLOW // largest)))
        self._inbox.setsockopt(zmq.MAXMSGSIZE, largest)
        self._inbox.setsockopt(zmq.LINGER, 0)
        self._inbox.setsockopt(zmq.IPV6, "[" in endpoint)
        self._lines: dict[int, Line] = {}
        self._timeout = -1
        self._frames: list[bytes] = []
        self._joined = b""
        try:
            self._inbox.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise NetworkError(f"cannot listen on {endpoint}: {_reason(error)}") from error
        self.endpoint: str = self._inbox.getsockopt_string(zmq.LAST_ENDPOINT)

    def connect(
        self,
        neighbours: Mapping[int, str],
        queue: int = QUEUE,
        keys: Mapping[int, Sequence[bytes]] | None = None,
    ) -> None:
        """Begin to connect to each neighbour's endpoint, and disconnect former neighbours; return at once.

        `queue` messages to each may wait. A neighbour that is connected already, at the same endpoint, stays connected. `keys`
        replace those of the neighbours: from now on messages under another key are refused.
        """
        if self._gate and keys is not None:
            self._gate.admit(keys)
        for endpoint in neighbours.values():
            check_endpoint(endpoint)
        for peer in [peer for peer, line in self._lines.items() if neighbours.get(peer) != line.endpoint]:
            self._lines.pop(peer).shut(linger=LAST_WORDS_MS)
        for peer in neighbours.keys() - self._lines.keys():
            self._lines[peer] = Line(self._context, neighbours[peer], queue, gate=self._gate, peer=peer)

    def send(self, to: int, frames: list[bytes]) -> bool:
        """As any transport does. Raises NetworkError for a message that no neighbour accepts."""
        line = self._lines.get(to)
        if line is None:
            return False
        try:
            if frames is not self._frames:  # the same go to all neighbours
                self._frames, self._joined = frames, self._sized(_join(*frames))
            line.socket.send(self._joined, zmq.NOBLOCK, copy=len(self._joined) < LARGE)
        except zmq.Again:
            return False
        return True

    def recv(self, timeout: float) -> list[bytes] | None:
        while self._gate:
            self._gate.serve(time.monotonic())
            frames = self._next(min(timeout, GATE_S))
            if frames is not None or timeout <= GATE_S:
                return frames
            timeout -= GATE_S
            self._turn_keys()
        return self._next(timeout)

    def _next(self, timeout: float) -> list[bytes] | None:
        milliseconds = max(0, math.ceil(timeout * 1000))
        if milliseconds != self._timeout:
            self._inbox.setsockopt(zmq.RCVTIMEO, milliseconds)
            self._timeout = milliseconds
        try:
            if self._gate is None:
                return _split(self._inbox.recv())
            frame = self._inbox.recv(copy=False)
        except zmq.Again:
            return None
        self.sender = self._gate.owner(frame)
        return None if self.sender is None else _split(frame.bytes)

    def _turn_keys(self) -> None:
        """Dial neighbours that present another key than the one that was tried, with their other key."""
        assert self._gate
        for peer, line in self._lines.items():
            if (
                line.lost()
                and line.why == WHY[zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL]
                and self._gate.several(peer)
            ):
                self._dial(peer, QUEUE, at_once=False, attempt=line.attempt + 1)

    def _sized(self, message: bytes) -> bytes:
        if len(message) > self._largest:
            raise NetworkError(
                f"a message has {len(message):,} bytes, and the peers of this study accept at most {self._largest:,}: "
                "do other peers have far more category levels or classes than this one? Give each peer some rows of each"
            )
        return message

    def lost(self) -> set[int]:
        return {peer for peer, line in self._lines.items() if line.lost()}

    def forget(self, to: int) -> None:
        self._dial(to, QUEUE, at_once=True, attempt=self._lines[to].attempt)

    def _dial(self, peer: int, queue: int, at_once: bool, attempt: int) -> None:
        """Connect to a neighbour anew, without what has waited for it."""
        line = self._lines[peer]
        lost = line.lost()
        line.shut(linger=0)
        self._lines[peer] = Line(
            self._context, line.endpoint, queue, at_once, lost, self._gate, peer, attempt
        )

    def why(self, peer: int) -> str:
        """Why there is no connection to a neighbour, as far as the handshake has told; else empty."""
        line = self._lines.get(peer)
        return line.why if line and line.lost() else ""

    def close(self, linger: float = 5.0, gone: Collection[int] = ()) -> None:
        """Wait at most `linger` seconds until neighbours that listen have all messages.

        For neighbours that have gone, or have no connection, wait no longer than it takes to connect again.
        """
        if not self._context.closed:
            short = min(linger, (RECONNECT_MAX_MS + RECONNECT_MS) / 1000)
            for peer, line in self._lines.items():
                line.shut(int(1000 * (short if peer in gone or line.lost() else linger)))
            self._inbox.close(linger=0)
            if self._gate:
                self._gate.close()
            self._context.term()


def _join(header: bytes, payload: bytes) -> bytes:
    """Both frames as one, each after its length in 4 bytes: an interrupt between two parts of a message would tear it."""
    size = len(header).to_bytes(4, "little"), len(payload).to_bytes(4, "little")
    return b"".join((size[0], header, size[1], payload))


def _split(message: bytes) -> list[bytes]:
    """The two frames that were joined; the message itself, if `_join` did not make it."""
    header = 4 + int.from_bytes(message[:4], "little")
    payload = header + 4
    if len(message) < payload or payload + int.from_bytes(message[header:payload], "little") != len(message):
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
