"""Commands that run in this process, and small experiments for them."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from gossipfl.cli import main

# 60 rows, two classes, four peers: a very small experiment that can still learn.
SMALL = """
name = "small"
[data]
source = "rows.csv"
target = "y"
test = 0.25
[topology]
graph = "ring:4"
[model]
l2 = 0.1
[stop]
rounds = 400
tolerance = 1e-6
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object that stdout should be."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def gossipfl(*words: object) -> Said:
    """Runs a command line."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in words])
    return Said(code, out.getvalue(), err.getvalue())


def started(*words: str) -> subprocess.Popen[str]:
    """A command line in a process of its own, which has begun."""
    return subprocess.Popen(
        [sys.executable, "-m", "gossipfl", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def rows(label: Callable[[int], object] = lambda i: i % 2) -> str:
    """A CSV file of 60 rows."""
    lines = [f"{(i * 37) % 60 / 10},{(i * 53) % 60 / 20 + (i % 2)},{label(i)}" for i in range(60)]
    return "\n".join(["a,b,y", *lines]) + "\n"


def small(folder: Path, data: str | None = None, text: str = SMALL) -> Path:
    """A folder with the small experiment and its data."""
    (folder / "rows.csv").write_text(rows() if data is None else data)
    (folder / "small.toml").write_text(text)
    return folder / "small.toml"
