"""`gf.simulate`, `gf.run` and `gf.load`: from data as a caller has them to a result; must not know how peers learn."""

import inspect
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeAlias

import networkx as nx
import pandas as pd

from gossipfl.config import file as files
from gossipfl.config.draft import draft
from gossipfl.config.experiment import Experiment
from gossipfl.data import READERS, Table, framed
from gossipfl.experiment.evaluation.finish import Judged, judge
from gossipfl.experiment.launch.simulate import simulate as simulation
from gossipfl.experiment.learning.tables import Given, notes, tables
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.own import told
from gossipfl.interface.graphs import AnyTopology, graph_of
from gossipfl.interface.peers import learn_live
from gossipfl.interface.progress import Show, shown
from gossipfl.interface.result import Result, load_run, metrics_frame
from gossipfl.interface.settings import Raw, changed, merged, named, patient
from gossipfl.interface.simulation import learn, one_thread
from gossipfl.models import Linear
from gossipfl.runs.events import Progress, Struck, Warned
from gossipfl.runs.learned import Learned
from gossipfl.trained import LinearModel, describe, rebuilt

Source: TypeAlias = Experiment | str | Path | pd.DataFrame | Mapping[str, pd.DataFrame]
P = ParamSpec("P")


def load(file: str | Path, **settings: Any) -> Experiment:
    """The experiment in a file, changed by settings: `load("demo.toml", topology="ring:8", rounds=50)`.

    Raises:
        BadExperiment: the file cannot be read, or its content or a setting is wrong.
    """
    experiment = files.load(Path(file))
    return changed(_raw(experiment), settings) if settings else experiment


class Asked(NamedTuple):
    """What a call asks for."""

    given: Given
    heard: "_Heard"
    out: Path | None


def _asked(
    abroad: bool,
    data: Source,
    /,
    target: str | None = None,
    *,
    topology: AnyTopology | Callable[..., nx.Graph] | None = None,
    progress: bool = False,
    out: str | Path | None = None,
    **settings: Any,
) -> Asked:
    """The study and the rows of its peers, for other processes if `abroad`. For the other arguments see `simulate`."""
    folder = None if out is None else Path(out).absolute()
    graph = graph_of(topology) if isinstance(topology, nx.Graph) else None
    spec: Any = str(topology) if isinstance(topology, Path) else topology
    if graph is not None:  # the run folder has the graph as a file
        spec = f"{len(graph)} peers" if folder is None else str(folder / "topology.json")
    given = settings if spec is None else {"topology.graph": spec, **settings}
    raw = _described(
        data, given if target is None else {"data.target": target, **given}, abroad or out is not None
    )
    made = study(changed(raw, {}), graph=graph)
    return Asked(Given(made, tables(made, _rows(data, made.experiment))), _Heard(shown(progress)), folder)


def _called_as(
    other: Callable[Concatenate[bool, P], Any],
) -> Callable[[Callable[..., Result]], Callable[P, Result]]:
    """A function with the parameters of another one but the first, for type checkers and for `help`."""
    _, *others = inspect.signature(other).parameters.values()

    def told(function: Callable[..., Result]) -> Callable[P, Result]:
        function.__signature__ = inspect.Signature(others, return_annotation=Result)  # type: ignore[attr-defined]
        return function

    return told


@_called_as(_asked)
def simulate(*words: Any, **settings: Any) -> Result:
    """Let peers learn one model, all in this process. It prints nothing and writes nothing, unless asked.

    Args:
        data: an experiment or its file (.toml); rows that the peers divide, as a data frame, a file or the name of a data set
            ("breast_cancer"); or a data frame for each peer, by name. What an experiment file would say of rows without one,
            such as categorical columns and the kind of model, is found as by `gossipfl init`.
        target: the column to predict, or a comparison such as "num > 0"; for a data frame the last column by default.
        topology: a shorthand ("torus:4x4"), a file, a graph of networkx, or a function that makes one.
        progress: show how far learning is: in a notebook in place, elsewhere as lines on standard error.
        out: a folder for the files of the run; `load_run` reads it.
        settings: any other key of an experiment file, by its name on the command line (`l2`, `algorithm`, "stop.rounds"), or
            a whole section (`data={"test": 0.3}`). A method, aggregator or loss may be a class of your own.

    Raises:
        GossipError: what is asked for does not exist or does not fit together; the message says what to write.

    >>> result = simulate("breast_cancer", topology=nx.petersen_graph(), l2=0.01, tolerance=1e-8)
    >>> result.converged, result.test["accuracy"] > 0.95, len(result.summary["rows"])
    (True, True, 10)
    """
    given, heard, out = _asked(settings.get("out") is not None, *words, **settings)
    if out is not None:
        with one_thread():
            for event in simulation(given.study.experiment, out, given):
                if isinstance(event, Progress | Struck | Warned):
                    heard(event)
        return replace(load_run(out), notes=tuple(heard.notes))
    for note in [*told(given.study.experiment), *notes(given.rows, given.study.names)]:
        heard(Warned("", note))
    learned, lines = learn(given, heard)
    judged = judge(given.study, learned)
    model = _model(given, judged, learned)
    return Result(
        given.study.experiment, judged.summary, metrics_frame(lines), model, None, tuple(heard.notes)
    )


@_called_as(_asked)
def run(*words: Any, **settings: Any) -> Result:
    """Let real peers learn one model: a process each on this machine, which talk over TCP. For arguments see `simulate`.

    A launcher process of its own starts them. So this works from a script without `if __name__ == "__main__"`, from standard
    input, in a notebook and in workers of a pool. Without `out` no files of the run are left.

    Raises:
        GossipError: as of `simulate`, or a peer failed.
    """
    given, heard, out = _asked(True, *words, **settings)
    if out is not None:
        learn_live(given, out, heard)
        return replace(load_run(out), notes=tuple(heard.notes))
    with tempfile.TemporaryDirectory(prefix="gossipfl-run-", ignore_cleanup_errors=True) as place:
        learn_live(given, Path(place) / "run", heard)
        return replace(load_run(Path(place) / "run"), folder=None, notes=tuple(heard.notes))


def _described(data: Source, settings: Mapping[str, Any], abroad: bool) -> Raw:
    """The tables of an experiment."""
    if isinstance(data, str | Path) and Path(data).suffix == ".toml":
        data = files.load(Path(data))
    if isinstance(data, Experiment):
        return named(merged(_raw(data), settings), abroad)
    given = named(merged({}, settings), abroad)
    target = given.get("data", {}).get("target")
    topology = given.get("topology", {}).get("graph")
    if isinstance(data, pd.DataFrame):
        return draft(data, target, topology, given=given).raw
    if isinstance(data, Mapping):
        whole = pd.concat([*data.values()], ignore_index=True)
        return draft(whole, target, topology or f"full:{len(data)}", given=given).raw
    if Path(data).suffix.lower() in READERS and Path(data).is_file():
        return draft(str(data), target, topology, given=given).raw
    return patient(given | {"data": {"source": str(data)} | given.get("data", {})})


def _rows(data: Source, experiment: Experiment) -> Table | dict[str, Table] | None:
    """The rows of data frames; None if the experiment says where they are."""
    e = experiment.data
    words = {*e.categorical, *(str(value) for key, value in e.partition.items() if key == "name")}
    if isinstance(data, pd.DataFrame):
        return framed(data, e.target, drop=e.drop, verbatim=words)
    if isinstance(data, Mapping):
        return {
            name: framed(frame, e.target, drop=e.drop, verbatim=words, where=name, one_of_many=True)
            for name, frame in data.items()
        }
    return None


def _raw(experiment: Experiment) -> Raw:
    return experiment.model_dump(mode="python", exclude_unset=True)


def _model(given: Given, judged: Judged, learned: Learned) -> LinearModel | None:
    """The mean of the peers' models; None for a torch module, after divergence, or if each peer scaled by its own rows."""
    e = given.study.experiment
    if (
        not isinstance(judged.problem, Linear)
        or learned.stopped == "diverged"
        or e.data.standardise == "local"
    ):
        return None
    scale = learned.scales[0] if e.data.standardise == "gossip" else None
    return rebuilt(describe(e, judged.mean, learned.schema, judged.problem.outputs, scale))


class _Heard:
    """Shows events, and keeps what a person should know of the rows."""

    def __init__(self, show: Show) -> None:
        self.notes: list[str] = []
        self._show = show

    def __call__(self, event: Progress | Struck | Warned) -> None:
        if isinstance(event, Warned):
            self.notes.append(f"peer {event.peer}: {event.warning}" if event.peer else event.warning)
        self._show(event)
