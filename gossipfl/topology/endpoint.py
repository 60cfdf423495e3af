"""Where a peer listens: what may be written there; must not know files, or the sockets that will be opened."""

import re
from collections.abc import Mapping
from textwrap import shorten
from typing import Any

LONGEST = 107  # bytes of an ipc path: a Unix socket's address holds no more
_TCP = re.compile(r"tcp://(\*|[a-z0-9][a-z0-9._-]*):(\*|\d{1,5})", re.ASCII | re.IGNORECASE)


def endpoint(value: str, own: bool = False) -> str:
    """The value, if it is an endpoint that others can connect to.

    Args:
        value: "tcp://host:port" or "ipc://path".
        own: it is only to be listened on, so that "*" may stand for any host, or for a free port.

    Raises:
        ValueError: it is none; ZeroMQ itself takes port 99999, and waits there for ever.
    """
    shown = shorten(value, 60, placeholder="...") or '""'
    if tcp := _TCP.fullmatch(value):
        if "*" in tcp.groups() and not own:
            raise ValueError(
                f"{shown} is where one may listen, but not an endpoint that others can connect to: "
                "write tcp://host:port without *"
            )
        if tcp[2] == "*" or 0 < int(tcp[2]) < 65536:
            return value
    elif value.startswith("ipc://") and 0 < len(value.removeprefix("ipc://").encode()) <= LONGEST:
        return value
    raise ValueError(
        f"{shown} is not an endpoint: write tcp://host:port, with a port from 1 to 65535, or ipc://path of at most {LONGEST} "
        "bytes"
    )


def apart(peers: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse peers, by name and with their attributes, of which two listen in one place. Raises ValueError."""
    first: dict[str, str] = {}
    for peer, attributes in peers.items():
        place = attributes.get("endpoint")
        if place and (other := first.setdefault(place, peer)) != peer:
            raise ValueError(f"{other} and {peer} cannot both listen on {place}: give each its own endpoint")
