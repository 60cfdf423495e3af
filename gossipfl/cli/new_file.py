"""A new file that a command writes: it is there whole, or not at all, and no other file is lost for it."""

from contextlib import suppress
from pathlib import Path

from gossipfl.errors import BadExperiment, unwritten


def create(file: Path, content: bytes) -> Path:
    """Write a file. Raises BadExperiment where it exists, and what `unwritten` says where it cannot be written."""
    try:
        with file.open("xb") as out:
            out.write(content)
    except FileExistsError:
        raise BadExperiment(
            f"{file} exists already: choose another name with --out, or remove the file"
        ) from None
    except OSError as why:
        with suppress(OSError):
            file.unlink()
        raise unwritten(f"cannot write {file}", why) from None
    return file
