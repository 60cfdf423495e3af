"""peer: one peer of an experiment, started by hand or by an init system; must not know how it learns."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossipfl.cli.options import As, File, Out, Set
from gossipfl.cli.say import Format, error, say

if TYPE_CHECKING:
    from gossipfl.experiment.live.reports import Report

EXAMPLES = """\b
Examples:
  gossipfl peer hospitals.toml va --data va.csv
  gossipfl peer hospitals.toml va --data va.csv --listen 'tcp://*:5504' --out /var/lib/gossipfl/va
  gossipfl peer status /var/lib/gossipfl/va"""


def peer(
    file: File,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which peer of the topology this one is.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="Its rows; by default its part of the data source."),
    ] = None,
    out: Out = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="ENDPOINT",
            help="Where to listen, if not at the endpoint that neighbours know.",
        ),
    ] = None,
    set: Set = None,
    format: As = "text",
) -> int:
    """Be one peer of an experiment whose others run elsewhere.

    It listens, waits for its neighbours, learns with them and writes the result. The topology must be a file
    that gives this peer and its neighbours an endpoint each. All peers are started with the same experiment
    file, in any order; only their data differ. SIGINT and SIGTERM end it early and politely. Started again with
    the same --out it goes on from its checkpoint; started late it is told what the others agreed on. The topology
    file is read again when it changes, or on SIGHUP: peers and links that it gains or loses come and go while all learn.

    gossipfl peer status RUN shows what the peers of a run folder saw last: who is up, suspected, down, and who
    has not begun to learn yet or has ended.
    """
    signal.signal(
        signal.SIGHUP, signal.SIG_IGN
    )  # until it means: read the file again, which is read first anyway
    if str(file) == "status" and not file.exists():
        return _status(Path(name), format)
    from gossipfl.config.file import load

    experiment = load(file, set or ())
    from gossipfl.experiment.learning.tables import own_table
    from gossipfl.experiment.live.alone import endpoints, lodged, peer, unsuitable, watched
    from gossipfl.experiment.study.method import study
    from gossipfl.report.console import console
    from gossipfl.report.live import View
    from gossipfl.runs import folder as files
    from gossipfl.runs.events import Progress, Started, Warned
    from gossipfl.signals import interrupt_once

    unsuitable(experiment)
    made = study(experiment)
    places = endpoints(made, name, listen)
    table = own_table(made, name, data)
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}_{experiment.name}_{name.replace('/', '_')}"
    folder = out or files.RUNS / stamp
    again = lodged(made, name, folder)
    neighbours = ", ".join(peer for peer in places if peer != name)
    with View(console(), quiet=False, silent=format == "json", plain=True) as view:
        view.show(Started(folder, 1, experiment.stop.rounds, experiment.stop.seconds))

        def tell(what: str, told: Any) -> None:
            if isinstance(told, Progress):
                view.show(told)
            elif what == "warning":
                view.show(Warned(name, told))
            elif what == "listening":
                view.say(f"{name} listens on {places[name]} and waits for {neighbours} ...")
            elif what in ("learning", "news"):
                view.say(told)

        interrupt_once()
        report = peer(made, name, table, folder, places, tell, again, watched(made, name, listen, tell))
    return _tell(name, folder, report, experiment.stop.tolerance, format)


def _status(folder: Path, format: Format) -> int:
    """Show the last status of the peers of a run."""
    from gossipfl.report.status import status_table
    from gossipfl.runs.status import statuses

    found = statuses(folder)
    say(format, {"peers": {one.peer: one._asdict() for one in found}}, *status_table(found))
    return 0


def _tell(name: str, folder: Path, report: "Report", tolerance: float, format: Format) -> int:
    """Say how one peer ended; its exit code."""
    code, sentence = _verdict(report, tolerance)
    if report.error:
        return error(sentence, code, format == "json")
    told = {"folder": str(folder), "exit_code": code, "verdict": sentence, "peer": name}
    told |= {field: getattr(report, field) for field in ("rounds", "stopped", "bytes_sent", "messages_sent")}
    kept = report.model is not None and not report.unwritten
    said = [sentence, f"the model is {folder}/model.json"] if kept else [sentence]
    say(format, told, *said)
    return code


def _verdict(report: "Report", tolerance: float) -> tuple[int, str]:
    """The exit code and the sentence that one peer ends with."""
    if report.error:
        return report.exit_code, report.error
    code, sentence = _ended(report, tolerance)
    return (code or 7, f"{sentence}; but it {report.unwritten}") if report.unwritten else (code, sentence)


def _ended(report: "Report", tolerance: float) -> tuple[int, str]:
    match report.stopped:
        case "diverged":
            return 6, f"diverged: {report.why}. Try a smaller algorithm.step (it was {report.step:.3g})"
        case "interrupted" | "dropped":
            code = 130 if report.stopped == "interrupted" else 0
            return code, report.why or f"interrupted after {report.rounds} rounds"
        case "tolerance":
            return (
                0,
                f"all peers stopped together after {report.rounds} rounds, below tolerance {tolerance:g}",
            )
    if tolerance:
        return (
            6,
            f"tolerance {tolerance:g} was not met in {report.rounds} rounds: give it more stop.rounds",
        )
    return 0, f"learned for {report.rounds} rounds"
