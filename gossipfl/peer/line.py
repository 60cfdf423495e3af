"""A connection that this peer dials; must not know what is sent over it."""

import time
from collections import deque

import zmq
from zmq.utils.monitor import parse_monitor_message

from gossipfl.errors import NetworkError
from gossipfl.peer.gate import HANDSHAKE_MS, Gate

RECONNECT_MS, RECONNECT_MAX_MS = 20, 250
PROBE_S, PROBES = 2, 5  # a connection is cut when so many probes in a row, so far apart, have no answer
NOBLOCK = int(zmq.NOBLOCK)
HELLO = b""  # what a peer that only dials says first, so that the other end knows the way back
REFUSED, FAILED = zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
WATCHED = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | REFUSED
    | FAILED
)


class Line:
    """The connection to one neighbour: a socket, and one that watches it.

    Args:
        context: of all sockets.
        endpoint: where the neighbour listens.
        queue: messages that may wait on their way out.
        inflow: messages that may wait on their way in, of `largest` bytes at most; 0: the neighbour answers elsewhere.
        largest: see `inflow`.
        at_once: messages may wait only while there is a connection.
        lost: there was no connection before.
        gate: encrypts the connection, as that to the peer `peer`; None: it is open.
        attempt: which of the peer's keys to try.

    Raises:
        NetworkError: ZeroMQ cannot connect there, or this process has too many open files.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        queue: int,
        inflow: int,
        largest: int,
        at_once: bool = False,
        lost: bool = False,
        gate: Gate | None = None,
        peer: int = -1,
        attempt: int = 0,
    ) -> None:
        self.endpoint, self.queue, self.attempt = endpoint, queue, attempt
        self._answers = inflow > 0
        self.dialled, self.there = time.monotonic(), False  # `there`: it is known that there is a connection
        # Handed over while there was none.
        self.unsent: deque[bytes] = deque(maxlen=queue if gate and not at_once else 0)
        self.failed = self.before = 0  # what ended its last handshake, and that of the line before this one
        self.socket = socket = _made(context)
        socket.setsockopt(zmq.SNDHWM, queue)
        socket.setsockopt(zmq.RCVHWM, max(1, inflow))
        socket.setsockopt(zmq.MAXMSGSIZE, largest)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        # TCP's probes, not ZeroMQ's: libzmq 4.3.5 aborts when it reads a ping from a full queue whose connection has ended.
        probed(socket)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.setsockopt(zmq.IMMEDIATE, at_once)
        socket.setsockopt(zmq.IPV6, "[" in endpoint)
        self.key = gate.dial(socket, peer, attempt) if gate else b""
        self.barred = gate is not None and not self.key  # the neighbour has no key: it is not dialled
        self._lost = lost or self.barred
        try:
            self.monitor = socket.get_monitor_socket(WATCHED)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            raise _full(error) from None
        try:
            if not self.barred:
                socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.shut(linger=0)
            raise NetworkError(
                f"cannot connect to {endpoint}: {error}. Is it of the form tcp://host:port?"
            ) from error

    def lost(self) -> bool:
        """Whether there is no connection, as far as is known. A new one begins with a hello, where it is the only one."""
        while True:
            try:
                event = parse_monitor_message(self.monitor.recv_multipart(zmq.NOBLOCK))["event"]
            except zmq.Again:
                return self._lost
            self.there = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            self._lost = not self.there
            if self.there:
                self.failed = self.before = 0
                self.unsent.clear()
                if self._answers:
                    self.send(HELLO)
            elif event in (REFUSED, FAILED):
                self.failed = event

    def send(self, message: bytes, copy: bool = True) -> bool:
        """Hand a message over; False where the queue is full."""
        try:
            self.socket.send(message, NOBLOCK, copy)
        except zmq.Again:
            self.lost()
            if not (self.barred or self.failed == REFUSED) or len(self.unsent) == self.unsent.maxlen:
                return False  # else it waits for the next line
        if not self.there:
            self.unsent.append(message)
        return True

    def take(self) -> bytes:
        """The next message; empty where there is none."""
        try:
            return self.socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return HELLO

    def shut(self, linger: int) -> None:
        """Close both sockets; messages that wait have so many milliseconds to leave."""
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=linger)


def _made(context: "zmq.Context[zmq.Socket[bytes]]") -> "zmq.Socket[bytes]":
    try:
        return context.socket(zmq.DEALER)
    except zmq.ZMQError as error:
        raise _full(error) from None


def _full(error: zmq.ZMQError) -> NetworkError:
    return NetworkError(
        f"cannot open another connection: {error}. Let this process have more open files (ulimit -n, LimitNOFILE=)"
    )


def probed(socket: "zmq.Socket[bytes]") -> None:
    """TCP probes the connections of this socket, and cuts those without an answer."""
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, PROBE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, PROBE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, PROBES)
    socket.setsockopt(zmq.TCP_MAXRT, 1000 * PROBE_S * PROBES)
