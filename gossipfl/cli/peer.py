"""peer: runs one peer, started by hand or by an init system, or checks it; must not know how it learns."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from gossipfl.cli.garbage import imported
from gossipfl.cli.options import As, File, Out, Set
from gossipfl.cli.say import Format, error, say
from gossipfl.signals import hang_up, interrupt_once, many_files, on_terminal

MARKS = {True: "ok     ", False: "WRONG  ", None: "waiting"}

if TYPE_CHECKING:
    from gossipfl.experiment.live.reports import Report

EXAMPLES = """\b
Examples:
  gossipfl peer hospitals.toml va --data va.csv
  gossipfl peer hospitals.toml va --data va.csv --listen 'tcp://*:5504' --out /var/lib/gossipfl/va"""


class Default(TyperGroup):
    """`gossipfl peer FILE NAME` starts a peer. Another command has its name, unless a file has the same."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        word = args[0] if args else "--help"
        if word not in ("-h", "--help") and (word not in self.commands or Path(word).exists()):
            args = ["start", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=Default,
    help="""Run one peer here, check it, or show how the peers of a run are.

    gossipfl peer FILE NAME runs one peer; the other peers run elsewhere. See gossipfl peer start --help.""",
    epilog=f"""{EXAMPLES}
  gossipfl peer check hospitals.toml va --data va.csv
  gossipfl peer status /var/lib/gossipfl/va""",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of this peer in the topology.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="FILE", help="The rows of this peer. Default: its part of data.source."),
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="ENDPOINT",
        help="The address to listen on. Default: the endpoint in the topology file.",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="The secret keys of this peer. Default: NAME.key beside the topology file.",
    ),
]


@app.command(epilog=EXAMPLES)
def start(
    file: File,
    name: Name,
    data: Data = None,
    out: Out = None,
    listen: Listen = None,
    key: KeyFile = None,
    set: Set = None,
    format: As = "text",
) -> int:
    """Run one peer here; the other peers run elsewhere. "start" may be left out.

    The peer waits for its neighbours without end and says who is missing, and why; then it learns with them
    and writes the result. The topology must be a file with endpoints. Start all peers with the same
    experiment file, in any order; only their data differ. If the topology names public keys (gossipfl keys
    new), links are encrypted and nobody else gets in; then a peer without an endpoint dials its neighbours,
    and opens no port. With keys, three peers or more and a method that takes sums, a peer learns the totals of all
    peers alone; otherwise neighbours can rebuild rows from the messages, and the first lines say so.

    SIGINT and SIGTERM stop the peer early and save its model; so does closing its terminal, if it has one
    (SIGHUP; without a terminal it is ignored). If it is started again with the same --out, it continues from
    its checkpoint. If it starts late, a neighbour sends it the current state. The topology file is read again
    when it changes, or on SIGUSR1: without secure sums, peers and links can be added or removed while all learn.
    """
    # Ignored until the topology file has been read; later it means: read it again.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    hang_up(heard=on_terminal())
    many_files()
    from gossipfl.config.file import load

    experiment = load(file, set or ())
    from gossipfl.cli.confidential import confidential
    from gossipfl.data import divisible
    from gossipfl.experiment.learning.tables import notes, own_table
    from gossipfl.experiment.live.alone import endpoints, lodged, peer, unsuitable, watched
    from gossipfl.experiment.live.keyring import identity, link_keys
    from gossipfl.experiment.study.make import study
    from gossipfl.experiment.study.own import told as own_code
    from gossipfl.report.console import console
    from gossipfl.report.live import View
    from gossipfl.runs import folder as files
    from gossipfl.runs.events import Progress, Started, Warned

    unsuitable(experiment)
    made = study(experiment, divided=data is None and divisible(experiment.data.source))
    places = endpoints(made, name, listen)
    keys = link_keys(made, name, places, key)
    made, shown = confidential(made)
    signs = identity(made, name, key) if made.secure else None
    table = own_table(made, name, data)
    stamp = f"{time.strftime('%Y%m%d-%H%M%S')}_{experiment.name}_{name.replace('/', '_')}"
    folder = out or files.RUNS / stamp
    again = lodged(made, name, folder)
    neighbours = ", ".join(peer for peer in places if peer != name)
    imported()
    with View(console(), quiet=False, silent=format == "json", plain=True) as view:
        view.show(Started(folder, 1, experiment.stop.rounds, experiment.stop.seconds))
        if shown:
            view.say(shown)
        for note in [*own_code(experiment), *notes([table], [name])]:
            view.show(Warned("", note))

        def tell(what: str, told: Any) -> None:
            if isinstance(told, Progress):
                view.show(told)
            elif what == "warning":
                view.show(Warned(name, told))
            elif what == "listening":
                how = "encrypted links" if keys else "open links"
                here = (
                    f"listens on {places[name]}"
                    if places[name]
                    else "has no endpoint, so it dials the others"
                )
                view.say(f"{name} {here} ({how}) and waits for {neighbours} ...")
            elif what in ("learning", "agreed", "news"):
                view.say(told)

        interrupt_once()
        report = peer(
            made, name, table, folder, places, tell, again, watched(made, name, listen, tell), keys, signs
        )
    return _tell(name, folder, report, experiment.stop.tolerance, format)


@app.command(
    epilog="""\b
Examples:
  gossipfl peer check hospitals.toml va --data va.csv
  gossipfl peer check hospitals.toml va --data va.csv --wait 30"""
)
def check(
    file: File,
    name: Name,
    data: Data = None,
    listen: Listen = None,
    key: KeyFile = None,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", min=0.0, help="How long to wait for the neighbours.")
    ] = 600.0,
    set: Set = None,
    format: As = "text",
) -> int:
    """Check one peer before it starts: its rows, key and port, and each of its neighbours.

    A neighbour is reached, has the right key and the same study, or the command says what is wrong; where the
    study is another one, it says which keys of the experiment differ. Neighbours answer while they are checked
    themselves, or wait for others to start. The exit code is that of the first thing that is wrong.
    """
    from gossipfl.config.file import load

    experiment = load(file, set or ())
    from gossipfl.cli.confidential import confidential
    from gossipfl.data import divisible
    from gossipfl.experiment.live.alone import unsuitable
    from gossipfl.experiment.live.check import findings
    from gossipfl.experiment.study.make import study

    unsuitable(experiment)
    made, shown = confidential(study(experiment, divided=data is None and divisible(experiment.data.source)))
    if shown and format == "text":
        say(format, {}, f"note    {shown}")
    found = []
    interrupt_once()
    for finding in findings(made, name, data, listen, key, wait):
        found.append(finding)
        if format == "text":
            say(format, {}, f"{MARKS[finding.fine]} {finding.sentence}")
    code = next((one.code for one in found if one.fine is False), 0)
    if format == "json":
        say(
            format,
            {
                "peer": name,
                "exit_code": code,
                "found": [one._asdict() for one in found if one.fine is not None],
            },
        )
    return code


@app.command(
    epilog="""\b
Examples:
  gossipfl peer status runs/live"""
)
def status(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")], format: As = "text"
) -> int:
    """Print the last known state of each peer of a run: up, suspected, down, not begun or ended."""
    from gossipfl.report.status import status_table
    from gossipfl.runs.status import statuses

    found = statuses(folder)
    say(format, {"peers": {one.peer: one._asdict() for one in found}}, *status_table(found))
    return 0


def _tell(name: str, folder: Path, report: "Report", tolerance: float, format: Format) -> int:
    """Print the result of one peer; returns its exit code."""
    code, sentence = ended(report, tolerance)
    if report.error:
        return error(sentence, code, format == "json")
    told = {"folder": str(folder), "exit_code": code, "verdict": sentence, "peer": name}
    fields = "rounds", "stopped", "bytes_sent", "messages_sent", "learned_with", "without", "scores"
    told |= {field: getattr(report, field) for field in fields}
    told["certificate"] = report.certificate and report.certificate.distance
    if report.selection:
        from msgspec.structs import asdict

        from gossipfl.report.plots import draw_curve

        told["selection"] = selection = asdict(report.selection)
        draw_curve(selection, folder / "cv.svg")
    said = [sentence]
    if report.scores:
        from gossipfl.report.scores import scored

        said.append(": ".join(scored(report.scores)))
    if report.model is not None and not report.unwritten:
        said.append(f"the model is {folder}/model.json")
    say(format, told, *said)
    return code


def ended(report: "Report", tolerance: float) -> tuple[int, str]:
    """The exit code and the verdict of one peer: those of its summary, as `results show` says them."""
    from gossipfl.experiment.evaluation.verdict import verdict

    if report.error or report.summary is None:
        return report.exit_code, report.error
    code, sentence = verdict(report.summary, tolerance)
    return (code or 7, f"{sentence}; but it {report.unwritten}") if report.unwritten else (code, sentence)
