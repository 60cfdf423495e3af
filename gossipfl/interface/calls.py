"""`gf.simulate`, `gf.run` and `gf.load`: from data as a caller has them to a result; must not know how peers learn."""

import inspect
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from gossipfl.config import file as files
from gossipfl.config.experiment import Experiment
from gossipfl.experiment.evaluation.finish import Judged, judge
from gossipfl.experiment.launch.simulate import simulate as simulation
from gossipfl.experiment.learning.tables import Given, notes
from gossipfl.experiment.study.own import told
from gossipfl.interface.asked import asked
from gossipfl.interface.peers import learn_live
from gossipfl.interface.progress import Show
from gossipfl.interface.result import Result, load_run, metrics_frame, no_model
from gossipfl.interface.settings import changed
from gossipfl.interface.simulation import learn, one_thread
from gossipfl.models import Linear
from gossipfl.runs.events import Progress, Struck, Warned
from gossipfl.runs.learned import Learned
from gossipfl.trained import LinearModel, describe, rebuilt

P = ParamSpec("P")


def load(file: str | Path, **settings: Any) -> Experiment:
    """The experiment in a file, changed by settings: `load("demo.toml", topology="ring:8", rounds=50)`.

    Raises:
        BadExperiment: the file cannot be read, or its content or a setting is wrong.
    """
    experiment = files.load(Path(file))
    base = experiment.model_dump(mode="python", exclude_unset=True)
    return changed(base, settings) if settings else experiment


def _called_as(
    other: Callable[Concatenate[bool, P], Any],
) -> Callable[[Callable[..., Result]], Callable[P, Result]]:
    """A function with the parameters of another one but the first, for type checkers, for `help`, and for mistakes."""
    _, *others = inspect.signature(other).parameters.values()
    signature = inspect.Signature(others, return_annotation=Result)

    def told(function: Callable[..., Result]) -> Callable[P, Result]:
        @wraps(function)
        def call(*words: P.args, **settings: P.kwargs) -> Result:
            name = f"gossipfl.{function.__name__}"
            if not words:
                raise TypeError(
                    f'{name} needs data, which come first and without a keyword: {name}(frame, "price"); data={{...}} are keys '
                    "of the section [data]"
                )
            try:
                signature.bind(*words, **settings)
            except TypeError as why:
                raise TypeError(f"{name}: {why}; it takes data and target, and all else by name") from None
            return function(*words, **settings)

        call.__signature__ = signature  # type: ignore[attr-defined]
        return call

    return told


@_called_as(asked)
def simulate(*words: Any, **settings: Any) -> Result:
    """Let peers learn one model, all in this process. It prints nothing and writes nothing, unless asked.

    Args:
        data: an experiment or its file (.toml); rows that the peers divide, as a data frame, a file or the name of a data set
            of scikit-learn ("breast_cancer"); or a data frame for each peer, by name. What an experiment file would say of rows
            without one, such as categorical columns and the kind of model, is found as by `gossipfl init`; the notes of the
            result say what and why. A folder of files and "openml:NAME" are taken as an experiment file takes them.
        target: the column to predict, or a comparison such as "num > 0"; for a data frame the last column by default.
        topology: a shorthand ("torus:4x4"), a file, a graph of networkx, or a function that makes one.
        progress: show how far learning is: in a notebook in place, elsewhere as lines on standard error.
        out: a folder for the files of the run; `load_run` reads it.
        settings: any other key of an experiment file, by its name on the command line (`l2`, `algorithm`, "stop.rounds"), or
            a whole section (`data={"test": 0.3}`). A method, aggregator or loss may be a class of your own.

    Raises:
        GossipError: what is asked for does not exist or does not fit together; the message says what to write.
        TypeError: data are of a type that nothing reads, such as arrays.

    >>> import networkx as nx
    >>> result = simulate("breast_cancer", topology=nx.petersen_graph(), l2=0.01, tolerance=1e-8)
    >>> result.converged, result.test["accuracy"] > 0.95, len(result.summary["rows"])
    (True, True, 10)
    """
    given, chosen, show, out = asked(settings.get("out") is not None, *words, **settings)
    heard = _Heard(show, chosen)
    if out is not None:
        with one_thread():
            for event in simulation(given.study.experiment, out, given):
                if isinstance(event, Progress | Struck | Warned):
                    heard(event)
        return heard.all_of(load_run(out))
    for note in [*told(given.study.experiment), *notes(given.rows, given.study.names)]:
        heard(Warned("", note))
    learned, lines = learn(given, heard)
    judged = judge(given.study, learned)
    model, own = _models(given, judged, learned)
    frame = metrics_frame(lines)
    return heard.all_of(Result(given.study.experiment, judged.summary, frame, model, personal=own))


@_called_as(asked)
def run(*words: Any, **settings: Any) -> Result:
    """Let real peers learn one model: a process each on this machine, which talk over TCP. For arguments see `simulate`.

    A launcher process of its own starts them. So this works from a script without `if __name__ == "__main__"`, from standard
    input, in a notebook and in workers of a pool. Without `out` no files of the run are left.

    Raises:
        GossipError: as of `simulate`, or a peer failed.
    """
    given, chosen, show, out = asked(True, *words, **settings)
    heard = _Heard(show, chosen)
    if out is not None:
        learn_live(given, out, heard)
        return heard.all_of(load_run(out))
    with tempfile.TemporaryDirectory(prefix="gossipfl-run-", ignore_cleanup_errors=True) as place:
        learn_live(given, Path(place) / "run", heard)
        return heard.all_of(replace(load_run(Path(place) / "run"), folder=None))


def _models(
    given: Given, judged: Judged, learned: Learned
) -> tuple[LinearModel | None, dict[str, LinearModel]]:
    """The mean of the peers' models, None if `no_model` has a reason; and each peer's own, where it is to have one."""
    e, problem = given.study.experiment, judged.problem
    if not isinstance(problem, Linear) or no_model(e, judged.summary):
        return None, {}
    scale = learned.scales[0] if e.data.standardise == "gossip" else None
    shared, *own = (
        rebuilt(describe(e, x, learned.schema, problem.outputs, scale))
        for x in [judged.mean, *([] if judged.own is None else judged.own)]
    )
    return shared, dict(zip(learned.names, own, strict=bool(own)))


class _Heard:
    """Shows events, and keeps what a person should know: choices, warnings."""

    def __init__(self, show: Show, chosen: Iterable[str]) -> None:
        self.notes = [*chosen]
        self._show = show

    def __call__(self, event: Progress | Struck | Warned) -> None:
        if isinstance(event, Warned):
            self.notes.append(f"peer {event.peer}: {event.warning}" if event.peer else event.warning)
        self._show(event)

    def all_of(self, result: Result) -> Result:
        """The result with notes of all that was heard, and of why it has no model."""
        return replace(result, notes=(*self.notes, *filter(None, [result.no_model])))
