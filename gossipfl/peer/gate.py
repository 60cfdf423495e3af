"""Who may connect: encrypted links (CURVE), and the answers to ZeroMQ's questions about keys (ZAP); must not know messages.

ZeroMQ RFC 25 (ZMTP-CURVE) and 27 (ZAP). A connection is let in if its key is that of a
neighbour. Whose message it is follows from the key of its connection, never from what it says.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import zmq
from zmq.utils import z85

from gossipfl.peer.limits import RefusalLog

log = logging.getLogger(__name__)

DOMAIN = b"gossipfl"
PLACE = "inproc://zeromq.zap.01"
AT_ONCE = 64  # questions that are answered before anything else is done
HANDSHAKE_MS = (
    5000  # three round trips, and an answer of a peer that computes; then a handshake is tried again
)
ACCEPTED, REFUSED = (
    b"200",
    b"400",
)  # after a 400 a client knows why, and its own loop dials again; after a 300 it does not


class LinkKeys(NamedTuple):
    """The keys of a peer's links, of 32 bytes each.

    secret: its own, the first one that it presents.
    neighbours: the public keys of each neighbour, by what messages call it; two while they are exchanged, the new one first.
    """

    secret: bytes
    neighbours: Mapping[int, Sequence[bytes]]


class Gate:
    """Guards the sockets of one context, and serves ZAP in the peer's own loop: there is no thread.

    Args:
        context: of all sockets of the peer.
        keys: the peer's own, and those of its neighbours.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", keys: LinkKeys) -> None:
        self._secret = z85.encode(keys.secret)
        self._public = zmq.curve_public(self._secret)
        self._refusal = RefusalLog(log)
        self._former: dict[str, int] = {}  # whose each key was that counted once
        self.admit(keys.neighbours)
        self.questions = context.socket(zmq.REP)
        self.questions.bind(PLACE)

    def admit(self, neighbours: Mapping[int, Sequence[bytes]]) -> None:
        """From now on only these keys count, also on connections that stand; a neighbour may have none."""
        self._keys = {peer: [z85.encode(key) for key in keys] for peer, keys in neighbours.items()}
        self._owners = {key.decode(): peer for peer, keys in self._keys.items() for key in keys}
        self._former |= self._owners

    def guard(self, socket: "zmq.Socket[bytes]") -> None:
        """A socket that will accept connections lets in none but those of neighbours."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)

    def dial(self, socket: "zmq.Socket[bytes]", peer: int, attempt: int = 0) -> bytes:
        """A socket that will connect to a neighbour speaks to its key only; of two keys, to one and the other in turn.

        Returns that key; b"" for a neighbour without keys, to which it must not connect.
        """
        if self.keyless(peer):
            return b""
        keys = self._keys[peer]
        key = keys[attempt % len(keys)]
        socket.setsockopt(zmq.CURVE_SERVERKEY, key)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._secret)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._public)
        return key

    def valid(self, peer: int, key: bytes) -> bool:
        """Whether a neighbour has this key, now."""
        return key in self._keys.get(peer, ())

    def keyless(self, peer: int) -> bool:
        """Whether a neighbour has no key."""
        return not self._keys.get(peer)

    def several(self, peer: int) -> bool:
        """Whether a neighbour has more than one key."""
        return len(self._keys.get(peer, ())) > 1

    def owner(self, key: str) -> int | None:
        """The neighbour that has this key; None if it is no neighbour's, or not any more."""
        return self._owners.get(key)

    def former(self, key: str) -> int | None:
        """The neighbour that had this key, now or before; None if nobody had it."""
        return self._former.get(key)

    def serve(self, now: float) -> None:
        """Answer the questions that wait: who dials, and may it?"""
        for _ in range(AT_ONCE):
            if not self.questions.poll(0):
                return
            question = self.questions.recv_multipart()
            version, number, domain, address, _, mechanism, *keys = (*question, b"", b"", b"", b"", b"", b"")[
                :7
            ]
            key = z85.encode(keys[0]).decode() if len(keys[0]) == 32 else ""
            if version == b"1.0" and domain == DOMAIN and mechanism == b"CURVE" and key in self._owners:
                answer = ACCEPTED, b"", key.encode()
            else:
                answer = REFUSED, b"unknown key", b""
                self._refusal(
                    f"{address.decode('ascii', 'replace')} has a key that the topology does not name", now
                )
            self.questions.send_multipart([b"1.0", number, *answer, b""])

    def close(self) -> None:
        self.questions.close(linger=0)
