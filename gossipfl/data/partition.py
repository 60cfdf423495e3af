"""Divides the rows of one table among peers; must not know what the peers do with them.

A scheme gives each row its owner, so every row goes to exactly one peer by construction.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gossipfl import rng
from gossipfl.data.names import did_you_mean
from gossipfl.data.schemes import PARTITIONS, Scheme
from gossipfl.data.table import Table
from gossipfl.errors import BadData, BadExperiment

_KINDS = {int: "a whole number", float: "a number", str: "text"}


def partition(table: Table, scheme: Mapping[str, Any], peers: Sequence[str], seed: int) -> list[Table]:
    """One table for each peer, in the order of `peers`; every row goes to exactly one, in the table's order.

    Args:
        table: all rows.
        scheme: `{"scheme": NAME, ...}` with a name of `PARTITIONS` and the settings of that scheme.
        peers: the names of the peers.
        seed: 0 or above.

    Raises:
        BadExperiment: there is no such scheme, or it does not have this setting, or does not allow this value.
        BadData: a peer gets no rows, or the values of a column do not match the peers.
    """
    settings = dict(scheme)
    kind = settings.pop("scheme", "iid")
    share = _checked(kind, settings)
    owner = share(table, peers, rng.generator(seed, "partition"), **settings)
    counts = np.bincount(owner, minlength=len(peers))
    if not counts.all():
        raise BadData(
            f'{table.where}: partition "{kind}" leaves peer {peers[int(counts.argmin())]!r} without rows '
            f"({len(table)} rows, {len(peers)} peers): use fewer peers, more rows or a more even partition"
        )
    if kind == "column":
        table = table.without([settings["name"]])
    return [
        table.take(np.flatnonzero(owner == i), f"{table.where}, peer {name!r}")
        for i, name in enumerate(peers)
    ]


def _checked(kind: str, settings: Mapping[str, Any]) -> Scheme:
    if kind not in PARTITIONS:
        raise BadExperiment(f"there is no partition scheme {kind!r}{did_you_mean(str(kind), PARTITIONS)}")
    known = [p for p in inspect.signature(PARTITIONS[kind]).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for name in settings:
        if name not in {p.name for p in known}:
            raise BadExperiment(
                f'partition "{kind}" has no setting {name!r}{did_you_mean(name, (p.name for p in known))}'
            )
    for p in known:
        if p.default is p.empty and p.name not in settings:
            raise BadExperiment(f'partition "{kind}" needs a value: set {p.name} = ...')
        value = settings.get(p.name, p.default)
        allowed = (int, float) if p.annotation is float else (p.annotation,)
        if type(value) not in allowed:
            raise BadExperiment(f'partition "{kind}": {p.name} = {value!r} must be {_KINDS[p.annotation]}')
    return PARTITIONS[kind]
