"""What could keep a peer from learning, found before it starts; must not know how it is shown.

The peer listens and dials as it will later, and sends its neighbours cards (`peer/check.py`). A neighbour answers while it is
checked, too, or already waits for others.
"""

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import zmq

from gossipfl.errors import BadMessage, GossipError, NetworkError
from gossipfl.experiment.learning.check import look
from gossipfl.experiment.live.alone import endpoints
from gossipfl.experiment.live.keyring import link_keys
from gossipfl.experiment.live.largest import largest
from gossipfl.experiment.study.own import told
from gossipfl.experiment.study.study import Study
from gossipfl.peer import ZeroMQ
from gossipfl.peer.check import Checker, is_card
from gossipfl.peer.wire import OtherVersion, ident, unversioned, whole
from gossipfl.topology.phrase import phrase

EVERY, AFTER = 1.0, 3.0  # seconds between two cards, and for which the last neighbours may ask for mine
LOOK, ELSEWHERE = (
    10.0,
    "tcp://127.0.0.1:*",
)  # seconds for neighbours, and where to listen, if the own port is not free
LATER = "can be checked when the port is free"
SILENT = (
    "is connected and has the right key, but does not answer: it neither waits for others nor is it checked"
)
HASHED = re.compile(r"[0-9a-f]{64}:")  # a setting that stands for code in a file
KEY = (
    "has another key",
    "does not know the key",
)  # what is wrong with the topology file, and not with the network


class Finding(NamedTuple):
    """One thing that was looked at: whether it is fine, what was found, and the exit code if it is not."""

    fine: bool | None  # None: it is not known yet
    sentence: str
    code: int = 0


def findings(
    study: Study,
    name: str,
    data: Path | None,
    listen: str | None,
    key: Path | None,
    wait: float,
) -> Iterator[Finding]:
    """Look at this peer's rows, code, key and port, then at each neighbour, for `wait` seconds at most.

    Raises:
        BadExperiment: there is no such peer, or no way to it.
    """
    places = endpoints(study, name, listen)
    table = None
    try:
        found = look(study, data, name)
        if found.refusal:
            raise found.refusal
        table = found.tables[found.names.index(name) if name in found.names else 0]
        yield Finding(True, f"rows: {len(table)} rows, and nothing that learning would refuse")
    except GossipError as error:
        yield Finding(False, f"rows: {error}", error.exit_code)
    for sentence in told(study.experiment):
        digest = str(study.settings.get(sentence.partition(" ")[0], ""))
        known = f" (its hash begins with {digest[:16]})" if HASHED.match(digest) else ""
        yield Finding(True, f"code: {sentence}; it runs on this machine with your rights: read it{known}")
    try:
        keys = link_keys(study, name, places, key)
        words = f"the key that the topology names; compare by telephone: {phrase(study.graph)}"
        yield Finding(
            True, f"key: {words}" if keys else "key: none: links are open, and anybody there can read them"
        )
    except GossipError as error:
        yield Finding(False, f"key: {error}", error.exit_code)
        return
    near = {other: place for other, place in places.items() if other != name}
    most = largest(study, table) if table is not None else 2**24
    try:
        transport = ZeroMQ(places[name], most, keys)
        how = (
            f"this peer can listen on {places[name]}"
            if places[name]
            else "none is needed: this peer dials its neighbours"
        )
        yield Finding(True, f"port: {how}")
    except NetworkError as error:
        used = isinstance(error.__cause__, zmq.ZMQError) and error.__cause__.errno == zmq.EADDRINUSE
        why = (
            f"{places[name]} is in use: stop this site's peer first, or what else listens there"
            if used
            else error
        )
        yield Finding(False, f"port: {why}", error.exit_code)
        transport = ZeroMQ(ELSEWHERE, most, keys)
        try:
            yield from _dialled(near, transport, min(wait, LOOK))
        finally:
            transport.close(0.0)
        return
    try:
        yield from _neighbours(study, name, near, transport, wait)
    finally:
        transport.close(1.0)


def _dialled(places: Mapping[str, str], transport: ZeroMQ, wait: float) -> Iterator[Finding]:
    """Without this peer's own port no neighbour can answer: look only at whether those that listen let it in."""
    waiting = {ident(other): other for other, place in places.items() if place}
    transport.connect({peer: places[other] for peer, other in waiting.items()})
    until = time.monotonic() + wait
    while waiting and time.monotonic() < until:
        for peer in [peer for peer in waiting if transport.reached(peer)]:
            yield Finding(True, f"{waiting.pop(peer)} is reached; whether it has the same study {LATER}")
        for peer in waiting:
            transport.why(peer)  # begins to look for the reason
        transport.recv(EVERY / 4)
    for peer, other in waiting.items():
        why = transport.why(peer) or "does not answer"
        yield Finding(False, f"{other} {why}", 3 if why.startswith(KEY) else NetworkError.exit_code)
    for other in (other for other, place in places.items() if not place):
        yield Finding(None, f"{other} dials us: whether it is reached {LATER}")


def _neighbours(
    study: Study, name: str, places: Mapping[str, str], transport: ZeroMQ, wait: float
) -> Iterator[Finding]:
    """Exchange cards with each neighbour, and say what came of it, or why nothing did."""
    names = {ident(other): other for other in places}
    checker, words = Checker(ident(name), study.settings), dict.fromkeys(names, "")
    transport.connect({ident(other): place for other, place in places.items()})
    for peer in names:
        transport.forget(peer)  # cards do not wait for a connection
    waiting, unserved, unthanked = set(names), set(names), set(names)
    until, again = time.monotonic() + wait, 0.0
    while (now := time.monotonic()) < until and waiting | unserved:
        if not waiting:  # some may lack my card
            until = min(until, now + AFTER)
        if now >= again:
            again = now + EVERY
            for peer in (waiting | unserved) - transport.lost():
                transport.send(peer, checker.card(peer))
            for peer in sorted(waiting, key=list(names).index):
                why = transport.why(peer)
                if why and why != words[peer]:
                    words[peer] = why
                    yield Finding(None, f"{names[peer]} {why}")
        frames = transport.recv(min(EVERY / 4, max(0.0, until - now)))
        heard = None if frames is None else _heard(checker, frames, transport.sender, names, places)
        if heard is None:
            continue
        peer, finding, served = heard
        if peer in waiting:
            waiting.discard(peer)
            yield finding
        if served:
            unserved.discard(peer)
        if not served or peer in unthanked:
            unthanked.discard(peer)
            transport.send(peer, checker.card(peer))
    for peer in sorted(waiting, key=list(names).index):
        why = transport.why(peer) or SILENT
        yield Finding(False, f"{names[peer]} {why}", 3 if why.startswith(KEY) else NetworkError.exit_code)


def _heard(
    checker: Checker,
    frames: list[bytes],
    sender: int | None,
    names: Mapping[int, str],
    places: Mapping[str, str],
) -> tuple[int, Finding, bool] | None:
    """Who has sent a card, what it tells, and whether its sender has mine; None if it is of no use."""
    try:
        if not is_card(frames):
            whole(frames)
            unversioned(frames[0])
            return None
        card, differ = checker.read(frames, sender, names)
    except OtherVersion as error:
        if sender is None:
            return None
        return sender, Finding(False, f"{names[sender]} {OtherVersion(error.version, sender).what}", 3), True
    except BadMessage:
        return None
    name = names[card.sender]
    reached = f"{name} {'is reached' if places[name] else 'dials us'}" + (
        " and has the right key" if sender is not None else ""
    )
    if differ:
        words = f"{reached}, but another study: {', '.join(differ)} differ{'s' * (len(differ) == 1)}"
        return card.sender, Finding(False, words, 3), card.heard
    return card.sender, Finding(True, f"{reached}, and the same study"), card.heard
