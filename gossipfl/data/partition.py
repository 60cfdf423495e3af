"""Divides the rows of one table among peers; must not know what the peers do with them.

A scheme gives each row its owner, so every row goes to exactly one peer by construction.
"""

import heapq
import inspect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gossipfl import rng
from gossipfl.data.names import did_you_mean
from gossipfl.data.schemes import LEAST, PARTITIONS, UNEVEN, Owner, Scheme
from gossipfl.data.table import Table
from gossipfl.errors import BadData, BadExperiment

_KINDS = {int: "a whole number", float: "a number", str: "text"}


def partition(
    table: Table, scheme: Mapping[str, Any], peers: Sequence[str], seed: int, test: float | str = 0.0
) -> list[Table]:
    """One table for each peer, in the order of `peers`; every row goes to exactly one, in the table's order.

    Args:
        table: all rows.
        scheme: `{"scheme": NAME, ...}` with a name of `PARTITIONS` and the settings of that scheme.
        peers: the names of the peers.
        seed: 0 or above.
        test: the fraction of rows that `split` will mark; `min_partition_size` counts the others. Where a scheme gives a peer
            fewer, rows are moved to it from the peers that have most, and the tables of those that get rows say so.

    Raises:
        BadExperiment: there is no such scheme, or it does not have this setting, or does not allow this value.
        BadData: a peer gets no rows, or the values of a column do not match the peers.
    """
    settings = dict(scheme)
    kind = settings.pop("scheme", "iid")
    share = _checked(kind, settings)
    draw = rng.generator(seed, "partition")
    least = settings.pop("min_partition_size", LEAST) if kind in UNEVEN else 0
    enough = _rows(least, test)
    if len(table) < enough * len(peers):
        raise BadData(
            f"{table.where} has {len(table)} rows, too few for {len(peers)} peers with {enough} rows each "
            f"({least} for training): use fewer peers, or a smaller min_partition_size"
        )
    owner, moved = _topped(share(table, peers, draw, **settings), len(peers), enough, draw)
    counts = np.bincount(owner, minlength=len(peers))
    if not counts.all():
        raise BadData(
            f'{table.where}: partition "{kind}" leaves peer {peers[int(counts.argmin())]!r} without rows '
            f"({len(table)} rows, {len(peers)} peers): use fewer peers, more rows or a more even partition"
        )
    if kind == "column":
        table = table.without([settings["name"]])
    parts = [
        table.take(np.flatnonzero(owner == i), f"{table.where}, peer {name!r}")
        for i, name in enumerate(peers)
    ]
    if not moved:
        return parts
    note = (
        f'partition "{kind}" left {len(moved)} of {len(peers)} peers with fewer than {least} training rows '
        f"(min_partition_size): {sum(moved.values())} of {len(table)} rows were moved to them"
    )
    return [replace(part, notes=(*part.notes, note)) if i in moved else part for i, part in enumerate(parts)]


def _rows(least: int, test: float | str) -> int:
    """The smallest number of rows of which at least `least` are training rows."""
    fraction = 0.0 if isinstance(test, str) else test
    return next(n for n in itertools.count(least) if n - math.ceil(n * fraction) >= least)


def _topped(owner: Owner, peers: int, least: int, draw: np.random.Generator) -> tuple[Owner, dict[int, int]]:
    """Owners so that each peer has `least` rows, and the number of rows that were moved to each peer that had fewer.

    Each row moved is one of the largest peer's, by chance.
    """
    counts = np.bincount(owner, minlength=peers)
    moved = {int(i): int(least - counts[i]) for i in np.flatnonzero(counts < least)}
    owner = owner.copy()
    spare = {
        int(i): draw.permutation(np.flatnonzero(owner == i)).tolist() for i in np.flatnonzero(counts > least)
    }
    largest = [(-len(rows), i) for i, rows in spare.items()]
    heapq.heapify(largest)
    for poor, lacks in moved.items():
        for _ in range(lacks):
            _, rich = heapq.heappop(largest)
            owner[spare[rich].pop()] = poor
            heapq.heappush(largest, (-len(spare[rich]), rich))
    return owner, moved


def _form(kind: str) -> str:
    """How an experiment file gives a scheme its settings."""
    names = [
        p.name for p in inspect.signature(PARTITIONS[kind]).parameters.values() if p.kind is p.KEYWORD_ONLY
    ]
    return f'partition = {{ scheme = "{kind}"{"".join(f", {name} = ..." for name in names)} }}'


def _checked(kind: str, settings: Mapping[str, Any]) -> Scheme:
    if kind not in PARTITIONS:
        short = str(kind).partition(":")[0]
        near = f"; write {_form(short)}" if short in PARTITIONS else did_you_mean(str(kind), PARTITIONS)
        raise BadExperiment(f"there is no partition scheme {kind!r}{near}")
    parameters = inspect.signature(PARTITIONS[kind]).parameters.values()
    known = {p.name: (p.annotation, p.default) for p in parameters if p.kind is p.KEYWORD_ONLY}
    if kind in UNEVEN:
        known["min_partition_size"] = int, LEAST
    for name in settings:
        if name not in known:
            raise BadExperiment(f'partition "{kind}" has no setting {name!r}{did_you_mean(name, known)}')
    for name, (type_, default) in known.items():
        if default is inspect.Parameter.empty and name not in settings:
            raise BadExperiment(f'partition "{kind}" needs a value of {name}: write {_form(kind)}')
        value = settings.get(name, default)
        if type(value) not in ((int, float) if type_ is float else (type_,)):
            raise BadExperiment(f'partition "{kind}": {name} = {value!r} must be {_KINDS[type_]}')
    if settings.get("min_partition_size", 0) < 0:
        raise BadExperiment(f'partition "{kind}": min_partition_size must be at least 0')
    return PARTITIONS[kind]
