"""chaos: runs an experiment under random faults and checks the result; must not know how faults work."""

import signal
from typing import Annotated

import typer

from gossipfl.cli.garbage import imported
from gossipfl.cli.options import As, File, Out, Quiet, Set
from gossipfl.cli.say import say

EXAMPLES = """\b
Examples:
  gossipfl chaos exact.toml --minutes 1
  gossipfl chaos exact.toml --minutes 10 --every 2 --seed 7 --format json > chaos.json"""


def chaos(
    file: File,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="Minutes with faults.")] = 1.0,
    every: Annotated[float, typer.Option("--every", min=0.01, help="Seconds between two faults.")] = 2.0,
    rest: Annotated[float, typer.Option("--rest", min=0.0, help="Seconds without faults at the end.")] = 20.0,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Seed of the faults and of the experiment."),
    ] = None,
    set: Set = None,
    out: Out = None,
    format: As = "text",
    quiet: Quiet = False,
) -> int:
    """Test an experiment with random faults.

    Real peers learn on this machine while random faults happen one after another. Processes are killed and
    restarted (with or without their checkpoint), paused, cut off or delayed; messages are lost or
    duplicated; connections are reset. Then comes a time without faults. At the end every peer should run,
    hold the optimum of all data, and use no more memory, file descriptors or threads than before. If one of
    these checks fails, the exit code is 6.
    """
    from gossipfl.config.file import load

    experiment = load(file, set or ())
    from gossipfl.experiment.evaluation.verdict import DONE, INTERRUPTED, NOT_REACHED
    from gossipfl.experiment.launch.chaos import Chaos, chaos
    from gossipfl.report.chaos import chaos as shown
    from gossipfl.report.live import follow

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    events = chaos(experiment, Chaos(minutes, every, rest, seed), out)
    imported()
    finished = follow(events, quiet, silent=format == "json")
    summary = finished.summary
    bad = [check["what"] for check in summary["checks"] if check["holds"] is False]
    if summary["stopped"] == "interrupted":
        code, sentence = INTERRUPTED, f"interrupted after {summary['rounds']} rounds"
    elif bad:
        code, sentence = NOT_REACHED, f"these checks failed after the faults: {', '.join(bad)}"
    else:
        count = sum(summary["struck"].values())
        code, sentence = DONE, f"all checks passed after {count} faults and {summary['rounds']} rounds"
    told = {"folder": str(finished.folder), "exit_code": code, "verdict": sentence} | summary
    say(format, told, *shown(summary, sentence))
    return code
