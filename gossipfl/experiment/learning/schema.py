"""The columns, levels and classes of all peers, in one union; must not know which engine carries the agreement."""

import json
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from gossipfl.data import Schema, Table, classes, levels
from gossipfl.data.declared import flags
from gossipfl.data.encode import mark
from gossipfl.data.names import natural
from gossipfl.errors import BadData
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.study.study import Study
from gossipfl.topology.names import several

TOLD = 5  # of the columns that a peer lacks


def agree_schema(study: Study, tables: Sequence[Table], rows: Tensor, agreement: Agreement) -> Schema:
    """The columns, category levels and classes of all peers, in one union.

    Raises:
        BadData: a peer lacks a column that another has, or has a column of words that is not categorical.
    """
    data, labelled = study.experiment.data, is_classification(study)
    declared: dict[str | None, Sequence[str]] = {
        name: data.levels[name] for name in data.categorical if name in data.levels
    }
    declared |= {None: data.classes} if labelled and data.classes else {}
    words, marks, refused = list[set[str]](), list[list[float]](), list[BadData]()
    for table in tables:
        own: set[tuple[str | None, str, bool]] = set()
        try:
            own = _labels(data.categorical, labelled, table)
            marks.append(flags(own, declared, table.where))
        except BadData as error:
            refused.append(error)
        order = [mark(json.dumps(names)) for names in (table.columns, sorted(table.columns))]
        words.append({json.dumps(order), *(json.dumps(word) for word in own if word[0] not in declared)})
    everything: dict[str | None, set[str]] = {column: set() for column in (*data.categorical, None)}
    seen: dict[str | None, set[str]] = {column: set() for column in (*data.categorical, None)}
    named = {*data.categorical, *((None,) if labelled else ())} - {*declared}
    orders = set[tuple[int, int]]()

    def read(told: str) -> tuple[str | None, str, bool] | tuple[int, int]:
        match json.loads(told):
            case [int(ordered), int(same)]:
                return ordered, same
            case [name, str(word), bool(training)] if name in named:
                return name, word, training
        raise ValueError("no level of a categorical column, no class, and no order of columns")

    for found in map(read, agreement.union(words, read)):
        if len(found) == 2:
            orders.add(found)
            continue
        name, word, training = found
        everything[name].add(word)
        if training:
            seen[name].add(word)
    columns = agree_columns(study, tables, rows, orders, agreement)
    if refused:
        raise refused[0]
    given = [(name, word) for name, known in declared.items() for word in known]
    held = np.ones(len(given))  # with private sums nobody tells which of them its rows have
    if given and not study.private:
        held = agreement.total(np.array(marks))
    for (name, word), peers in zip(given, held.tolist(), strict=True):
        everything[name].add(word)
        if peers > 0.5:
            seen[name].add(word)
    names = everything.pop(None) if labelled else None
    return Schema.agree(
        columns, {str(c): everything[c] for c in data.categorical}, names, data.positive, seen
    )


def _labels(categorical: Sequence[str], labelled: bool, table: Table) -> set[tuple[str | None, str, bool]]:
    """The levels and classes of a table: column or None, word, whether a training row has it."""
    own: set[tuple[str | None, str, bool]] = set()
    for training in (True, False) if table.test.any() else (True,):
        found: dict[str | None, set[str]] = dict(levels(table, categorical, training).items())
        found |= {None: classes(table, training)} if labelled else {}
        own |= {
            (name, word, training)
            for name, distinct in found.items()
            for word in distinct
            if (name, word, True) not in own
        }
    return own


def agree_columns(
    study: Study, tables: Sequence[Table], rows: Tensor, orders: set[tuple[int, int]], agreement: Agreement
) -> Sequence[str]:
    """The columns, in the order of the tables if it is the same at all peers; otherwise in natural order.

    `orders` are marks of the columns of all peers, in the order of the table and sorted.

    Raises:
        BadData: a peer lacks a column that another has; the message names column and peers.
    """
    if len(orders) == 1:
        return tables[0].columns
    if len({same for _, same in orders}) == 1:
        return sorted(tables[0].columns, key=natural)
    every = agreement.union([table.columns for table in tables])
    lacks = [sorted(every - set(table.columns), key=natural)[:TOLD] for table in tables]
    named = [study.names[row] for row in rows.tolist()]

    def read(told: str) -> tuple[str, str]:
        column, peer = json.loads(told)
        if column not in every or peer not in study.names:
            raise ValueError("no column and peer")
        return column, peer

    told = agreement.union(
        [[json.dumps([c, me]) for c in own] for me, own in zip(named, lacks, strict=True)], read
    )
    lacking: dict[str, list[str]] = {}
    for column, peer in map(read, told):
        lacking.setdefault(column, []).append(peer)
    first = sorted(lacking, key=natural)[:TOLD]  # of these all peers have told whether they lack them
    parts = []
    for name in first:
        without = [peer for peer in study.names if peer in lacking[name]]
        others = [peer for peer in study.names if peer not in lacking[name]]
        parts.append(f"column {name!r} is at {several(others)}, but not at {several(without)}")
    raise BadData(
        f"the peers have different columns: {'; '.join(parts)}. Leave columns out with drop = "
        f"{json.dumps(first, ensure_ascii=False)} at all peers, or give all files the same columns"
    )


def is_classification(study: Study) -> bool:
    """Whether the target is a class."""
    return study.experiment.model.kind != "module" and study.loss.task in ("binary", "multiclass")
