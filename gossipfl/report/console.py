"""The terminal; must not know what is printed on it."""

import sys
from typing import IO, cast

from rich.console import Console, RenderableType
from rich.text import Text

from gossipfl.report.lasting import Lasting


def visible(text: str) -> str:
    """The text with control characters, which names in files may have, as escapes; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def safe(part: RenderableType) -> RenderableType:
    """The part, if it is a sentence, as `visible` text; a table makes its cells visible itself."""
    if isinstance(part, Text):
        return part if visible(part.plain) == part.plain else Text(visible(part.plain), part.style)
    return visible(part) if isinstance(part, str) else part


def console(stderr: bool = False) -> Console:
    """A console on the current sys.stdout or sys.stderr: 120 columns wide where that is a file or a pipe."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=cast("IO[str]", Lasting(stream)) if stream else None,  # None: it was closed from the start
        highlight=False,
        markup=False,
        emoji=False,
        width=None if not stream or stream.isatty() else 120,
    )
