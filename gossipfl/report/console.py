"""The terminal; must not know what is printed on it."""

import sys

from rich.console import Console


def console() -> Console:
    """A console on the current sys.stdout: 120 columns wide where that is a file or a pipe."""
    return Console(
        file=sys.stdout,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if sys.stdout.isatty() else 120,
    )
