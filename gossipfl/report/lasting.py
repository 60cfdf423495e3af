"""Output streams whose reader is gone, or whose disk is full; must not know what is printed."""

import errno
import os
import sys
from typing import IO, ClassVar

GONE = (errno.EPIPE, errno.EIO)  # the reader of the pipe has ended; the terminal is closed


def forsake(stream: IO[str]) -> None:
    """Put /dev/null in the place of the stream, for what it holds and all that follows."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


class Lasting:
    """A text stream that drops what it cannot write. So learning goes on, and its result is saved.

    Args:
        stream: standard output or standard error.
    """

    full: ClassVar[bool] = False  # the disk that a stream goes to is full, so that something was dropped

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
        forsake(self._stream)
        if why.errno not in GONE:
            Lasting.full = True
            if sys.stderr:
                print(f"warning: {why.strerror}: no more can be printed", file=Lasting(sys.stderr))
        return 0
