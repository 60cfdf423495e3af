"""Messages over ZeroMQ sockets, tcp:// or ipc://; must not know what they say.

A peer binds one PULL socket, where everybody speaks to it, and connects one PUSH socket to each neighbour. ZeroMQ's own
I/O thread connects, reconnects and buffers, so neighbours may start in any order: a message waits for its connection.
"""

import re
from collections.abc import Mapping

import zmq

from gossipfl.errors import NetworkError

QUEUE = 128  # messages to each neighbour: above the `AHEAD` of an inbox, so that lock-step never fills it
LARGE = 65536  # bytes from which a frame is worth the trouble of not copying it
RECONNECT_MS, RECONNECT_MAX_MS = 20, 1000


class ZeroMQ:
    """A `Transport` over ZeroMQ. Binds at once; `connect` when the neighbours' endpoints are known.

    Args:
        endpoint: where to listen: "tcp://host:port", "tcp://127.0.0.1:*" for a free port, or "ipc://path".
        largest: bytes of the largest message that is accepted, all frames and their lengths together.

    Raises:
        NetworkError: the endpoint is taken or not an endpoint.
    """

    def __init__(self, endpoint: str, largest: int) -> None:
        _check(endpoint)
        self._context = zmq.Context()
        self._inbox = self._context.socket(zmq.PULL)
        self._inbox.setsockopt(zmq.RCVHWM, QUEUE)
        self._inbox.setsockopt(zmq.MAXMSGSIZE, largest)
        self._inbox.setsockopt(zmq.LINGER, 0)
        self._outboxes: dict[int, zmq.Socket[bytes]] = {}
        self._timeout = -1
        self._frames: list[bytes] = []
        self._joined = b""
        try:
            self._inbox.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise NetworkError(
                f"cannot listen on {endpoint}: {error}. Is another peer (or another program) using it? "
                "Stop that one, or give this peer another endpoint in the topology file"
            ) from error
        self.endpoint: str = self._inbox.getsockopt_string(zmq.LAST_ENDPOINT)

    def connect(self, neighbours: Mapping[int, str], queue: int = QUEUE) -> None:
        """Begin to connect to each neighbour's endpoint; returns at once. `queue` messages to each may wait."""
        for peer, endpoint in neighbours.items():
            _check(endpoint)
            socket = self._context.socket(zmq.PUSH)
            socket.setsockopt(zmq.SNDHWM, queue)
            socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
            self._outboxes[peer] = socket
            try:
                socket.connect(endpoint)
            except zmq.ZMQError as error:
                self.close(linger=0.0)
                raise NetworkError(
                    f"cannot connect to {endpoint}: {error}. Is it of the form tcp://host:port?"
                ) from error

    def send(self, to: int, frames: list[bytes]) -> bool:
        try:
            if frames is not self._frames:  # the same go to all neighbours
                self._frames, self._joined = frames, _join(frames)
            self._outboxes[to].send(self._joined, zmq.NOBLOCK, copy=len(self._joined) < LARGE)
        except zmq.Again:
            return False
        return True

    def recv(self, timeout: float) -> list[bytes] | None:
        milliseconds = max(0, int(timeout * 1000))
        if milliseconds != self._timeout:
            self._inbox.setsockopt(zmq.RCVTIMEO, milliseconds)
            self._timeout = milliseconds
        try:
            return _split(self._inbox.recv())
        except zmq.Again:
            return None

    def close(self, linger: float = 5.0) -> None:
        """Wait at most `linger` seconds for what is still on its way to neighbours that listen."""
        if not self._context.closed:
            for socket in self._outboxes.values():
                socket.close(linger=int(linger * 1000))
            self._inbox.close(linger=0)
            self._context.term()


def _join(frames: list[bytes]) -> bytes:
    """All frames as one, each after its length in 4 bytes: an interrupt between two parts of a message would tear it."""
    return b"".join(part for frame in frames for part in (len(frame).to_bytes(4, "little"), frame))


def _split(message: bytes) -> list[bytes]:
    """The frames that were joined; the message itself, if it is none of ours."""
    frames, here = [], 0
    while here < len(message):
        start, here = here + 4, here + 4 + int.from_bytes(message[here : here + 4], "little")
        if here > len(message):
            return [message]
        frames.append(message[start:here])
    return frames


def _check(endpoint: str) -> None:
    """ZeroMQ itself takes port 99999, and waits there for ever."""
    tcp = re.fullmatch(r"tcp://.+:(\*|\d{1,5})", endpoint)
    if not (endpoint.startswith("ipc://") or (tcp and (tcp[1] == "*" or 0 < int(tcp[1]) < 65536))):
        raise NetworkError(
            f"{endpoint} is not an endpoint: write tcp://host:port, with a port up to 65535, or ipc://path"
        )
