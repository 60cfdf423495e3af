"""Where a peer listens, and the way back to neighbours that only dial; must not know what messages say.

A neighbour that has no endpoint is answered over the connection that it dialled. ZeroMQ's router has a name of its own for each
connection; this file keeps, for each such neighbour, the name of the connection on which it spoke last. Peers choose no
names: then nobody can take another's, and a peer that lost its power is not taken for the one that was there before.
"""

from collections import deque
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

import zmq
from zmq.utils.monitor import parse_monitor_message

from gossipfl.peer.gate import Gate
from gossipfl.peer.line import probed


class WayBack(NamedTuple):
    """The connection on which a neighbour spoke last."""

    name: bytes  # the router's
    key: str  # the neighbour's, in z85
    descriptor: int  # of the connection


class Door:
    """One socket that listens.

    Args:
        context: of all sockets.
        endpoint: where to listen.
        inflow: messages that may wait from each connection, of `largest` bytes at most.
        largest: see `inflow`.
        gate: lets neighbours in and nobody else; None: all are let in.

    Raises:
        zmq.ZMQError: it cannot listen there.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        inflow: int,
        largest: int,
        gate: Gate | None,
    ) -> None:
        # Without keys this socket answers nobody. A dealer is enough, and it reads faster than a router.
        self.socket = socket = context.socket(zmq.ROUTER if gate else zmq.DEALER)
        self._gate = gate
        if gate:
            gate.guard(socket)
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.RCVHWM, inflow)
        socket.setsockopt(zmq.MAXMSGSIZE, largest)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, "[" in endpoint)
        probed(socket)
        socket.bind(endpoint)
        self.endpoint: str = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._monitor: zmq.Socket[bytes] | None = None
        self._routes: dict[int, WayBack] = {}
        self._waiting: dict[int, deque[bytes]] = {}  # for neighbours that have not called yet
        self.callers: set[int] = set()  # the neighbours that only dial
        self._torn = self._open = False  # what is read, or written, may be in the middle of a message

    def expect(self, callers: Collection[int], queue: int) -> None:
        """From now on these neighbours call here, and are answered; `queue` messages to each may wait."""
        if callers and self._monitor is None:
            self._monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.socket.setsockopt(zmq.SNDHWM, queue)
        for peer in self.callers - {*callers}:
            self._waiting.pop(peer, None)
            self._routes.pop(peer, None)
        for peer in {*callers} - self.callers:
            self._waiting[peer] = deque(maxlen=queue)
        self.callers = {*callers}
        for peer, route in list(self._routes.items()):
            if self._gate and self._gate.owner(route.key) != peer:  # its key was revoked
                del self._routes[peer]

    def take(self) -> tuple[int | None, bytes | None]:
        """The next message that has come through the gate, with the neighbour whose key it came with.

        There is no message where the key does not count any more.

        Each part of a message of several parts counts as a message, so that a long one halts nobody. Raises zmq.Again.
        """
        assert self._gate
        inside = self._torn and self.socket.getsockopt(zmq.RCVMORE)
        self._torn = True  # until both parts are read: a signal may interrupt at any place
        name = b"" if inside else self.socket.recv(zmq.NOBLOCK)
        frame = self.socket.recv(copy=False)
        self._torn = frame.more
        key = str(frame.get("User-Id"))
        peer = self._gate.owner(key)
        if peer is None:
            return self._gate.former(key), None
        if peer in self.callers and name and self._name(peer) != name:
            self._called(peer, WayBack(name, key, int(frame.get(zmq.SRCFD))))
        return peer, frame.bytes

    def _name(self, peer: int) -> bytes:
        return self._routes[peer].name if peer in self._routes else b""

    def _called(self, peer: int, route: WayBack) -> None:
        """A neighbour speaks over a new connection: what has waited for it goes there."""
        self.lost()  # before the descriptor of an ended connection means this one
        self._routes[peer] = route
        waiting = self._waiting.get(peer)
        while waiting and self._through(peer, waiting[0]):
            waiting.popleft()

    def send(self, peer: int, message: bytes, copy: bool = True) -> bool:
        """Answer a neighbour that only dials. Without a connection the message waits, unless `forget` says otherwise."""
        if peer in self._routes:
            went = self._through(peer, message, copy)
            if peer in self._routes:
                return went
        waiting = self._waiting.get(peer)
        if waiting is None or len(waiting) == waiting.maxlen:
            return False
        waiting.append(message)
        return True

    def _through(self, peer: int, message: bytes, copy: bool = True) -> bool:
        """Over a neighbour's connection. If that has ended, perhaps before its hello was read, it is forgotten."""
        try:
            return self._answer(self._routes[peer], message, copy)
        except zmq.ZMQError:
            del self._routes[peer]
            return False

    def _answer(self, route: WayBack, message: bytes, copy: bool = True) -> bool:
        if self._open:  # a signal came between the two parts of the last message: end it
            with suppress(zmq.ZMQError):  # it had no first part
                self.socket.send(b"", zmq.NOBLOCK)
        self._open = True
        try:
            self.socket.send(route.name, zmq.NOBLOCK | zmq.SNDMORE)
            self.socket.send(message, zmq.NOBLOCK, copy=copy)
        except zmq.Again:
            self._open = False
            return False
        except zmq.ZMQError:
            self._open = False
            raise
        self._open = False
        return True

    def lost(self) -> set[int]:
        """The neighbours that only dial, and have no connection, as far as is known."""
        while self._monitor is not None:
            try:
                descriptor = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))["value"]
            except zmq.Again:
                break
            self._routes = {
                peer: route for peer, route in self._routes.items() if route.descriptor != descriptor
            }
        return self.callers - self._routes.keys()

    def calls(self, peer: int) -> bool:
        """Whether it is a neighbour that only dials."""
        return peer in self.callers

    def forget(self, peer: int) -> None:
        """Throw away what waits for a neighbour; from now on nothing waits where there is no connection."""
        self._waiting.pop(peer, None)

    def close(self, linger: int) -> None:
        """Close; messages that wait have so many milliseconds to leave."""
        if self._monitor is not None:
            self.socket.disable_monitor()
            self._monitor.close(linger=0)
        self.socket.close(linger=linger)
