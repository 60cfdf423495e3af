"""First steps: an experiment from a data file, and the command init; must not know how peers learn."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossipfl.cli.new_file import create
from gossipfl.cli.options import As
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gossipfl.config.experiment import Experiment

EXAMPLES = """\b
Examples:
  gossipfl init my.csv
  gossipfl init my.csv --target price --topology links.txt --out prices.toml"""
Target = Annotated[
    str | None, typer.Option("--target", metavar="COLUMN", help="The column to predict, if FILE is data.")
]
Graph = Annotated[
    str | None,
    typer.Option("--topology", metavar="SPEC", help="The graph of peers: ring:8, torus:4x4, ... or a file."),
]


def experiment(
    file: Path, target: str | None, topology: str | None, set: "Sequence[str]"
) -> "tuple[Experiment, list[str]]":
    """The experiment in a file, or one for a data file, with a sentence for each choice that was made for it.

    --target and --topology stand for -s data.target and -s topology.graph.
    """
    from gossipfl.config import file as files

    given = [] if target is None else [f"data.target={json.dumps(target)}"]
    given += [] if topology is None else [f"topology.graph={json.dumps(_graph(topology))}"]
    if not files.is_data(file):
        return files.load(file, [*given, *set]), []
    from gossipfl.config.draft import draft

    raw = files.tables([*given, *set])
    named, graph = raw.get("data", {}).get("target"), raw.get("topology", {}).get("graph")
    if named is None:
        raise BadExperiment(f"{file} is data: say which column to predict, --target COLUMN{_columns(file)}")
    # -s target=3 is a number in TOML, and may be a column.
    made = draft(str(file), str(named), None if graph is None else str(graph), given=raw)
    return files.made(_named(made.raw, file), (), Path(), str(file)), made.sentences


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A data file, such as a CSV file.")],
    target: Target = None,
    topology: Graph = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The file to write. Default: like FILE, with .toml."),
    ] = None,
    format: As = "text",
) -> None:
    """Write an experiment file for a data file.

    The file says what was chosen for these data, and why: change what you know better.
    """
    from gossipfl.config.draft import draft
    from gossipfl.config.file import made

    out = file.with_suffix(".toml") if out is None else out
    folder = out.parent
    found = draft(str(file), target, None if topology is None else _graph(topology))
    found.sections["data"]["source"] = _seen_from(folder, file)
    if topology is not None and Path(topology).is_file():
        found.sections["topology"]["graph"] = _seen_from(folder, Path(topology))
    made(_named(found.raw, file), (), folder, str(out))
    text = found.toml(f"An experiment for {file.name}. All keys: gossipfl config schema")
    create((out, f"name = {json.dumps(_name(file))}\n{text}".encode()))
    chosen = found.sentences
    say(format, {"written": out, "chosen": chosen}, f"wrote {out}", *chosen, f"Next: gossipfl simulate {out}")


def _graph(topology: str) -> str:
    """The topology, with the path of a file made absolute: it is relative to where the command is called."""
    return str(Path(topology).absolute()) if Path(topology).is_file() else topology


def _seen_from(folder: Path, file: Path) -> str:
    """The path of a file as an experiment file in that folder names it."""
    return file.name if file.parent.absolute() == folder.absolute() else str(file.absolute())


def _name(file: Path) -> str:
    return (file.name.partition(".")[0] or "experiment")[:80]


def _named(raw: "dict[str, dict[str, object]]", file: Path) -> "dict[str, object]":
    return {"name": _name(file), **raw}


def _columns(file: Path) -> str:
    """The columns of a data file, for a message."""
    import pandas as pd

    from gossipfl.data.names import listed
    from gossipfl.data.readers import How
    from gossipfl.data.sources import whole

    raw = whole(str(file), Path(), How())
    return (
        f"; it has {listed(map(str, raw.features.columns))}"
        if raw and isinstance(raw.features, pd.DataFrame)
        else ""
    )
