"""Why an endpoint cannot be reached; must not know keys, messages or who listens there.

ZeroMQ says nothing of a host that cannot be resolved, or of a port where nobody listens. So this looks by itself: it resolves,
connects, and reads the greeting with which every connection begins (ZMTP 3.1, RFC 23 and 37).
"""

import contextlib
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 3.0  # seconds for each step
EVERY = 4.0  # seconds between two looks at one endpoint
GREETING = (
    b"\xff" + bytes(8) + b"\x7f\x03\x01"
)  # then the mechanism in 20 bytes, and 32 that mean nothing here
LONG = 64  # bytes of a greeting


class Reach:
    """Looks in a thread of its own for each endpoint, so that a slow name server halts nobody."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._next: dict[str, float] = {}

    def __call__(self, endpoint: str, keyed: bool) -> str | None:
        """Why the endpoint cannot be reached, as a sentence without a subject; "": it can be; None: nothing is known yet.

        What is known is a few seconds old. `keyed`: its links are to be encrypted.
        """
        now = time.monotonic()
        if now >= self._next.get(endpoint, now):
            self._next[endpoint] = float("inf")
            threading.Thread(target=self._look, args=(endpoint, keyed), daemon=True).start()
        return self._known.get(endpoint)

    def _look(self, endpoint: str, keyed: bool) -> None:
        self._known[endpoint] = unreachable(endpoint, keyed)
        self._next[endpoint] = time.monotonic() + EVERY


def unreachable(endpoint: str, keyed: bool) -> str:
    """Why "tcp://host:port" cannot be reached, as a sentence without a subject; "" if it can be, or is no such endpoint."""
    if not endpoint.startswith("tcp://"):
        return ""
    place = urlsplit(endpoint)
    host, port = str(place.hostname), int(place.port or 0)
    where = endpoint.removeprefix("tcp://")
    found = _resolved(host, port, "[" in endpoint)
    if isinstance(found, str):
        return found
    family, address = found
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(PATIENCE)
            probe.connect(address)
            return _greeted(probe, where, b"CURVE" if keyed else b"NULL")
    except ConnectionRefusedError:
        return f"refuses connections at {where}: nobody listens there (yet)"
    except TimeoutError:
        return f"does not answer at {where}: is the address right, and the port open in all firewalls?"
    except OSError as why:
        return f"cannot be reached at {where}: {why.strerror or why}"


def _resolved(host: str, port: int, six: bool) -> tuple[socket.AddressFamily, Any] | str:
    """The address to which ZeroMQ connects, with its family, or why there is none.

    It is `six` only if an address says so: of a name with addresses of both families ZeroMQ would take that one alone.
    """
    try:
        found = socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return f"cannot be found: this machine cannot resolve the host name {host}"
    for family, *_, address in found:
        if (family == socket.AF_INET6) is six:
            return family, address
    return f"cannot be reached at {host}: this name has an IPv6 address only; write [{found[0][4][0]}]:{port} in its place"


def _greeted(probe: socket.socket, where: str, mechanism: bytes) -> str:
    """Whether a peer of gossipfl seems to answer at the other end of a connection."""
    greeting = b""
    with contextlib.suppress(OSError):
        probe.sendall(GREETING)  # a whole greeting would end the connection where mechanisms differ
        while len(greeting) < LONG and (more := probe.recv(LONG - len(greeting))):
            greeting += more
    if not greeting:
        return f"says nothing at {where}: the program that listens there hangs, or is no peer"
    if len(greeting) < LONG or greeting[:1] != GREETING[:1] or greeting[9:10] != GREETING[9:10]:
        return f"is not at {where}: another program listens there"
    theirs = greeting[12:32].rstrip(b"\0")
    if theirs != mechanism:
        there, here = ("open", "encrypted") if mechanism == b"CURVE" else ("encrypted", "open")
        return f"has {there} links, and those of this peer are {here}"
    return ""
