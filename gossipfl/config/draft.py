"""An experiment for a data file about which nothing is said but its name; must not know what is learned from it.

Each choice is a sentence, which a person can check, and a key, which a person can change.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from gossipfl.config.algorithm import settles
from gossipfl.data.bundled import BUNDLED
from gossipfl.data.clean import holes
from gossipfl.data.encode import no_numbers
from gossipfl.data.memory import declared, read_frame
from gossipfl.data.names import COMMA, GROUPED, NUMBER, listed, natural, text
from gossipfl.data.readers import MISSING, How, Raw
from gossipfl.data.sources import INDEX, MEMORY, whole
from gossipfl.data.table import FEW, Table, numbers, words
from gossipfl.data.target import columns_of, pick
from gossipfl.errors import BadData, BadExperiment

LEVELS = 50  # a column with more different words is a name or a text, no category
CLASSES = 50
ROWS = 25  # of each peer, if nothing is said of the peers
FULL = 40  # from so many rows a peer on, a mean of known values needs no look at how many there are
L2, TOLERANCE = 1e-3, 1e-8
ID = re.compile(r"(.*[\W_])?(id|ID|Id|index)|.*[a-z]I[dD]", re.DOTALL)
DATE = re.compile(r"\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?([./])\d\d?\2\d{2,4}( .*)?", re.DOTALL)
AMBIGUOUS = re.compile(r"[+-]?\d{1,3},\d{3}")  # 1,234 may be 1.234 or 1234
SIGNS = "%€$£¥<>~≈ "  # beside a number


@dataclass
class Draft:
    """Sections of an experiment file, and for each key that was chosen, and not given, why."""

    sections: dict[str, dict[str, Any]]
    why: dict[str, str] = field(default_factory=dict)  # "section.key" -> a sentence
    given: Mapping[str, Any] = field(default_factory=dict)  # keys that are in no section

    def choose(self, key: str, value: Any, why: str) -> None:
        section, _, name = key.partition(".")
        table = self.sections.setdefault(section, {})
        if name not in table:
            table[name], self.why[key] = value, why

    def add(self, name: str, columns: list[str], why: str) -> None:
        """Add columns to a list of `[data]`, beside those that are given."""
        if columns:
            data = self.sections["data"]
            data[name] = [*data.get(name, ()), *columns]
            self.why[f"data.{name}"] = why

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
        return {name: dict(section) for name, section in self.sections.items()} | dict(self.given)

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


def draft(
    file: str | pd.DataFrame,
    target: str | None,
    topology: str | None,
    folder: Path = Path(),
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Draft:
    """An experiment for a file with one table: which columns are categorical, how missing values are treated, and the model.

    Args:
        file: with rows, relative to `folder`; or a data set of scikit-learn; or a data frame.
        target: the column to predict, or a comparison; None: the last column.
        topology: a shorthand or a file; None: a ring with some rows for each peer.
        folder: the base of a relative path.
        given: tables of an experiment file. Their keys stay as they are, and only others are chosen.

    Raises:
        BadData: the file cannot be read, has no such column, no target that a model can predict, or a column that may be
            numbers or words.
    """
    sections = {name: dict(section) for name, section in given.items() if isinstance(section, Mapping)}
    made = Draft(
        {"data": {}} | sections, given={name: v for name, v in given.items() if name not in sections}
    )
    data = made.sections["data"]
    how = How(
        data.get("columns"), columns_of(target), data.get("categorical", ()),
        MISSING if data.get("missing_words") is None else data["missing_words"], data.get("decimal", "."),
    )  # fmt: skip
    data["source"] = MEMORY if isinstance(file, pd.DataFrame) else file

    def read(how: How) -> Raw | None:
        return read_frame(file, how) if isinstance(file, pd.DataFrame) else whole(file, folder, how)

    raw = read(how)
    if raw is None or not isinstance(raw.features, pd.DataFrame):
        raise BadData(
            f"no data {file!r}: give one file with named columns, such as a CSV file; write an experiment for one file per "
            "peer: see gossipfl examples"
        )
    frame = raw.features
    if target is None and isinstance(raw.target, str):
        made.choose("data.target", raw.target, "the column to predict, as these data name it")
    if "decimal" not in data and (found := _comma(frame, how)):
        made.choose(
            "data.decimal", ",", f"numbers have a decimal comma, such as {found[1]} in {_quoted(found[0])}"
        )
        frame = read(how._replace(decimal=",")).features  # type: ignore[union-attr]
    if isinstance(file, str) and file in BUNDLED and frame["target"].dtype.kind == "i":
        frame = frame.astype({"target": "category"})  # its numbers are classes
    where = "the data frame" if data["source"] == MEMORY else str(file)
    return _drafted(frame, made, target, topology, where)


def _drafted(frame: pd.DataFrame, made: Draft, target: str | None, topology: str | None, where: str) -> Draft:
    data = made.sections["data"]
    if target is None:
        last = str(frame.columns[-1])
        why = f"the column to predict: the last one, {_quoted(last)}, as nothing else was said"
        made.choose("data.target", last, why)
    else:
        data["target"] = target
    features, y = pick(frame, data["target"], where)
    table, categories = Table.of(features, y, where), declared(frame)
    kept = _columns(made, table, categories)
    _missing(made, kept, peers := _peers(topology, len(table)))
    graph = topology or f"ring:{peers}"
    made.choose(
        "topology.graph", graph, f"{peers} peers in a ring, each with a part of the {len(table)} rows"
    )
    if topology is not None:
        made.why.pop("topology.graph", None)
    _model(made, table.target, data["target"] in categories)
    made.choose("model.l2", L2, "a small penalty, so that there is one best model")
    if settles(made.sections.get("algorithm", {}).get("kind", "")):
        made.choose("stop.tolerance", TOLERANCE, "stop when all peers hold one model")
    return made


def _comma(frame: pd.DataFrame, how: How) -> tuple[str, str] | None:
    """A column whose numbers have a decimal comma, and one of them; None if there is none that is no thousands separator."""
    words = {*how.verbatim, *declared(frame)}
    for name in frame.columns:
        if name in words or frame[name].dtype.kind in "ifb":
            continue
        found = [*dict.fromkeys(str(word).strip() for word in frame[name].dropna())]
        commas = [word for word in found if COMMA.fullmatch(word)]
        points = [word for word in found if NUMBER.fullmatch(word) and "." not in word]
        if len(commas) + len(points) == len(found) and not all(map(AMBIGUOUS.fullmatch, commas)):
            return str(name), next(word for word in commas if not AMBIGUOUS.fullmatch(word))
    return None


def _columns(made: Draft, table: Table, categories: set[str]) -> Table:
    """Choose categorical columns, such as those that a program calls `categories`, and columns to leave out; the other ones."""
    data = made.sections["data"]
    for key in ("drop", "categorical"):
        if isinstance(word := data.get(key, ()), str):
            raise BadExperiment(f"data.{key} is a list of columns: write data.{key} = [{_quoted(word)}]")
    divided, test = data.get("partition"), data.get("test")
    named = [data.get("row_weights"), data.get("offset"), test if isinstance(test, str) else None]
    named += [divided.get("name")] if isinstance(divided, Mapping) else []
    apart = {*data.get("drop", ()), *(name for name in named if name)}
    gone: dict[str, str] = {}
    categorical: list[str] = []
    for name in table.columns:
        if name in apart or name in data.get("categorical", ()):
            continue
        column = table.features[name]
        wordy = words(column) and len(no_numbers(column)) > 0
        found = len(set(map(text, column.dropna()))) if wordy else 0
        if INDEX.fullmatch(name):
            gone[name] = "row numbers"
        elif column.isna().all():
            gone[name] = "no values"
        elif not wordy and ID.fullmatch(name) and _counts(column):
            gone[name] = "another number in each row"
        elif name in categories and found <= LEVELS:  # numbers, or not too many words
            categorical.append(name)
        elif not wordy:
            continue
        elif found > FEW and _nearly_numbers(column):
            raise BadData(_unclear(table, column))
        elif found > LEVELS:
            dates = all(DATE.fullmatch(str(word)) for word in column.dropna())
            gone[name] = f"{found} different " + (
                "dates: write them as numbers to use them" if dates else "words"
            )
        else:
            categorical.append(name)
    made.add(
        "drop", [*gone], f"left out: {_joined([f'{_quoted(name)} ({why})' for name, why in gone.items()])}"
    )
    what = "columns with words or categories" if categories & {*categorical} else "columns with words"
    made.add("categorical", categorical, f"{what}; each word has its own coefficient")
    return table.without(name for name in table.columns if name in apart or name in gone)


def _counts(column: pd.Series) -> bool:
    """Whether a column has another whole number in each row; a code such as 007 is one, too."""
    found = numbers(column)
    return bool(column.is_unique and found is not None and (found.dropna() % 1 == 0).all())


def _nearly_numbers(column: pd.Series) -> bool:
    """Whether at least half of the values are numbers, or numbers with signs."""
    values = [str(value).strip(SIGNS) for value in column.dropna()]
    return 2 * sum(any(p.fullmatch(value) for p in (NUMBER, COMMA, GROUPED)) for value in values) >= len(
        values
    )


def _unclear(table: Table, column: pd.Series) -> str:
    """A sentence about a column that may be numbers or words."""
    name, strange = _quoted(str(column.name)), no_numbers(column)
    word = str(strange.iloc[0])
    missing = (
        f"data.missing_words = [{_quoted(word)}] if that is a missing value, "
        if not re.search(r"\d", word)
        else ""
    )
    return (
        f"{table.where}: column {name} seems to hold numbers, but has {word!r} in row {strange.index[0] + 1}: write plain "
        f"numbers such as 1234.5; or set {missing}data.categorical = [{name}] if these are categories, or data.drop = [{name}]"
        " to leave the column out"
    )


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
    categorical = made.sections["data"].get("categorical", ())
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


def _model(made: Draft, target: pd.Series, categories: bool) -> None:
    """Choose the kind of model; the target may have categories, which are no numbers."""
    known = target.dropna()
    count = int(known.nunique())
    if count < 2:
        raise BadData(
            f"the target {target.name!r} has {['no', 'only one'][count]} value: choose a column with two or more"
        )
    if "kind" in made.sections.get("model", {}):
        return
    if count == 2:
        kind, why = (
            "logistic",
            f"the target has two values, {listed(_sorted(known))}: two classes",
        )
    elif not (categories or words(target)):
        kind, why = (
            "linear",
            f"the target is a number with {count} values (softmax if they are classes, poisson if counts)",
        )
    elif count <= CLASSES:
        kind, why = (
            "softmax",
            f"the target has {count} {_kind(target)}, {listed(_sorted(known), 6)}: so many classes",
        )
    else:
        strange = no_numbers(known) if len(no_numbers(known)) else known  # codes, such as 007, or categories
        word, row = strange.iloc[0], strange.index[0] + 1
        raise BadData(
            f"the target {target.name!r} has {count} different {_kind(target)}, such as {word!r} in row {row}, too many "
            "classes: write numbers as plain numbers such as 1234.5, or choose another column"
        )
    made.choose("model.kind", kind, why)


def _kind(target: pd.Series) -> str:
    return "words" if words(target) else "categories"


def _sorted(column: pd.Series) -> list[str]:
    return sorted(map(text, column.unique()), key=natural)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _joined(parts: list[str], most: int = 6) -> str:
    """`a, b and 4 more`."""
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")
