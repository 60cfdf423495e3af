"""The rows of each peer; must not know models or engines."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import vstack

from gossipfl.data import Table, by_name, clean, partition, read, split
from gossipfl.errors import BadData, BadExperiment
from gossipfl.experiment.study.study import Study


def tables(study: Study) -> list[Table]:
    """The raw rows of all peers, with test rows marked: one file each, or one source that `partition` splits."""
    data = study.experiment.data
    found = read(data.source, data.target, drop=data.drop, columns=data.columns)
    if isinstance(found, dict):
        parts = by_name(found, study.holders)
    else:
        parts = partition(found, data.partition, study.holders, study.experiment.seed)
    ready = [_ready(study, part) for part in parts]
    return [_pooled(ready)] if study.method and study.method.gathers else ready


def own_table(study: Study, name: str, file: Path | None) -> Table:
    """The raw rows of one peer: all of `file`, or its part of the experiment's source; all peers split it in the same way."""
    if name not in study.names:
        raise BadExperiment(
            f"there is no peer {name} in the topology; its peers are {', '.join(study.names[:20])}"
        )
    data = study.experiment.data
    if file is None:
        found = read(data.source, data.target, drop=data.drop, columns=data.columns)
        if not isinstance(found, dict):
            return tables(study)[study.names.index(name)]
        return _ready(
            study, found[name] if name in found else by_name(found, study.names)[study.names.index(name)]
        )
    found = read(str(file.absolute()), data.target, drop=data.drop, columns=data.columns)
    if isinstance(found, dict):
        raise BadData(f"--data {file} is a folder: give the file with the rows of {name}")
    return _ready(study, found)


def _ready(study: Study, table: Table) -> Table:
    """The table after `missing` and `test` of the experiment."""
    data = study.experiment.data
    table = clean(table.aside(data.row_weights, data.offset), data.missing, data.categorical)
    return split(table, data.test, study.experiment.seed)


def _pooled(parts: list[Table]) -> Table:
    """All rows in one table, for the baseline "pooled"."""
    dense = isinstance(parts[0].features, pd.DataFrame)
    features = [part.features for part in parts]
    return Table(
        pd.concat(features) if dense else vstack(features, format="csr"),
        pd.concat([part.target for part in parts]),
        np.concatenate([part.test for part in parts]),
        "all peers together",
        parts[0].sparse_names,
        *(_joined([getattr(part, name) for part in parts]) for name in ("weights", "offset")),
    )


def _joined(arrays: list[npt.NDArray[np.float64] | None]) -> npt.NDArray[np.float64] | None:
    return None if arrays[0] is None else np.concatenate([a for a in arrays if a is not None])
