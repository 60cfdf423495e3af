"""References to code of the user's own; must not load it.

A reference is "file.py:Name", an entry point of an installed package, or the name of an object that a program lends.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, TypeAlias

# entry points: gossipfl.algorithms, ...
Group: TypeAlias = Literal["algorithms", "losses", "aggregators", "topologies"]
LENT: dict[tuple[Group, str], Any] = {}  # objects of the program that runs; other processes do not know them
_REFERENCE = re.compile(r"(.+\.py):([A-Za-z_]\w*)", re.DOTALL)


def split(reference: str) -> tuple[str, str] | None:
    """The file and the name in "file.py:Name"; None if it is no such reference."""
    match = _REFERENCE.fullmatch(reference)
    return (match[1], match[2]) if match else None


def brief(reference: str) -> str:
    """The reference without its folder; other words as they are."""
    found = split(reference)
    return reference if found is None else f"{Path(found[0]).name}:{found[1]}"


@cache
def entry_point(group: Group, name: str) -> EntryPoint | None:
    """The entry point of an installed package; None if no package has it. To look through all packages takes a while."""
    return next(iter(entry_points(group=f"gossipfl.{group}", name=name)), None)


def lend(group: Group, made: Any) -> str:
    """The name under which an experiment in this process finds an object; a later object of that name takes its place."""
    kind = made if hasattr(made, "__qualname__") else type(made)
    name = f"{kind.__module__}.{kind.__qualname__}"
    LENT[group, name] = made
    return name


def known(group: Group, name: str) -> bool:
    """Whether a program lends an object, or a package has an entry point, of this name."""
    return (group, name) in LENT or entry_point(group, name) is not None


def reference(group: Group) -> Callable[[str], str]:
    """A check for pydantic: that a value is a reference to code of a group."""

    def check(value: str) -> str:
        if split(value) is None and not known(group, value):
            raise ValueError(f'write "file.py:Name", or the name of an entry point gossipfl.{group}')
        return value

    return check


def anchored(value: str, folder: Path) -> str:
    """The reference with an absolute path; other values stay as they are."""
    found = split(value)
    return value if found is None else f"{folder / found[0]}:{found[1]}"
