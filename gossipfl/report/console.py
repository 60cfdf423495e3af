"""The terminal; must not know what is printed on it."""

import errno
import os
import sys
from typing import IO, cast

from rich.console import Console, RenderableType
from rich.text import Text

GONE = (errno.EPIPE, errno.EIO)  # nobody reads the pipe any more; the terminal is closed


def visible(text: str) -> str:
    """The text with control characters, which names in files may have, as escapes; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def safe(part: RenderableType) -> RenderableType:
    """The part, if it is a sentence, as `visible` text; a table makes its cells visible itself."""
    if isinstance(part, Text):
        return part if visible(part.plain) == part.plain else Text(visible(part.plain), part.style)
    return visible(part) if isinstance(part, str) else part


class Lasting:
    """A text stream that drops what nobody can read any more, so that learning goes on and its result is saved.

    Args:
        stream: standard output or standard error.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, or drop it."""
        try:
            return self._stream.write(text)
        except OSError as why:
            return self._drop(why)

    def flush(self) -> None:
        """Flush the stream, or drop what it holds."""
        try:
            self._stream.flush()
        except OSError as why:
            self._drop(why)

    def _drop(self, why: OSError) -> int:
        """Put /dev/null in the place of the stream, for all that follows, too."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        if why.errno not in GONE:
            print(f"warning: {why.strerror}: no more can be printed", file=Lasting(sys.stderr))
        return 0


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
