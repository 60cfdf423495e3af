"""One linear model for arrays: who holds which rows, learning in either engine, coefficients; must not know scikit-learn."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, NamedTuple

import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array, issparse

from gossipfl.algorithms import METHODS
from gossipfl.config.algorithm import KEYS
from gossipfl.config.code import brief
from gossipfl.config.experiment import Experiment
from gossipfl.data import Table, partition
from gossipfl.data.matching import match
from gossipfl.data.names import listed, natural, text
from gossipfl.data.scale import Scale
from gossipfl.errors import BadExperiment, Incompatible, NetworkError
from gossipfl.experiment.evaluation.finish import average
from gossipfl.experiment.learning.tables import Given
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.method import SMALL
from gossipfl.experiment.study.own import enlist
from gossipfl.experiment.study.study import Study
from gossipfl.interface.graphs import AnyTopology, graph_of, named_graph, shorthand
from gossipfl.interface.peers import learn_live
from gossipfl.interface.settings import changed
from gossipfl.interface.simulation import Lesson, learn
from gossipfl.models import LOSSES
from gossipfl.runs import folder as files
from gossipfl.runs.events import Progress
from gossipfl.runs.summary import read_summary
from gossipfl.topology import FAMILIES
from gossipfl.trained.links import LINKS

Array = npt.NDArray[np.float64]
ENGINES = ("simulator", "peers")
LEAST = 5  # rows of a peer, where the caller leaves the number of peers to the data


@dataclass(frozen=True)
class Wish:
    """What a caller wants to learn from arrays, in the words of an experiment file."""

    topology: AnyTopology
    peers: int
    engine: Literal["simulator", "peers"]
    seed: int
    tasks: Sequence[str]  # of the losses that fit
    outputs: int
    # [model], [algorithm], [stop], [data]; classes where a key takes one.
    tables: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]


class Fitted(NamedTuple):
    """A linear model in the units of the features, and how it was learned."""

    coefficients: Array  # (p, outputs)
    intercept: Array  # (outputs,)
    rounds: int
    stopped: str
    why: str
    certificate: float | None
    messages: int
    algorithm: str
    peers: list[str]
    lines: list[Progress]
    penalties: dict[str, float]  # "l1" and "l2", also where the peers chose one


def fit(
    x: Array | csr_array, y: Array, weight: Array | None, sites: Sequence[Any] | None, wish: Wish
) -> Fitted:
    """The model that the peers learn from rows x (n, p), y (n,), weights (n,).

    Args:
        sites: who holds each row, (n,); None: the rows are dealt to the peers by chance.

    Raises:
        GossipError: what is asked for does not exist or does not fit together, or a peer failed.
    """
    if wish.engine not in ENGINES:
        raise BadExperiment(f"engine = {wish.engine!r}: should be one of {listed(ENGINES)}")
    if weight is not None and not weight.all():
        # No peer shall learn of rows that count nothing, not even their number.
        held = weight > 0
        x, y, weight = x[held], y[held], weight[held]
        sites = None if sites is None else [site for site, counts in zip(sites, held, strict=True) if counts]
    graph = _graph(wish, len(y), sites)
    made = _study(wish, graph, x.shape[1] * wish.outputs)
    features = csr_array(x) if issparse(x) else pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])])
    table = replace(Table.of(features, y, "X"), weights=weight)
    given = Given(made, _parts(table, list(graph), sites, wish.seed))
    return _live(given) if wish.engine == "peers" else _of_lesson(given, learn(given))


def _study(wish: Wish, graph: nx.Graph, parameters: int) -> Study:
    """The study; "auto" is sums along a tree where links allow it: exact with any penalty, for sparse rows, and certified."""
    base = {**wish.tables} | {"seed": wish.seed, "topology": {"graph": f"{len(graph)} peers"}}
    if wish.tables["algorithm"] == {"kind": "auto"}:
        small = parameters < SMALL
        kind = next(
            name for name, m in METHODS.items() if m.averages and not m.private and m.curvature == small
        )
        how = {"averaging": "tree"} if "averaging" in KEYS[kind] else {}
        with suppress(Incompatible):
            return study(_suiting(base | {"algorithm": {"kind": kind} | how}, wish), graph=graph)
    return study(_suiting(base, wish), graph=graph)


def _suiting(tables: Mapping[str, Any], wish: Wish) -> Experiment:
    """The experiment of one model, whose loss, by its name or of the caller's own, has a task of the wish. Or BadExperiment."""
    experiment = changed(tables, wish.settings, wish.engine == "peers")
    if experiment.model.personal:
        raise BadExperiment(
            "personal = true gives each peer a model of its own, and an estimator has one for all rows: leave it out, or use "
            "gossipfl.simulate or run, whose result has the models in `personal`"
        )
    enlist(experiment)
    kind = experiment.model.kind
    task = LOSSES[kind]().task if kind in LOSSES else kind
    if task not in wish.tasks:
        fit = [name for name in LINKS if LOSSES[name]().task in wish.tasks]
        raise BadExperiment(
            f"loss = {brief(kind)!r} has the task {task!r}: set one of {listed(fit)}, or a class of your own with the task "
            f"{wish.tasks[0]!r}"
        )
    return experiment


def _graph(wish: Wish, rows: int, sites: Sequence[Any] | None) -> nx.Graph:
    if not (isinstance(wish.topology, str) and wish.topology in FAMILIES):
        return graph_of(wish.topology, wish.seed)
    if not isinstance(wish.peers, Integral) or wish.peers < 1:
        raise BadExperiment(f"peers = {wish.peers!r}: should be a whole number from 1 on")
    if sites is None:
        peers = max(1, min(wish.peers, rows // LEAST))
        try:
            return graph_of(shorthand(wish.topology, peers), wish.seed)
        except BadExperiment:
            # few rows are no mistake; a family without a graph of `wish.peers` is one, and raises here
            graph_of(shorthand(wish.topology, wish.peers), wish.seed)
            return graph_of(f"full:{peers}", wish.seed)
    names = sorted(set(map(text, sites)), key=natural)
    return named_graph(graph_of(shorthand(wish.topology, len(names)), wish.seed), names)


def _parts(table: Table, peers: list[str], sites: Sequence[Any] | None, seed: int) -> list[Table]:
    if sites is None:
        return partition(table, {"scheme": "iid"}, peers, seed)
    codes, found = pd.factorize(np.array([text(site) for site in sites], dtype=object))
    place = {site: code for code, site in enumerate(found)}
    owners = match(list(map(str, found)), peers, "sites")
    return [
        table.take(np.flatnonzero(codes == place[owner]), f"X, peer {peer!r}")
        for peer, owner in zip(peers, owners, strict=True)
    ]


def _of_lesson(given: Given, lesson: Lesson) -> Fitted:
    learned, lines = lesson
    outputs = given.study.loss.outputs(len(learned.schema.classes or ()))
    w = average(learned.models).double().numpy().reshape(-1, outputs)
    scale = learned.scales[0] if given.study.experiment.data.standardise == "gossip" else None
    slopes, intercept = original(w, len(learned.schema.features), scale)
    chosen = given.study.chosen(learned.selection)
    return Fitted(
        slopes, intercept, learned.rounds, learned.stopped, learned.why,
        learned.certificate and learned.certificate.distance, learned.messages_sent,
        learned.algorithm, learned.names, lines, {"l1": chosen.l1, "l2": chosen.l2},
    )  # fmt: skip


def _live(given: Given) -> Fitted:
    """The model that live peers learn, from the files of their run, which do not last."""
    lines: list[Progress] = []
    with tempfile.TemporaryDirectory(prefix="gossipfl-run-", ignore_cleanup_errors=True) as folder:
        learn_live(
            given,
            Path(folder) / "run",
            lambda event: lines.append(event) if isinstance(event, Progress) else None,
        )
        summary = read_summary(Path(folder) / "run")
        _all_there(summary)
        model = files.read_json(Path(folder) / "run" / "model.json")
    scale, how = None, model["standardisation"]
    if how:
        scale = Scale(*(np.array(list(how[moment].values())) for moment in ("mean", "deviation")))
    w = np.array([*model["coefficients"].values(), model["intercept"]]).reshape(
        len(model["coefficients"]) + 1, -1
    )
    slopes, intercept = original(w, len(w) - 1, scale)
    penalties, selection = {"l1": given.study.l1, "l2": given.study.l2}, summary.get("selection")
    if selection:
        penalties[selection["key"]] = selection["chosen"]
    return Fitted(
        slopes, intercept, summary["rounds"], summary["stopped"], summary["why"], summary.get("certificate"),
        summary["messages_sent"], summary["algorithm"], list(summary["rows"]), lines, penalties,
    )  # fmt: skip


def _all_there(summary: Mapping[str, Any]) -> None:
    """Refuse a model that lacks the rows of peers that died. Raises NetworkError."""
    lost = summary.get("lost", ())
    if lost and summary["stopped"] not in ("interrupted", "diverged"):
        who = "; ".join(f"peer {name} {summary['peer_status'][name]}" for name in lost[:8])
        more = "; ..." if len(lost) > 8 else ""
        raise NetworkError(
            f"{who}{more}: the model of the others lacks their rows; fit again, with fewer peers where memory is short"
        )


def original(w: Array, features: int, scale: Scale | None) -> tuple[Array, Array]:
    """Coefficients (p, outputs) and intercept (outputs,) in the units of the features, from parameters of standardised ones.

    The parameters are (p + 1, outputs), the intercept last; or (p, outputs).
    """
    slopes, intercept = w[:features], w[features] if len(w) > features else np.zeros(w.shape[1])
    if scale is None:
        return slopes, intercept
    slopes = slopes / np.where(scale.deviation > 0, scale.deviation, 1.0)[:, None]
    return slopes, intercept - scale.mean @ slopes
