"""examples: lists and copies the example experiments of the package; must not know what is in them."""

from pathlib import Path
from typing import Annotated

import typer

from gossipfl.cli.options import As
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

EXAMPLES = """\b
Examples:
  gossipfl examples
  gossipfl examples ridge --out ridge.toml"""
HERE = Path(__file__).with_name("examples")


def examples(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The example to print. Without NAME: list all.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the example to this file.")
    ] = None,
    format: As = "text",
) -> None:
    """List the example experiments, or print one."""
    if name is None:
        found = {file.stem: about(file) for file in sorted(HERE.glob("*.toml"))}
        from gossipfl.report.tables import plain

        say(format, {"examples": found}, plain(("example", "what it shows"), list(found.items())))
        return
    text = path(name).read_text()
    if out is None:
        say(format, {"name": name, "text": text}) if format == "json" else typer.echo(text, nl=False)
        return
    written = [_write(out, text)]
    topology = HERE / f"{name}.json"  # the topology file that the experiment names
    if topology.is_file():
        written.append(_write(out.parent / topology.name, topology.read_text()))
    names = " and ".join(map(str, written))
    say(format, {"written": written}, f"wrote {names}", f"Next: gossipfl simulate {out}")


def path(name: str) -> Path:
    """The file of an example. Raises BadExperiment for an unknown name."""
    file = HERE / f"{name}.toml"
    if name not in (known := [one.stem for one in sorted(HERE.glob("*.toml"))]):
        raise BadExperiment(f"there is no example {name}; choose one of {', '.join(known)}")
    return file


def about(file: Path) -> str:
    """What an example shows: the comment in the first line of its file."""
    with file.open() as lines:
        return next(lines).lstrip("# ").strip()


def _write(file: Path, text: str) -> Path:
    try:
        with file.open("x") as out:
            out.write(text)
    except FileExistsError:
        raise BadExperiment(f"{file} exists already: choose another name, or remove the file") from None
    except OSError as why:
        raise BadExperiment(f"cannot write {file}: {why.strerror}") from None
    return file
