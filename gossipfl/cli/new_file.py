"""New files that a command writes, with a sentence where it cannot; must not know what is in them."""

from pathlib import Path

from gossipfl import disk
from gossipfl.errors import BadExperiment


def create(*files: tuple[Path, bytes]) -> None:
    """Write new files, all or none. Raises BadExperiment where one exists, else as `unwritable` says."""
    made: list[Path] = []
    try:
        for file, content in files:
            disk.create(file, content)
            made.append(file)
    except OSError as why:
        for one in made:
            one.unlink(missing_ok=True)
        if isinstance(why, FileExistsError):
            raise BadExperiment(
                f"{file} exists already: choose another name with --out, or remove the file"
            ) from None
        raise disk.unwritable(f"cannot write {file}", why) from None
