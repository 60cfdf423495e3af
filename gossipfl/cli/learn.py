"""demo, run and simulate: carry out an experiment, say how it ended; must not know how it is done."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gossipfl.cli.built_in import path
from gossipfl.cli.options import As, File, Out, Quiet, Set
from gossipfl.cli.say import Format, say
from gossipfl.errors import BadExperiment

if TYPE_CHECKING:
    from gossipfl.config.experiment import Experiment

DEMO = "\b\nExample:\n  gossipfl demo"
RUN = """\b
Examples:
  gossipfl run demo.toml
  gossipfl run demo.toml -s topology.graph=torus:4x4 -s stop.rounds=200 --out /tmp/torus
  gossipfl run demo.toml --format json > result.json"""
SIMULATE = RUN.replace("gossipfl run", "gossipfl simulate")
RUN += "\n  gossipfl run --resume runs/20261124-170000_demo"


def demo(out: Out = None, format: As = "text", quiet: Quiet = False) -> int:
    """Watch 16 real peers reach the model of all their data pooled.

    Breast cancer data, sorted by diagnosis over a ring of 16 processes on this machine, so that most peers
    have seen one diagnosis only. They talk over TCP sockets with their two neighbours. Takes some seconds.
    """
    return _carry_out("run", path("demo"), [], out=out, format=format, quiet=quiet)


def run(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The experiment, a TOML file; gossipfl examples has some."),
    ] = None,
    set: Set = None,
    out: Out = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="RUN", help="Go on with the interrupted run in this folder, in place of FILE."
        ),
    ] = None,
    format: As = "text",
    quiet: Quiet = False,
) -> int:
    """Learn with real peers on this machine, a process each.

    The launcher only starts the peers and collects what they report; they go on when it dies. Ctrl-C ends the
    learning early: the models of that moment are still written, and --resume goes on from there.
    """
    if resume is not None and file is None and not (set or out):
        file = _config(resume)
    elif file is None or resume is not None:
        raise typer.BadParameter("give either a FILE, or --resume RUN with no other settings")
    return _carry_out("run", file, set, out=out, format=format, quiet=quiet, again=resume)


def _config(folder: Path) -> Path:
    """The experiment of the run in a folder. Raises BadExperiment where there is none."""
    if not (file := folder / "config.toml").exists():
        raise BadExperiment(f"there is no run in {folder} to go on with: start one with gossipfl run FILE")
    return file


def simulate(file: File, set: Set = None, out: Out = None, format: As = "text", quiet: Quiet = False) -> int:
    """Learn in one process: the same numbers, sooner.

    All peers are rows of one tensor; what each computes and would send is the same as with gossipfl run.
    """
    return _carry_out("simulate", file, set, out=out, format=format, quiet=quiet)


def _carry_out(
    command: str,
    file: Path,
    set: list[str] | None,
    *,
    out: Path | None,
    format: Format,
    quiet: bool,
    again: Path | None = None,
) -> int:
    """Read the file, learn while showing it, and judge."""
    from gossipfl.config.file import load

    experiment = load(file, set or ())  # what is wrong in the file is said before anything heavy is imported
    from gossipfl.experiment.evaluation.verdict import INTERRUPTED, verdict
    from gossipfl.experiment.launch.launch import resume, run
    from gossipfl.experiment.launch.simulate import simulate
    from gossipfl.report.live import follow
    from gossipfl.report.result import result

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an init system's stop is a Ctrl-C
    engine = run if command == "run" else simulate
    events = resume(again) if again else engine(experiment, out)
    finished = follow(events, quiet, silent=format == "json")
    code, sentence = verdict(finished.summary, experiment.stop.tolerance)
    told = {"folder": str(finished.folder), "exit_code": code, "verdict": sentence} | finished.summary
    repeat = "" if quiet else _repeat(command, experiment, finished.folder, code == INTERRUPTED)
    say(format, told, *result(finished.summary, sentence, code == 0, repeat))
    return code


def _repeat(command: str, experiment: "Experiment", folder: Path, interrupted: bool) -> str:
    """The next command to try: to go on where that is possible, or the same with the other engine."""
    from gossipfl.experiment.study.gossip import simulated_only

    if command == "run" and interrupted and any(folder.glob("peers/*/checkpoint*")):
        return f"gossipfl run --resume {folder}"
    repeat = f"gossipfl {'simulate' if command == 'run' else 'run'} {folder}/config.toml"
    if simulated_only(experiment):
        return f"{repeat} -s 'gossip.delay=[0,0]' -s gossip.online=1"
    if command == "run" and experiment.faults:  # many of them no simulator knows
        return f"{repeat} -s 'faults=[]'"
    return repeat
