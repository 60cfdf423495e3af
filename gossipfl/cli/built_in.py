"""examples: lists and copies the example experiments of the package; must not know what is in them."""

from pathlib import Path
from typing import Annotated

import typer

from gossipfl.cli.new_file import create
from gossipfl.cli.options import As
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

EXAMPLES = """\b
Examples:
  gossipfl examples
  gossipfl examples copy ridge
  gossipfl examples copy torus-4x4.json
  gossipfl examples ridge --out mine.toml"""
HERE = Path(__file__).with_name("examples")
TOPOLOGIES = Path(__file__).with_name("topologies")


def examples(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME | copy NAME]", help="The example to print, or to copy. Without: list all."
        ),
    ] = None,
    copied: Annotated[str | None, typer.Argument(hidden=True)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Write the example to this file. Default of copy: its own name."
        ),
    ] = None,
    format: As = "text",
) -> None:
    """List the example experiments and topology files, print one, or copy one into this folder."""
    if name is None:
        found = {file.stem: about(file) for file in sorted(HERE.glob("*.toml"))}
        graphs = [file.name for file in _topologies()]
        from gossipfl.report.tables import plain

        told = plain(("example", "what it shows"), list(found.items()))
        say(format, {"examples": found, "topologies": graphs}, told, f"\nTopology files: {', '.join(graphs)}")
        return
    copy = name == "copy"
    if copy != (copied is not None):
        raise typer.BadParameter("write gossipfl examples copy NAME, or gossipfl examples NAME")
    file = path(str(copied) if copy else name)
    if out is None and not copy:
        text = file.read_text()
        say(format, {"name": name, "text": text}) if format == "json" else typer.echo(text, nl=False)
        return
    out = Path(file.name) if out is None else out
    new = [(out, file.read_bytes())]
    topology = file.with_suffix(".json")  # the topology file that the experiment names
    experiment = file.parent == HERE
    if experiment and topology.is_file():
        new.append((out.parent / topology.name, topology.read_bytes()))
    create(*new)
    written = [path for path, _ in new]
    names = " and ".join(map(str, written))
    after = f"simulate {out}" if experiment else f"topology show {out}"
    say(format, {"written": written}, f"wrote {names}", f"Next: gossipfl {after}")


def _topologies() -> list[Path]:
    return sorted(file for file in TOPOLOGIES.iterdir() if file.is_file() and file.suffix != ".md")


def path(name: str) -> Path:
    """The file of an example or of a topology. Raises BadExperiment for an unknown name."""
    known = {one.stem: one for one in sorted(HERE.glob("*.toml"))} | {one.name: one for one in _topologies()}
    if name not in known:
        raise BadExperiment(f"there is no example {name}; choose one of {', '.join(known)}")
    return known[name]


def about(file: Path) -> str:
    """What an example shows: the comment in the first line of its file."""
    with file.open() as lines:
        return next(lines).lstrip("# ").strip()
