"""chaos: an experiment under random faults, and what is left of it; must not know how faults are done."""

import signal
from typing import Annotated

import typer

from gossipfl.cli.options import As, File, Out, Quiet, Set
from gossipfl.cli.say import say

EXAMPLES = """\b
Examples:
  gossipfl chaos exact.toml --minutes 1
  gossipfl chaos exact.toml --minutes 10 --every 2 --seed 7 --format json > chaos.json"""


def chaos(
    file: File,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="How long things go wrong.")] = 1.0,
    every: Annotated[float, typer.Option("--every", min=0.01, help="Seconds between two faults.")] = 2.0,
    rest: Annotated[float, typer.Option("--rest", min=0.0, help="Seconds of quiet in the end.")] = 20.0,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="What the faults (and all else) are drawn from."),
    ] = None,
    set: Set = None,
    out: Out = None,
    format: As = "text",
    quiet: Quiet = False,
) -> int:
    """Kill, stop, cut off, delay and lose at random, and check what is left.

    Real peers learn on this machine while one fault after the other befalls them: processes are killed and
    started again with and without their checkpoints, stopped, cut off, delayed; messages are lost and
    doubled, connections reset. Then it is quiet, and in the end every peer should be there, at the optimum
    of all data, and hold no more memory, descriptors or threads than before. Exit code 6 where that fails.
    """
    from gossipfl.config.file import load

    experiment = load(file, set or ())
    from gossipfl.experiment.evaluation.verdict import DONE, INTERRUPTED, NOT_REACHED
    from gossipfl.experiment.launch.chaos import Chaos, chaos
    from gossipfl.report.chaos import chaos as shown
    from gossipfl.report.live import follow

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    events = chaos(experiment, Chaos(minutes, every, rest, seed), out)
    finished = follow(events, quiet, silent=format == "json")
    summary = finished.summary
    bad = [check["what"] for check in summary["checks"] if check["holds"] is False]
    if summary["stopped"] == "interrupted":
        code, sentence = INTERRUPTED, f"interrupted after {summary['rounds']} rounds"
    elif bad:
        code, sentence = NOT_REACHED, f"not all is well after chaos: it does not hold that {', '.join(bad)}"
    else:
        count = sum(summary["struck"].values())
        code, sentence = DONE, f"all is well after {count} faults and {summary['rounds']} rounds"
    told = {"folder": str(finished.folder), "exit_code": code, "verdict": sentence} | summary
    say(format, told, *shown(summary, sentence))
    return code
