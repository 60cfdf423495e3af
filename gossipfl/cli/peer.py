"""peer: runs one peer, started by hand or by an init system; must not know how it learns."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossipfl.cli.options import As, File, Out, Set
from gossipfl.cli.say import Format, error, say
from gossipfl.signals import hang_up, interrupt_once, on_terminal

if TYPE_CHECKING:
    from gossipfl.experiment.live.reports import Report

EXAMPLES = """\b
Examples:
  gossipfl peer hospitals.toml va --data va.csv
  gossipfl peer hospitals.toml va --data va.csv --listen 'tcp://*:5504' --out /var/lib/gossipfl/va
  gossipfl peer status /var/lib/gossipfl/va"""


def peer(
    file: File,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of this peer in the topology.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FILE", help="The rows of this peer. Default: its part of data.source."
        ),
    ] = None,
    out: Out = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="ENDPOINT",
            help="The address to listen on. Default: the endpoint in the topology file.",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="The secret keys of this peer. Default: NAME.key beside the topology file.",
        ),
    ] = None,
    set: Set = None,
    format: As = "text",
) -> int:
    """Run one peer here; the other peers run elsewhere.

    The peer listens, waits for its neighbours, learns with them and writes the result. The topology must be a
    file with an endpoint for this peer and for each neighbour. Start all peers with the same experiment file,
    in any order; only their data differ. If the topology names public keys (gossipfl keys new), links are
    encrypted and nobody else gets in. Neighbours themselves can rebuild rows from the messages.

    SIGINT and SIGTERM stop the peer early and save its model; so does closing its terminal, if it has one
    (SIGHUP; without a terminal it is ignored). If it is started again with the same --out, it continues from
    its checkpoint. If it starts late, a neighbour sends it the current state. The topology file is read again
    when it changes, or on SIGUSR1: peers and links can be added or removed while all peers learn.

    gossipfl peer status RUN prints the last known state of each peer in a run folder: up, suspected, down,
    not begun or ended.
    """
    # Ignored until the topology file has been read; later it means: read it again.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    hang_up(heard=on_terminal())
    if str(file) == "status" and not file.exists():
        return _status(Path(name), format)
    from gossipfl.config.file import load

    experiment = load(file, set or ())
    from gossipfl.cli.confidential import confidential
    from gossipfl.data import divisible
    from gossipfl.experiment.learning.tables import notes, own_table
    from gossipfl.experiment.live.alone import endpoints, lodged, peer, unsuitable, watched, without_wanted
    from gossipfl.experiment.live.keyring import identity, link_keys
    from gossipfl.experiment.study.method import study
    from gossipfl.report.console import console
    from gossipfl.report.live import View
    from gossipfl.runs import folder as files
    from gossipfl.runs.events import Progress, Started, Warned

    unsuitable(experiment)
    made = study(experiment, divided=data is None and divisible(experiment.data.source))
    places = endpoints(made, name, listen)
    keys = link_keys(made, name, places, key)
    chosen, shown = confidential(made)
    made = made if chosen is experiment else study(chosen, divided=made.divided)
    signs = identity(made, name, key) if made.secure else None
    table = own_table(made, name, data)
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}_{experiment.name}_{name.replace('/', '_')}"
    folder = out or files.RUNS / stamp
    again = lodged(made, name, folder)
    neighbours = ", ".join(peer for peer in places if peer != name)
    with View(console(), quiet=False, silent=format == "json", plain=True) as view:
        view.show(Started(folder, 1, experiment.stop.rounds, experiment.stop.seconds))
        if shown:
            view.say(shown)
        for note in notes([table], [name]):
            view.show(Warned("", note))

        def tell(what: str, told: Any) -> None:
            if isinstance(told, Progress):
                view.show(told)
            elif what in ("warning", "agreed"):
                view.show(Warned(name, told))
            elif what == "listening":
                how = "encrypted links" if keys else "open links"
                view.say(f"{name} listens on {places[name]} ({how}) and waits for {neighbours} ...")
            elif what in ("learning", "news"):
                view.say(told)

        interrupt_once()
        report = peer(
            made, name, table, folder, places, tell, again, watched(made, name, listen, tell), keys, signs
        )
    return _tell(name, folder, report, experiment.stop.tolerance, without_wanted(experiment), format)


def _status(folder: Path, format: Format) -> int:
    """Print the last known state of each peer of a run."""
    from gossipfl.report.status import status_table
    from gossipfl.runs.status import statuses

    found = statuses(folder)
    say(format, {"peers": {one.peer: one._asdict() for one in found}}, *status_table(found))
    return 0


def _tell(name: str, folder: Path, report: "Report", tolerance: float, wanted: bool, format: Format) -> int:
    """Print the result of one peer; returns its exit code."""
    code, sentence = _verdict(report, tolerance, wanted)
    if report.error:
        return error(sentence, code, format == "json")
    told = {"folder": str(folder), "exit_code": code, "verdict": sentence, "peer": name}
    fields = "rounds", "stopped", "bytes_sent", "messages_sent", "learned_with", "without", "scores"
    told |= {field: getattr(report, field) for field in fields}
    said = [sentence]
    if report.scores:
        from gossipfl.report.scores import scored

        said.append(": ".join(scored(report.scores)))
    if report.model is not None and not report.unwritten:
        said.append(f"the model is {folder}/model.json")
    say(format, told, *said)
    return code


def _verdict(report: "Report", tolerance: float, wanted: bool) -> tuple[int, str]:
    """The exit code and the verdict of one peer; `wanted`: it may end without others."""
    from gossipfl.experiment.evaluation.verdict import whose

    if report.error:
        return report.exit_code, report.error
    code, sentence = _ended(report, tolerance)
    if report.without:
        if report.stopped == "tolerance":
            sentence = (
                f"tolerance {tolerance:g} is met after {report.rounds} rounds on a part of the rows only"
            )
        if tolerance and report.stopped in ("tolerance", "ended"):
            code = 0 if wanted else 6
        sentence += f"; {whose(report.learned_with, report.without)}"
    elif report.learned_with and report.stopped in ("tolerance", "rounds", "seconds", "ended"):
        sentence += f"; {whose(report.learned_with, ())}"
    return (code or 7, f"{sentence}; but it {report.unwritten}") if report.unwritten else (code, sentence)


def _ended(report: "Report", tolerance: float) -> tuple[int, str]:
    match report.stopped:
        case "diverged":
            return 6, f"diverged: {report.why}. Try a smaller algorithm.step (it was {report.step:.3g})"
        case "interrupted" | "dropped":
            code = 130 if report.stopped == "interrupted" else 0
            return code, report.why or f"interrupted after {report.rounds} rounds"
        case "ended":
            return 0, report.why
        case "tolerance":
            return (
                0,
                f"all peers stopped together after {report.rounds} rounds, below tolerance {tolerance:g}",
            )
    if tolerance:
        return (
            6,
            f"tolerance {tolerance:g} was not met in {report.rounds} rounds: raise stop.rounds",
        )
    return 0, f"learned for {report.rounds} rounds"
