"""Files and folders that are there whole or not at all; must not know what is in them."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from gossipfl.errors import BadExperiment, GossipError, Unwritten

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def unwritable(what: str, why: OSError) -> GossipError:
    """The error of a file that cannot be written, as `what` says: `Unwritten` if its disk takes nothing, else BadExperiment."""
    return (Unwritten if why.errno in FULL else BadExperiment)(f"{what}: {why.strerror or why}")


def write(
    path: Path, content: bytes, before: Path | None = None, mode: int = 0o666, synced: bool = True
) -> None:
    """Write a file whole or not at all: no reader sees half of it. The old file becomes `before`.

    If it is `synced`, that holds after a crash of the machine, too: the new file is there once this returns. The umask takes
    rights from `mode`.
    Raises OSError; then no partial file is left, and the old file is there, unless the folder alone could not be synced.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        if before and path.exists():
            path.replace(before)
        partial.replace(path)
        if synced:
            _sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _sync(folder: Path) -> None:
    """The names of the files in a folder survive a crash of the machine: without that, an old file can come back."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def append(path: Path, line: bytes) -> None:
    """Add a line to a file, whole or not at all. The file does not stay open, so that its disk can be remounted.

    Raises OSError; then nothing has been added.
    """
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if file.write(line) < len(line):  # the disk is full
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def whole(path: Path) -> Iterator[None]:
    """Around what writes a file that a user names. If it fails, a new file is gone, and a plain old one is as it was."""
    new, old = not os.path.lexists(path), None
    if path.is_file():
        with contextlib.suppress(PermissionError):  # one may write it, and not read it
            old = path.read_bytes()
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if new:
                path.unlink()
            elif old is not None:
                path.write_bytes(old)
        raise


def create(path: Path, content: bytes) -> None:
    """Write a new file, whole or not at all. Raises OSError, of the type FileExistsError if it exists."""
    with path.open("xb", buffering=0) as file:
        try:
            if file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make a folder, which the block fills: it is there with all of that, or not at all. Raises OSError."""
    path.mkdir(parents=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
