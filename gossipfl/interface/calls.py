"""`gf.simulate`, `gf.run` and `gf.load`: from data as a caller has them to a result; must not know how peers learn."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

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
from gossipfl.interface.settings import Raw, changed, patient
from gossipfl.interface.simulation import learn, one_thread
from gossipfl.models import Linear
from gossipfl.runs.events import Progress, Struck, Warned
from gossipfl.runs.learned import Learned
from gossipfl.trained import LinearModel, describe, rebuilt

Source: TypeAlias = Experiment | str | Path | pd.DataFrame | Mapping[str, pd.DataFrame]


def load(file: str | Path, **settings: Any) -> Experiment:
    """The experiment in a file, changed by settings: `load("demo.toml", topology="ring:8", rounds=50)`.

    Raises:
        BadExperiment: the file cannot be read, or its content or a setting is wrong.
    """
    experiment = files.load(Path(file))
    return changed(_raw(experiment), settings) if settings else experiment


def simulate(
    data: Source,
    /,
    target: str | None = None,
    *,
    topology: AnyTopology | None = None,
    progress: bool = False,
    out: str | Path | None = None,
    **settings: Any,
) -> Result:
    """Let peers learn one model, all in this process. It prints nothing and writes nothing, unless asked.

    Args:
        data: an experiment or its file (.toml); rows that the peers divide, as a data frame, a file or the name of a data set
            ("breast_cancer"); or a data frame for each peer, by name. What an experiment file would say of rows without one,
            such as categorical columns and the kind of model, is found as by `gossipfl init`.
        target: the column to predict, or a comparison such as "num > 0"; for a data frame the last column by default.
        topology: a shorthand ("torus:4x4"), a file, or a graph of networkx.
        progress: show how far learning is: in a notebook in place, elsewhere as lines on standard error.
        out: a folder for the files of the run; `load_run` reads it.
        settings: any other key of an experiment file, by its name on the command line (`l2`, `algorithm`, "stop.rounds"), or
            a whole section (`data={"test": 0.3}`).

    Raises:
        GossipError: what is asked for does not exist or does not fit together; the message says what to write.

    >>> result = simulate("breast_cancer", topology=nx.petersen_graph(), l2=0.01, tolerance=1e-8)
    >>> result.converged, result.test["accuracy"] > 0.95, len(result.summary["rows"])
    (True, True, 10)
    """
    given, show = _given(data, target, topology, out, settings), shown(progress)
    if out is not None:
        folder, heard = Path(out).absolute(), _Heard(show)
        with one_thread():
            for event in simulation(given.study.experiment, folder, given):
                if isinstance(event, Progress | Struck | Warned):
                    heard(event)
        return replace(load_run(folder), notes=tuple(heard.notes))
    heard = _Heard(show, [*told(given.study.experiment), *notes(given.rows, given.study.names)])
    learned, lines = learn(given, heard)
    judged = judge(given.study, learned)
    model = _model(given, judged, learned)
    return Result(
        given.study.experiment, judged.summary, metrics_frame(lines), model, None, tuple(heard.notes)
    )


def run(
    data: Source,
    /,
    target: str | None = None,
    *,
    topology: AnyTopology | None = None,
    progress: bool = False,
    out: str | Path | None = None,
    **settings: Any,
) -> Result:
    """Let real peers learn one model: a process each on this machine, which talk over TCP. For arguments see `simulate`.

    A launcher process of its own starts them. So this works from a script without `if __name__ == "__main__"`, from standard
    input, in a notebook and in workers of a pool. Without `out` no files of the run are left.

    Raises:
        GossipError: as of `simulate`, or a peer failed.
    """
    given, heard = _given(data, target, topology, out, settings), _Heard(shown(progress))
    if out is not None:
        learn_live(given, Path(out).absolute(), heard)
        return replace(load_run(Path(out).absolute()), notes=tuple(heard.notes))
    with tempfile.TemporaryDirectory(prefix="gossipfl-run-", ignore_cleanup_errors=True) as place:
        learn_live(given, Path(place) / "run", heard)
        return replace(load_run(Path(place) / "run"), folder=None, notes=tuple(heard.notes))


def _given(
    data: Source,
    target: str | None,
    topology: AnyTopology | None,
    out: str | Path | None,
    settings: Mapping[str, Any],
) -> Given:
    """The study, and the rows of its peers."""
    graph = graph_of(topology) if isinstance(topology, nx.Graph) else None
    spec = None if topology is None else str(topology)
    if graph is not None:  # the run folder has the graph as a file
        spec = f"{len(graph)} peers" if out is None else str(Path(out).absolute() / "topology.json")
    raw = _described(data, target, None if graph is not None else spec)
    if spec is not None:
        raw |= {"topology": raw.get("topology", {}) | {"graph": spec}}
    gone = {*settings.get("drop", ()), *settings.get("data", {}).get("drop", ())}
    if chosen := raw.get("data", {}).get("categorical"):
        raw["data"]["categorical"] = [name for name in chosen if name not in gone]
    made = study(changed(raw, settings), graph=graph)
    return Given(made, tables(made, _rows(data, made.experiment)))


def _described(data: Source, target: str | None, topology: str | None) -> Raw:
    """What is known of an experiment before the settings of the call."""
    if isinstance(data, Experiment) or Path(str(data)).suffix == ".toml":
        raw = _raw(data if isinstance(data, Experiment) else files.load(Path(str(data))))
        return raw if target is None else raw | {"data": raw["data"] | {"target": target}}
    if isinstance(data, pd.DataFrame):
        return draft(data, target, topology).raw
    if isinstance(data, Mapping):
        whole = pd.concat([*data.values()], ignore_index=True)
        return draft(whole, target, topology or f"full:{len(data)}").raw
    if Path(data).suffix.lower() in READERS and Path(data).is_file():
        return draft(str(data), target, topology).raw
    return patient({"data": {"source": str(data)} | ({} if target is None else {"target": target})})


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

    def __init__(self, show: Show, notes: list[str] | None = None) -> None:
        self.notes: list[str] = []
        self._show = show
        for note in notes or []:
            self(Warned("", note))

    def __call__(self, event: Progress | Struck | Warned) -> None:
        if isinstance(event, Warned):
            self.notes.append(f"peer {event.peer}: {event.warning}" if event.peer else event.warning)
        self._show(event)
