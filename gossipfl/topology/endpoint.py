"""Where a peer listens: which endpoints are valid; must not know files, or the sockets that will be opened."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from textwrap import shorten
from typing import Any

LONGEST = 107  # bytes of an ipc path: the limit of a Unix socket's address
EVERY_HOST = "*", "0.0.0.0", "[::]"  # addresses to listen on
NEITHER = "{0} and {1} are neighbours and neither has an endpoint, so nobody can dial the other: give one of them an endpoint"
_TCP = re.compile(
    r"tcp://(\*|[a-z0-9][a-z0-9._-]*|\[(?P<six>[0-9a-f:.]+)\]):(\*|\d{1,5})", re.ASCII | re.IGNORECASE
)


def endpoint(value: str, own: bool = False) -> str:
    """The value, if it is an endpoint that others can connect to.

    Args:
        value: "tcp://host:port" or "ipc://path"; an IPv6 address stands in brackets.
        own: the peer only listens there, so "*", "0.0.0.0" or "[::]" may stand for any host, and "*" for a free port.

    Raises:
        ValueError: it is not an endpoint. ZeroMQ itself accepts port 99999, and then waits forever.
    """
    shown = shorten(value, 60, placeholder="...") or '""'
    if (tcp := _TCP.fullmatch(value)) and _valid(tcp["six"]):
        host, port = tcp[1], tcp[3]
        if not own and (host in EVERY_HOST or port == "*"):
            raise ValueError(
                f"{shown} is an address to listen on, but others cannot connect to it: write "
                f"tcp://host:port with a host's name or address, not {', '.join(EVERY_HOST[:-1])} or {EVERY_HOST[-1]}"
            )
        if port == "*" or 0 < int(port) < 65536:
            return value
    elif value.startswith("ipc://") and 0 < len(value.removeprefix("ipc://").encode()) <= LONGEST:
        return value
    raise ValueError(
        f"{shown} is not an endpoint: write tcp://host:port, with a port from 1 to 65535, or ipc://path of at most {LONGEST} "
        "bytes"
    )


def _valid(six: str | None) -> bool:
    """Whether this is an IPv6 address, or there is none."""
    try:
        return six is None or bool(IPv6Address(six))
    except ValueError:
        return False


def local(endpoint: str) -> bool:
    """Whether only processes of this machine can connect to an endpoint."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    return endpoint.startswith("ipc://") or host in ("localhost", "[::1]") or _loops_back(host)


def _loops_back(host: str) -> bool:
    """Whether this is an IPv4 address of this machine; a name such as 127.example.org is none."""
    try:
        return IPv4Address(host).is_loopback
    except ValueError:
        return False


def apart(peers: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse peers, by name and with their attributes, if two of them listen on the same endpoint. Raises ValueError."""
    first: dict[str, str] = {}
    for peer, attributes in peers.items():
        place = attributes.get("endpoint")
        if place and (other := first.setdefault(place, peer)) != peer:
            raise ValueError(f"{other} and {peer} cannot both listen on {place}: give each its own endpoint")


def unreachable(
    peers: Mapping[str, Mapping[str, Any]], links: Iterable[tuple[str, str]]
) -> tuple[str, str] | None:
    """Two neighbours without endpoints, of which neither can dial the other; None if there are none."""
    return next((link for link in links if not any("endpoint" in peers[peer] for peer in link)), None)


def dialled(peers: Mapping[str, Mapping[str, Any]], links: Iterable[tuple[str, str]]) -> None:
    """Refuse neighbours of which neither can dial the other, where peers have endpoints and keys. Raises ValueError."""
    about = [*peers.values()]
    ready = all(any(key in one for one in about) for key in ("endpoint", "public_key"))
    if ready and (pair := unreachable(peers, links)):
        raise ValueError(NEITHER.format(*pair))
