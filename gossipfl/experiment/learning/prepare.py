"""Raw tables -> learning problems, one for each peer in this process; must not know which engine carries the agreement.

A live peer has one table, and the simulator all of them.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from msgspec.structs import replace
from torch import Tensor

from gossipfl.algorithms import METHODS, robust
from gossipfl.data import Rows, Schema, Table, classes, encode, levels
from gossipfl.data.names import natural
from gossipfl.data.scale import Scale
from gossipfl.errors import BadData, Incompatible, NetworkError
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.standardise import standardise
from gossipfl.experiment.study.method import choose, momentum, stride
from gossipfl.experiment.study.problem import make_problem
from gossipfl.experiment.study.study import Study
from gossipfl.models import Linear, Module, Preconditioned, Preconditioner, Problem
from gossipfl.models.preconditioned import curvature, nystrom, probes
from gossipfl.runs.facts import Facts
from gossipfl.topology.names import several

COMPRESSED = 0.3  # the fraction of 1/L with which BEER converges when a tenth of the numbers is sent
_COLUMN, _CLASS = "column", "class"
TOLD = 5  # of the columns that a peer lacks


@dataclass(frozen=True)
class Prepared:
    """The peers in this process, ready to learn.

    The facts are the same at every peer; so are the scales, if the peers gossiped them.
    """

    facts: Facts
    scales: list[Scale | None]
    train: list[Rows]
    test: list[Rows]
    kind: str  # of algorithm
    problem: Linear | Module | Preconditioned
    start: Tensor  # (n, d)

    @property
    def schema(self) -> Schema:
        return self.facts.schema

    @property
    def step(self) -> float:
        return self.facts.step

    def continued(self, x: Tensor) -> Tensor:
        """A peer's earlier model (1, d) as a start. Raises NetworkError if it has another width."""
        if x.shape[1] != self.start.shape[1]:
            raise NetworkError(
                f"the model to continue from has {x.shape[1]} parameters, but this study has {self.start.shape[1]}: "
                "use the same experiment file at all peers"
            )
        return x.to(self.start)


def prepare(
    study: Study,
    tables: Sequence[Table],
    rows: Tensor,
    agreement: Agreement,
    device: str = "cpu",
    known: Facts | None = None,
    exchanges: Callable[[], int] = lambda: 0,
) -> Prepared:
    """Agree with all peers on the facts, and make the problems of the peers in this process.

    Args:
        study: what to learn.
        tables: the raw rows of the peers in this process, with test rows marked.
        rows: the numbers of these peers, (n,) int64.
        agreement: consensus among all peers.
        device: of the problems.
        known: facts from an earlier agreement; then no peer is asked. If their step is too long for the rows here, the returned
            facts have a shorter step.
        exchanges: the number of exchanges so far; it becomes the origin of learning.

    Raises:
        BadData: a peer cannot learn from its rows; the message names the peer.
    """
    schema = known.schema if known else agree_schema(study, tables, rows, agreement)
    encoded = [encode(table, schema) for table in tables]
    train, test = [pair[0] for pair in encoded], [pair[1] for pair in encoded]
    mean_rows = known.mean_rows if known else agree_size(study, train, rows, agreement)
    check_targets(study, train, rows)
    shared = known.scale if known else None
    scales: list[Scale | None] = [shared] * len(train)
    if shared is None:
        scales = standardise(study, train, rows, mean_rows, agreement)
    train, test = (
        [s.apply(r) if s else r for s, r in zip(scales, part, strict=True)] for part in (train, test)
    )
    local = make_problem(study, schema, train, rows, mean_rows, device)
    kind, step = choose(study, local), 0.0
    problem: Linear | Module | Preconditioned = local
    curves: tuple[float, ...] = ()
    if study.experiment.algorithm.precondition:
        curves = known.curvature if known else agree_curvature(study, local, agreement)
        problem = precondition(study, local, curves)
    most = largest(agreement, alone=known is not None)
    if study.experiment.algorithm.step != "auto":
        step = study.experiment.algorithm.step
    else:
        own = auto_step(study, kind, problem, most)
        step = min(own, known.step) if known else own
    start = torch.zeros(len(tables), problem.width, dtype=study.dtype, device=device)
    if isinstance(local, Module):
        start += local.initial()
    scale = scales[0] if study.experiment.data.standardise == "gossip" else None
    moments = (tuple(scale.mean.tolist()), tuple(scale.deviation.tolist())) if scale else ((), ())
    fallback_step = 0.0
    if METHODS[kind].averages and study.loss.curvature < float("inf"):
        fallback_step = auto_step(study, robust(penalty=bool(study.experiment.model.l1)), problem, most)
    if known:
        facts = replace(known, step=step, fallback_step=min(fallback_step, known.fallback_step))
    else:
        facts = Facts(schema, mean_rows, step, fallback_step, *moments, curves, exchanges())
    return Prepared(facts, scales, train, test, kind, problem, start)


def agree_size(study: Study, train: Sequence[Rows], rows: Tensor, agreement: Agreement) -> float:
    """The mean number of training rows of all peers."""
    sizes = torch.tensor([[float(len(r.y))] for r in train], dtype=torch.float64)
    for size, row in zip(sizes.flatten().tolist(), rows.tolist(), strict=True):
        if size == 0:
            raise BadData(
                f"peer {study.names[row]} has no training rows: give it some, or remove it from the topology"
            )
    return round(float(agreement.mean(sizes)[0]) * agreement.peers) / agreement.peers


def agree_curvature(study: Study, problem: Linear | Module, agreement: Agreement) -> tuple[float, ...]:
    """The curvature of the pooled objective along `rank` directions, (d rank), for a preconditioner."""
    assert isinstance(problem, Linear)
    rank = min(study.experiment.algorithm.precondition, problem.width)
    directions = probes(problem.width, rank, study.experiment.seed)
    curves = agreement.mean(curvature(problem, directions.to(problem.penalised)).double().cpu())[0]
    return tuple(curves.tolist())


def precondition(study: Study, problem: Linear | Module, curves: Sequence[float]) -> Preconditioned:
    """The problem in coordinates in which its directions of largest mean curvature over all peers are flatter.

    Raises:
        NetworkError: `curves`, which a neighbour may have sent, has a wrong length.
    """
    assert isinstance(problem, Linear)
    rank = min(study.experiment.algorithm.precondition, problem.width)
    if len(curves) != rank * problem.width:
        raise NetworkError(
            f"the agreed curvature has {len(curves)} numbers, but this study needs {rank * problem.width}: use the same "
            "experiment file at all peers"
        )
    directions = probes(problem.width, rank, study.experiment.seed)
    made = nystrom(directions, torch.tensor(curves, dtype=torch.float64).view(rank, problem.width).T)
    like = problem.penalised
    return Preconditioned(problem, Preconditioner(made.directions.to(like), made.curvatures.to(like)))


def largest(agreement: Agreement, alone: bool) -> Callable[[Problem], float]:
    """A function for the largest smoothness constant: of all peers or, if `alone`, of the peers in this process."""

    def found(problem: Problem) -> float:
        own = problem.smoothness()[:, None].cpu()
        return float(own.max() if alone else agreement.maximum(own)[0])

    return found


def auto_step(study: Study, kind: str, problem: Problem, largest: Callable[[Problem], float]) -> float:
    """The value of step = "auto" for a kind of algorithm: a full step, the first step of Pegasos, or the method's part of 1/L.

    L is the largest smoothness constant of all peers.
    """
    method, e = METHODS[kind], study.experiment
    if method.step == "whole":
        return 1.0
    if method.step == "pegasos":
        return 1.0 / e.model.l2
    if e.model.kind in ("svm", "poisson", "module"):
        raise Incompatible(
            f'algorithm.step = "auto" is 1/L for algorithm "{kind}", and model.kind = "{e.model.kind}" has no L: set a number, '
            "for example algorithm.step = 0.01"
        )
    part = stride(study, kind)
    if e.channel.compress != "none":
        part = min(part, COMPRESSED)
    return part * (1.0 - momentum(study, kind)) / largest(problem)


def agree_schema(study: Study, tables: Sequence[Table], rows: Tensor, agreement: Agreement) -> Schema:
    """The columns, category levels and classes of all peers."""
    data, labelled = study.experiment.data, is_classification(study)
    columns = agree_columns(study, tables, rows, agreement)
    words: list[set[str]] = []
    for table in tables:
        own = [[_COLUMN, c, level] for c, found in levels(table, data.categorical).items() for level in found]
        own += [[_CLASS, c] for c in classes(table)] if labelled else []
        words.append({json.dumps(word) for word in own})
    union = [json.loads(word) for word in agreement.union(words)] if labelled or data.categorical else []
    everything: dict[str, set[str]] = {column: set() for column in data.categorical}
    for kind, *word in union:
        if kind == _COLUMN:
            everything.setdefault(word[0], set()).add(word[1])
    names = {word[0] for kind, *word in union if kind == _CLASS} if labelled else None
    return Schema.agree(columns, everything, names, data.positive)


def agree_columns(study: Study, tables: Sequence[Table], rows: Tensor, agreement: Agreement) -> Sequence[str]:
    """The columns, in the order of the tables if it is the same at all peers; otherwise in natural order.

    Raises:
        BadData: a peer lacks a column that another has; the message names column and peers.
    """
    marks = [[f(table.columns) for f in (_mark, lambda names: _mark(sorted(names)))] for table in tables]
    own = torch.tensor([[*mark, *(-m for m in mark)] for mark in marks], dtype=torch.float64)
    ordered, same, *least = agreement.maximum(own)[0].tolist()
    if [ordered, same] == [-m for m in least]:
        return tables[0].columns
    if same == -least[1]:
        return sorted(tables[0].columns, key=natural)
    every = agreement.union([table.columns for table in tables])
    lacks = [sorted(every - set(table.columns), key=natural)[:TOLD] for table in tables]
    named = [study.names[row] for row in rows.tolist()]
    told = agreement.union([[json.dumps([c, me]) for c in own] for me, own in zip(named, lacks, strict=True)])
    lacking: dict[str, list[str]] = {}
    for column, peer in (json.loads(word) for word in told):
        lacking.setdefault(column, []).append(peer)
    first = sorted(lacking, key=natural)[:TOLD]  # of these all peers have told whether they lack them
    parts = []
    for name in first:
        without = [peer for peer in study.names if peer in lacking[name]]
        others = [peer for peer in study.names if peer not in lacking[name]]
        parts.append(f"column {name!r} is at {several(others)}, but not at {several(without)}")
    raise BadData(
        f"the peers have different columns: {'; '.join(parts)}. Leave columns out with drop = "
        f"{json.dumps(first, ensure_ascii=False)} at all peers, or give all files the same columns"
    )


def _mark(columns: Sequence[str]) -> float:
    """A number that is the same for equal columns, almost never for others."""
    return float(Schema(tuple(columns), {}, None).fingerprint())


def is_classification(study: Study) -> bool:
    """Whether the target is a class."""
    return study.experiment.model.kind != "module" and study.loss.task in ("binary", "multiclass")


def check_targets(study: Study, train: Sequence[Rows], rows: Tensor) -> None:
    """Refuse negative targets for a Poisson model. Raises BadData."""
    if study.experiment.model.kind == "poisson":
        for row, part in zip(rows.tolist(), train, strict=True):
            if (part.y < 0).any():
                raise BadData(
                    f'peer {study.names[row]}: some targets are negative, and model.kind = "poisson" needs counts: use '
                    'model.kind = "linear", or counts as the target'
                )
