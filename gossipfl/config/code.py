"""References to code of the user's own: "file.py:Name", or an entry point of an installed package; must not load it."""

import re
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal

Group = Literal["algorithms", "losses", "aggregators", "topologies"]  # entry points: gossipfl.algorithms, ...
_REFERENCE = re.compile(r"(.+\.py):([A-Za-z_]\w*)", re.DOTALL)


def split(reference: str) -> tuple[str, str] | None:
    """The file and the name in "file.py:Name"; None if it is no such reference."""
    match = _REFERENCE.fullmatch(reference)
    return (match[1], match[2]) if match else None


@cache
def entry_point(group: Group, name: str) -> EntryPoint | None:
    """The entry point of an installed package; None if no package has it. To look through all packages takes a while."""
    return next(iter(entry_points(group=f"gossipfl.{group}", name=name)), None)


def reference(group: Group) -> Callable[[str], str]:
    """A check for pydantic: that a value is a reference to code of a group."""

    def check(value: str) -> str:
        if split(value) is None and entry_point(group, value) is None:
            raise ValueError(f'write "file.py:Name", or the name of an entry point gossipfl.{group}')
        return value

    return check


def anchored(value: str, folder: Path) -> str:
    """The reference with an absolute path; other values stay as they are."""
    found = split(value)
    return value if found is None else f"{folder / found[0]}:{found[1]}"
