"""Arguments that several commands share; must not know the commands."""

from pathlib import Path
from typing import Annotated

import typer

from gossipfl.cli.say import Format

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The experiment, a TOML file. See gossipfl examples.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change a setting of the file, e.g. -s stop.rounds=100 or -s topology=ring:8. Can be repeated.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The run folder. Default: runs/<time>_<name>."),
]
As = Annotated[
    Format, typer.Option("--format", help="json: print one JSON object on stdout, also for errors.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the run folder and the verdict.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of random graphs.")]
Spec = Annotated[str, typer.Argument(metavar="SPEC", help="A shorthand such as ring:16, or a topology file.")]
