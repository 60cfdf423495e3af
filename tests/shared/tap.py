"""A listener on a link: passes all bytes on, and keeps them."""

import socket as tcp
import threading
from contextlib import suppress


class Tap:
    """Stands between a peer and an endpoint, and keeps all bytes that the peer sends there."""

    def __init__(self, endpoint):
        self._there = "127.0.0.1", int(endpoint.rpartition(":")[2])
        self._kept: list[bytearray] = []  # of each connection
        self._door = tcp.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._door.getsockname()[1]}"
        self._ends = [self._door]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def sent(self) -> bytes:
        return b"\0".join(self._kept)

    def _accept(self):
        with suppress(OSError):
            while True:
                near, far = self._door.accept()[0], tcp.create_connection(self._there)
                self._ends += near, far
                self._kept.append(bytearray())
                for one, other, kept in ((near, far, self._kept[-1]), (far, near, bytearray())):
                    threading.Thread(target=self._pass, args=(one, other, kept), daemon=True).start()

    @staticmethod
    def _pass(one, other, kept):
        with suppress(OSError):
            while some := one.recv(65536):
                kept += some
                other.sendall(some)

    def replay(self):
        """The same bytes again, over a new connection."""
        with tcp.create_connection(self._there) as connection:
            connection.settimeout(1.0)
            with suppress(OSError):
                connection.sendall(self.sent)
                while connection.recv(65536):
                    pass

    def close(self):
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(tcp.SHUT_RDWR)
            end.close()
