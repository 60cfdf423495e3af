"""demo, run and simulate: run an experiment and print its result; must not know how peers learn."""

import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossipfl.cli import first
from gossipfl.cli.built_in import path
from gossipfl.cli.garbage import imported
from gossipfl.cli.options import As, Out, Quiet, Set
from gossipfl.cli.say import Format, say
from gossipfl.errors import BadExperiment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gossipfl.config.experiment import Experiment
    from gossipfl.runs.events import Event

DEMO = "\b\nExample:\n  gossipfl demo"
RUN = """\b
Examples:
  gossipfl run demo.toml
  gossipfl run demo.toml -s topology.graph=torus:4x4 -s stop.rounds=200 --out /tmp/torus
  gossipfl run demo.toml --format json > result.json"""
SIMULATE = RUN.replace("gossipfl run", "gossipfl simulate")
SIMULATE += "\n  gossipfl simulate my.csv --target price --topology ring:8"
RUN += "\n  gossipfl run --resume runs/20261124-170000_demo"


def demo(out: Out = None, format: As = "text", quiet: Quiet = False) -> int:
    """Let 16 real peers on this machine learn one model.

    The peers are 16 processes on a ring; each exchanges messages with its two neighbours over TCP. The
    breast cancer data are sorted by diagnosis, so most peers hold rows of one diagnosis only. The result is
    the same model that training on all data in one place gives. Takes a few seconds.
    """
    made, chosen = first.experiment(path("demo"), None, None, ())
    return _carry_out("run", made, chosen, out=out, format=format, quiet=quiet)


def run(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="The experiment, a TOML file (see gossipfl examples), or data."
        ),
    ] = None,
    target: first.Target = None,
    topology: first.Graph = None,
    set: Set = None,
    out: Out = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="RUN", help="Continue the interrupted run in this folder. Replaces FILE."
        ),
    ] = None,
    format: As = "text",
    quiet: Quiet = False,
) -> int:
    """Run an experiment with real peers on this machine.

    Each peer is a process. The launcher only starts the peers and collects their reports: if it dies, the
    peers continue. Ctrl-C, SIGTERM or closing the terminal stops the learning early and saves the current
    models; --resume continues from there.
    """
    if resume is not None and file is None and not (set or out or target or topology):
        file = _config(resume)
    elif file is None or resume is not None:
        raise typer.BadParameter("give either FILE, or --resume RUN without -s and --out")
    made, chosen = first.experiment(file, target, topology, set or ())
    return _carry_out("run", made, chosen, out=out, format=format, quiet=quiet, again=resume)


def _config(folder: Path) -> Path:
    """The experiment file of the run in a folder. Raises BadExperiment if there is none."""
    if not (file := folder / "config.toml").exists():
        raise BadExperiment(f"there is no run to resume in {folder}: start one with gossipfl run FILE")
    return file


def simulate(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The experiment, a TOML file (see gossipfl examples), or data."),
    ],
    target: first.Target = None,
    topology: first.Graph = None,
    set: Set = None,
    out: Out = None,
    format: As = "text",
    quiet: Quiet = False,
) -> int:
    """Run an experiment in one process: faster, with the same numbers.

    All peers are rows of one tensor. Each peer computes and would send the same numbers as with gossipfl run.
    If FILE is data, such as a CSV file, the command chooses a model for it, and says which and why.
    """
    made, chosen = first.experiment(file, target, topology, set or ())
    return _carry_out("simulate", made, chosen, out=out, format=format, quiet=quiet)


def _carry_out(
    command: str,
    experiment: "Experiment",
    chosen: "Sequence[str]",
    *,
    out: Path | None,
    format: Format,
    quiet: bool,
    again: Path | None = None,
) -> int:
    """Learn while the progress is shown, and print the verdict; returns the exit code."""
    if format == "text" and not quiet:
        say(format, None, *chosen)
    from gossipfl.experiment.evaluation.verdict import INTERRUPTED, verdict
    from gossipfl.report.live import follow
    from gossipfl.report.result import result

    # An init system stops a process with SIGTERM, a closed terminal with SIGHUP: treat both like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    events = _events(command, experiment, out, again)
    imported()
    finished = follow(events, quiet, silent=format == "json")
    code, sentence = verdict(finished.summary, experiment.stop.tolerance)
    told = {"folder": str(finished.folder), "exit_code": code, "verdict": sentence} | finished.summary
    told |= {"chosen": chosen} if chosen else {}
    if selection := finished.summary.get("selection"):
        from gossipfl.report.plots import draw_curve

        draw_curve(selection, finished.folder / "cv.svg")
    repeat = "" if quiet else _repeat(command, experiment, finished.folder, code == INTERRUPTED)
    say(format, told, *result(finished.summary, sentence, code == 0, repeat))
    return code


def _events(
    command: str, experiment: "Experiment", out: Path | None, again: Path | None
) -> "Iterator[Event]":
    """The events of a run; each engine is imported only where it is used."""
    if command == "simulate":
        from gossipfl.experiment.launch.simulate import simulate

        return simulate(experiment, out)
    from gossipfl.experiment.launch.launch import resume, run

    return resume(again) if again else run(experiment, out)


def _repeat(command: str, experiment: "Experiment", folder: Path, interrupted: bool) -> str:
    """The next command to try: resume the run if that is possible, or run it in the other engine."""
    from gossipfl.experiment.study.gossip import simulated_only

    if command == "run" and interrupted and any(folder.glob("peers/*/checkpoint*")):
        return f"gossipfl run --resume {shlex.quote(str(folder))}"
    repeat = f"gossipfl {'simulate' if command == 'run' else 'run'} {shlex.quote(f'{folder}/config.toml')}"
    if simulated_only(experiment):
        return f"{repeat} -s 'gossip.delay=[0,0]' -s gossip.online=1"
    if command == "run" and experiment.faults:  # the simulator does not know all of them
        return f"{repeat} -s 'faults=[]'"
    return repeat
