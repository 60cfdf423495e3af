"""sweep: runs every combination of some settings; must not know how runs work or are compared."""

import signal
from pathlib import Path
from typing import Annotated, Literal

import typer

from gossipfl.cli.garbage import imported
from gossipfl.cli.options import As, File, Quiet
from gossipfl.cli.say import say

EXAMPLES = """\b
Examples:
  gossipfl sweep demo.toml -s topology=ring:16,torus:4x4 -s algorithm=d-psgd,exact-diffusion
  gossipfl sweep demo.toml -s step=0.01,0.03,0.1 --repeat 5 --jobs 2
  gossipfl sweep demo.toml -s 'partition=iid,{scheme="dirichlet", alpha=0.1}' --out mine"""

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="KEY=VALUE,VALUE,...",
        help="A setting and its values, e.g. -s topology=ring:16,torus:4x4. Can be repeated: all combinations run.",
    ),
]


def sweep(
    file: File,
    set: Settings = None,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, help="Runs of each combination, each with the next seed.")
    ] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Runs at the same time. Default: the number of processors; 1 with --engine run.",
        ),
    ] = None,
    engine: Annotated[
        Literal["simulate", "run"],
        typer.Option(
            "--engine", help="simulate: all peers of a run in one process; run: one process per peer."
        ),
    ] = "simulate",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The folder of the sweep. Give the same folder again to continue.",
        ),
    ] = None,
    format: As = "text",
    quiet: Quiet = False,
) -> int:
    """Run every combination of some settings and compare.

    Prints means and standard deviations over the repeats. Each run has its own folder, beside results.json,
    results.csv and a plot. Runs that are complete in --out do not run again. If a run fails, the command
    reports it and continues with the others.
    """
    from gossipfl.config.grid import grid

    found = grid(file, set or (), repeat)  # reports errors in the file before the heavy imports
    import os
    from contextlib import closing

    from gossipfl.experiment.launch import sweep as cells
    from gossipfl.report.console import console
    from gossipfl.report.sweep import Bar, table
    from gossipfl.report.sweep_plot import draw
    from gossipfl.report.tally import document, save, tally
    from gossipfl.runs.folder import fresh

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = out or fresh(f"{found.cells[0].experiment.name}-sweep")
    at_once = jobs or (1 if engine == "run" else len(os.sched_getaffinity(0)))
    say_it = format == "text"
    if say_it:
        say("text", None, f"sweep folder {folder}: {len(found.cells)} runs, {at_once} at a time")
    imported()
    bar = Bar(console(), found, quiet or not say_it)
    ended: list[cells.CellEnded] = []
    interrupted = False
    with closing(cells.sweep(found.cells, folder, engine, at_once)) as events:
        try:
            for event in events:
                if isinstance(event, cells.CellEnded):
                    ended.append(event)
                bar.show(event)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            bar.close()
    rows = tally(found, ended)
    save(folder, found, rows, engine)
    plots = draw(rows, list(found.axes), folder)
    code = cells.exit_code(ended, interrupted)
    told = {"folder": str(folder), "exit_code": code} | document(found, rows, engine)
    where = f"written: {folder}/results.json, results.csv" + "".join(f", {path.name}" for path in plots)
    if interrupted:
        where += f"\ninterrupted after {len(ended)} of {len(found.cells)} runs; "
        where += f"to continue, repeat the command with --out {folder}"
    say(format, told, *table(found, rows, console().width), where)
    return code
