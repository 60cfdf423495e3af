"""The arguments that several commands share, each described once; must not know the commands."""

from pathlib import Path
from typing import Annotated

import typer

from gossipfl.cli.say import Format

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The experiment, a TOML file; gossipfl examples has some.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change a setting of the file, e.g. -s stop.rounds=100. May be repeated.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The run folder itself. By default runs/<time>_<name>."),
]
As = Annotated[
    Format, typer.Option("--format", help="json: stdout is exactly one JSON object, errors included.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say only where the results are and how it ended.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="What random families of graphs are drawn from.")]
Spec = Annotated[str, typer.Argument(metavar="SPEC", help="A shorthand such as ring:16, or a topology file.")]
