"""The rows of each peer; must not know models or engines."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import vstack

from gossipfl.data import MISSING, Table, by_name, clean, partition, read, split
from gossipfl.errors import BadData, BadExperiment
from gossipfl.experiment.study.study import Study
from gossipfl.topology.names import several


class Given(NamedTuple):
    """A study and the rows of its peers, for a caller that has graph or rows in memory."""

    study: Study
    rows: list[Table]


def tables(study: Study, rows: Table | dict[str, Table] | None = None) -> list[Table]:
    """The raw rows of all peers, with test rows marked: one file each, or one source that `partition` splits.

    `rows` replace what the experiment's source has: rows to be split, or those of each peer.
    """
    found = [ready(study, part) for part in raw_tables(study, rows)]
    return [pooled(found)] if study.method and study.method.gathers else found


def raw_tables(study: Study, rows: Table | dict[str, Table] | None = None) -> list[Table]:
    """The rows of all peers, before `missing` and `test`; for `rows` see `tables`."""
    data = study.experiment.data
    found = _read(study, data.source) if rows is None else rows
    if isinstance(found, dict):
        return by_name(found, study.holders)
    return partition(found, data.partition, study.holders, study.experiment.seed, data.test)


def own_table(study: Study, name: str, file: Path | None) -> Table:
    """The raw rows of one peer: all of `file`, or its part of the experiment's source; all peers split it in the same way."""
    if name not in study.names:
        raise BadExperiment(
            f"there is no peer {name} in the topology; its peers are {', '.join(study.names[:20])}"
        )
    if file is None:
        found = _read(study, study.experiment.data.source)
        if not isinstance(found, dict):
            return tables(study)[study.names.index(name)]
        table = found[name] if name in found else by_name(found, study.names)[study.names.index(name)]
        return ready(study, replace(table, owner=name))
    return ready(study, own_raw_table(study, name, file))


def own_raw_table(study: Study, name: str, file: Path) -> Table:
    """The rows of one peer's own file, before `missing` and `test`."""
    found = _read(study, str(file.absolute()), one_of_many=True)
    if isinstance(found, dict):
        raise BadData(f"--data {file} is a folder: give the file with the rows of one peer")
    return replace(found, owner=name)


def _read(study: Study, source: str, one_of_many: bool = False) -> Table | dict[str, Table]:
    """The raw rows of a source, read as the experiment says."""
    data = study.experiment.data
    words = {*data.categorical, *(value for key, value in data.partition.items() if key == "name")}
    return read(
        source,
        data.target,
        drop=data.drop,
        columns=data.columns,
        verbatim=set(map(str, words)),
        missing=MISSING if data.missing_words is None else data.missing_words,
        decimal=data.decimal,
        one_of_many=one_of_many,
    )


def notes(tables: Sequence[Table], names: Sequence[str]) -> list[str]:
    """What was done to the rows that a person should know, each with the peers that it is about."""
    told: dict[str, list[str]] = {}
    for name, table in zip(names, tables, strict=True):
        for note in table.notes:
            told.setdefault(note, []).append(name)
    return [f"{several(about)}: {note}" for note, about in told.items()]


def ready(study: Study, table: Table) -> Table:
    """The table after `missing` and `test` of the experiment.

    With private sums test rows are drawn one by one: what hides a row must not have others learned from, or not.
    """
    data = study.experiment.data
    table = clean(table.aside(data.row_weights, data.offset), data.missing, data.categorical)
    return split(table, data.test, study.experiment.seed, study.private)


def pooled(parts: list[Table]) -> Table:
    """All rows in one table, for the baseline "pooled"."""
    dense = isinstance(parts[0].features, pd.DataFrame)
    features = [part.features for part in parts]
    return Table(
        pd.concat(features) if dense else vstack(features, format="csr"),
        pd.concat([part.target for part in parts]),
        np.concatenate([part.test for part in parts]),
        "all peers together",
        parts[0].sparse_names,
        weights=_joined([part.weights for part in parts]),
        offset=_joined([part.offset for part in parts]),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _joined(arrays: list[npt.NDArray[np.float64] | None]) -> npt.NDArray[np.float64] | None:
    return None if arrays[0] is None else np.concatenate([a for a in arrays if a is not None])
