"""The cells of a sweep: one experiment for each combination of values; must not run them.

The name of a cell's folder has its values, its seed and a digest of its whole experiment: equal names mean equal runs.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from gossipfl.config.experiment import Experiment
from gossipfl.config.file import dump, full_key, load
from gossipfl.errors import BadExperiment

MOST = 10_000  # cells


class Cell(NamedTuple):
    """One run of a sweep."""

    values: tuple[str, ...]  # as the user wrote them, one for each axis
    seed: int
    experiment: Experiment
    folder: str


class Grid(NamedTuple):
    """All runs of a sweep; the repeats of a combination are neighbours."""

    axes: dict[str, tuple[str, ...]]  # settings with several values
    repeats: int
    cells: list[Cell]


def grid(file: Path, settings: Iterable[str], repeats: int = 1) -> Grid:
    """Every combination of the values of the settings, `repeats` times; the seeds count up from the file's.

    Args:
        file: the experiment.
        settings: "section.key=value,value,..."; a value is TOML or plain text. "topology=ring:16" means topology.graph. A key
            that only one section has needs no section. A setting with one value changes the file, and is no axis.
        repeats: runs of each combination.

    Raises:
        BadExperiment: a setting cannot be read, or a combination is no valid experiment.
    """
    pairs = [_setting(one) for one in settings]
    if twice := [key for key, count in _counted(key for key, _ in pairs).items() if count > 1]:
        raise BadExperiment(f"-s {twice[0]}=... is given twice: write all values in one, -s {twice[0]}=a,b")
    every = dict(pairs)
    axes = {key: values for key, values in every.items() if len(values) > 1}
    combinations = list(itertools.product(*every.values()))
    if len(combinations) * repeats > MOST:
        raise BadExperiment(
            f"this sweep has {len(combinations) * repeats:,} cells, and at most {MOST:,} are allowed: use fewer values"
        )
    cells = []
    for combination in combinations:
        chosen = dict(zip(every, combination, strict=True))
        first = load(file, [f"{key}={_toml(key, value)}" for key, value in chosen.items()])
        values = tuple(chosen[key] for key in axes)
        for seed in range(first.seed, first.seed + repeats):
            experiment = first.model_copy(update={"seed": seed})
            cells.append(Cell(values, seed, experiment, _folder(values, seed, experiment)))
    return Grid(axes, repeats, cells)


def split(text: str) -> tuple[str, ...]:
    """The values between the commas outside quotes, brackets and braces: `a,[1,2]` has two."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        else:
            depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(part.strip() for part in parts)


def _setting(text: str) -> tuple[str, tuple[str, ...]]:
    key, equals, values = text.partition("=")
    found = split(values)
    if not key.strip() or not equals or not all(found):
        raise BadExperiment(
            f"-s {text}: write section.key=value,value,..., for example -s topology.graph=ring:16,torus:4x4"
        )
    if twice := [value for value, count in _counted(found).items() if count > 1]:
        raise BadExperiment(
            f"-s {text}: {twice[0]} is listed twice: write it once, and use --repeat for more seeds"
        )
    return full_key(key.strip(), found[0]), found


def _toml(key: str, value: str) -> str:
    """The value as TOML; a partition may be only the name of its scheme."""
    return f'{{ scheme = "{value}" }}' if key == "data.partition" and not value.startswith("{") else value


def _counted(values: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


def _folder(values: Iterable[str], seed: int, experiment: Experiment) -> str:
    words = [re.sub(r"[^A-Za-z0-9.+]+", "-", value).strip("-.")[-24:] for value in values]
    digest = hashlib.blake2b(dump(experiment).encode(), digest_size=4).hexdigest()
    return "_".join([*filter(None, words), f"seed{seed}", digest])
