"""An experiment for a data file about which nothing is said but its name; must not know what is learned from it.

Each choice is a sentence, which a person can check, and a key, which a person can change.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gossipfl.data.clean import holes
from gossipfl.data.encode import no_numbers
from gossipfl.data.names import listed, text
from gossipfl.data.readers import How
from gossipfl.data.sources import INDEX, MEMORY, whole
from gossipfl.data.table import FEW, Table, words
from gossipfl.data.target import columns_of, pick
from gossipfl.errors import BadData

LEVELS = 50  # a column with more different words is a name or a text, no category
CLASSES = 50
ROWS = 25  # of each peer, if nothing is said of the peers
FULL = 40  # from so many rows a peer on, a mean of known values needs no look at how many there are
L2, TOLERANCE = 1e-3, 1e-8


@dataclass
class Draft:
    """Sections of an experiment file, and for each key that was chosen why."""

    sections: dict[str, dict[str, Any]]
    why: dict[str, str] = field(default_factory=dict)  # "section.key" -> a sentence

    def choose(self, key: str, value: Any, why: str) -> None:
        section, _, name = key.partition(".")
        self.sections.setdefault(section, {})[name] = value
        self.why[key] = why

    @property
    def sentences(self) -> list[str]:
        """The choices, each as key = value and why."""
        raw = {
            f"{name}.{key}": value
            for name, section in self.sections.items()
            for key, value in section.items()
        }
        return [f"{key} = {json.dumps(raw[key], ensure_ascii=False)}: {why}" for key, why in self.why.items()]

    @property
    def raw(self) -> dict[str, Any]:
        """The experiment as nested tables."""
        return {name: dict(section) for name, section in self.sections.items()}

    def toml(self, head: str) -> str:
        """The experiment file, with a comment above each key that says why."""
        lines = [f"# {head}"]
        for name, section in self.sections.items():
            lines.append(f"\n[{name}]")
            for key, value in section.items():
                if why := self.why.get(f"{name}.{key}"):
                    lines.append(f"# {why}")
                lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
        return "\n".join(lines) + "\n"


def draft(file: str | pd.DataFrame, target: str | None, topology: str | None, folder: Path = Path()) -> Draft:
    """An experiment for a file with one table: which columns are categorical, how missing values are treated, and the model.

    Args:
        file: with rows, relative to `folder`; or a data frame.
        target: the column to predict, or a comparison; None: the last column.
        topology: a shorthand or a file; None: a ring with some rows for each peer.
        folder: the base of a relative path.

    Raises:
        BadData: the file cannot be read, has no such column, or no target that a model can predict.
    """
    if isinstance(file, pd.DataFrame):
        return _drafted(file, MEMORY, target, topology)
    raw = whole(file, folder, How(targets=columns_of(target)))
    if raw is None or not isinstance(raw.features, pd.DataFrame):
        raise BadData(
            f"no data {file!r}: give one file with named columns, such as a CSV file; write an experiment for one file per "
            "peer: see gossipfl examples"
        )
    return _drafted(raw.features, file, target, topology)


def _drafted(frame: pd.DataFrame, file: str, target: str | None, topology: str | None) -> Draft:
    made = Draft({"data": {"source": file}})
    if target is None:
        last = str(frame.columns[-1])
        why = f"the column to predict: the last one, {_quoted(last)}, as nothing else was said"
        made.choose("data.target", last, why)
    else:
        made.sections["data"]["target"] = target
    features, y = pick(frame, made.sections["data"]["target"], file)
    table = Table.of(features, y, file)
    kept = _columns(made, table)
    _missing(made, kept, peers := _peers(topology, len(table)))
    made.sections["topology"] = {"graph": topology or f"ring:{peers}"}
    if topology is None:
        made.why["topology.graph"] = f"{peers} peers in a ring, each with a part of the {len(table)} rows"
    _model(made, table.target)
    made.choose("model.l2", L2, "a small penalty, so that there is one best model")
    made.choose("stop.tolerance", TOLERANCE, "stop when all peers hold one model")
    return made


def _columns(made: Draft, table: Table) -> Table:
    """Choose categorical columns, and columns to leave out; the table without these."""
    drop: list[str] = []
    categorical: list[str] = []
    for name in table.columns:
        column = table.features[name]
        found = len(set(map(text, column.dropna()))) if words(column) else 0
        if INDEX.fullmatch(name) or column.isna().all():
            drop.append(name)
        elif found and len(no_numbers(column)):
            (categorical if found <= LEVELS else drop).append(name)
    if drop:
        why = f"left out: row numbers, columns without values, or more than {LEVELS} different words"
        made.choose("data.drop", drop, why)
    if categorical:
        made.choose("data.categorical", categorical, "columns with words; each word has its own coefficient")
    return table.without(drop)


def _peers(topology: str | None, rows: int) -> int:
    """How many peers there are; a guess where a file or another family says it."""
    if topology is None:
        return max(3, min(8, rows // ROWS))
    match = re.fullmatch(r"\w+:(\d+)", topology)
    return int(match[1]) if match else 16


def _missing(made: Draft, table: Table, peers: int) -> None:
    found = holes(table)
    unlabelled = int(table.target.isna().sum())
    if not found and not unlabelled:
        return
    categorical = made.sections["data"].get("categorical", [])
    parts = [f"{_quoted(name)} in {count}" for name, count in found.items()]
    parts += [f"the target in {unlabelled}"] if unlabelled else []
    what = f"values are missing ({_joined(parts)} of {len(table)} rows)"
    wordy = [name for name in found if name in categorical]
    numeric = [name for name in found if name not in categorical]
    if not unlabelled and not numeric:
        how, why = "level", "they are a level of their own"
    elif not unlabelled and not wordy:
        plenty = len(table) >= FULL * peers
        how, why = ("mean", "the mean replaces them") if plenty else ("median", "the median replaces them")
    elif not unlabelled and all(table.features[name].nunique() <= FEW for name in numeric):
        how, why = "mode", "the most frequent value replaces them"
    else:
        how, why = "drop", "these rows are left out"
    made.choose("data.missing", how, f"{what}: {why}")


def _model(made: Draft, target: pd.Series) -> None:
    known = target.dropna()
    count = int(known.nunique())
    if count < 2:
        raise BadData(
            f"the target {target.name!r} has {count} different values: choose a column with at least two"
        )
    if count == 2:
        kind, why = (
            "logistic",
            f"the target has two values, {listed(map(text, sorted(known.unique(), key=str)))}: two classes",
        )
    elif not words(target):
        kind, why = (
            "linear",
            f"the target is a number with {count} values (softmax if they are classes, poisson if counts)",
        )
    elif count <= CLASSES:
        kind, why = "softmax", f"the target has {count} words: so many classes"
    else:
        raise BadData(
            f"the target {target.name!r} has {count} different words, which are too many classes: choose another column"
        )
    made.choose("model.kind", kind, why)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _joined(parts: list[str], most: int = 6) -> str:
    """`a, b and 4 more`."""
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")
