"""The lock of a peer's folder: one process writes it; must not know what it writes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gossipfl.errors import BadExperiment

NAME = "lock"  # of the file; it has the process number of its holder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a peer's folder; the system frees it when the process ends, however it ends.

    On a disk that is full or read-only, or that knows no locks, go on without one.

    Raises:
        BadExperiment: another process holds it.
    """
    handle = -1
    try:
        with suppress(OSError):
            # Not open for writing: that would keep the disk from being made read-only.
            handle = os.open(folder / NAME, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if not _take(handle):
                raise BadExperiment(
                    f"process {_holder(folder) or 'another'} learns in {folder}: end it first (kill), or use another folder"
                )
            (folder / NAME).write_text(str(os.getpid()))
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def holders(folder: Path) -> dict[str, str]:
    """The peers of a run that still live, by the names of their folders, with their process numbers."""
    alive = {}
    for file in sorted((folder / "peers").glob(f"*/{NAME}")):
        with suppress(OSError):
            handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if not _take(handle):
                    alive[file.parent.name] = _holder(file.parent)
            finally:
                os.close(handle)
    return alive


def _take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(folder: Path) -> str:
    """The process number in the lock's file."""
    return (folder / NAME).read_text(errors="replace")
