"""The experiments that come with the package; must not know what they contain."""

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
        str | None, typer.Argument(metavar="NAME", help="Which one to print; all are listed without.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it to this file instead.")
    ] = None,
    format: As = "text",
) -> None:
    """List the experiments that come with gossipfl, or print one."""
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
    topology = HERE / f"{name}.json"  # the graph that the experiment names, beside it
    if topology.is_file():
        written.append(_write(out.parent / topology.name, topology.read_text()))
    names = " and ".join(map(str, written))
    say(format, {"written": written}, f"wrote {names}", f"Next: gossipfl simulate {out}")


def path(name: str) -> Path:
    """The file of an example."""
    file = HERE / f"{name}.toml"
    if name not in (known := [one.stem for one in sorted(HERE.glob("*.toml"))]):
        raise BadExperiment(f"there is no example {name}; there are {', '.join(known)}")
    return file


def about(file: Path) -> str:
    """What an example shows: the comment in its first line."""
    with file.open() as lines:
        return next(lines).lstrip("# ").strip()


def _write(file: Path, text: str) -> Path:
    try:
        with file.open("x") as out:
            out.write(text)
    except FileExistsError:
        raise BadExperiment(f"{file} exists already: give another name, or remove it") from None
    except OSError as why:
        raise BadExperiment(f"cannot write {file}: {why.strerror}") from None
    return file
