"""The terminal; must not know what is shown on it."""

import sys

from rich.console import Console


def console() -> Console:
    """The console on today's stdout: lines of any length where that is a file or a pipe."""
    return Console(
        file=sys.stdout,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if sys.stdout.isatty() else 120,
    )
