"""From raw tables to learning problems, as many as are held here; must not know which engine carries the agreement.

A live peer does this with its one table, the simulator with all of them, by the same code.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from msgspec.structs import replace
from torch import Tensor

from gossipfl.algorithms import METHODS, robust
from gossipfl.data import Rows, Schema, Table, classes, encode, levels
from gossipfl.data.scale import Scale
from gossipfl.errors import BadData, Incompatible, NetworkError
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.standardise import standardise
from gossipfl.experiment.study.method import choose, momentum
from gossipfl.experiment.study.problem import make_problem
from gossipfl.experiment.study.study import Study
from gossipfl.models import Linear, Module, Preconditioned, Preconditioner, Problem
from gossipfl.models.preconditioned import curvature, nystrom, probes
from gossipfl.runs.facts import Facts

COMPRESSED = 0.3  # of 1/L, which is what BEER bears at a tenth of the numbers
_COLUMN, _CLASS = "column", "class"


@dataclass(frozen=True)
class Prepared:
    """The peers held here, ready to learn.

    The facts are the same at every peer, and so are the scales where they were gossiped.
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
        """A model (1, d) that a peer had reached, as a start. Raises NetworkError where it has another width."""
        if x.shape[1] != self.start.shape[1]:
            raise NetworkError(
                f"a model of {x.shape[1]} parameters to go on from, but this study has {self.start.shape[1]}: "
                "is it the same experiment?"
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
    """Agree with all peers on what is needed, and make the problems of the peers held here.

    Args:
        study: what is to be learned.
        tables: the raw rows of the peers held here, their test rows marked.
        rows: these peers' numbers, (n,) int64.
        agreement: consensus among all peers.
        device: where to compute.
        known: what was agreed already: then nobody is asked. Where its step is too long for the rows here, the facts that are
            returned have a shorter one.
        exchanges: how many have been made, of which learning begins to count its own.

    Raises:
        BadData: rows that cannot be learned from, naming the peer.
    """
    schema = known.schema if known else agree_schema(study, tables, agreement)
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
    made = make_problem(study, schema, train, rows, mean_rows, device)
    kind, step = choose(study, made), 0.0
    problem: Linear | Module | Preconditioned = made
    told: tuple[float, ...] = ()
    if study.experiment.algorithm.precondition:
        told = known.curvature if known else agree_curvature(study, made, agreement)
        problem = precondition(study, made, told)
    most = largest(agreement, alone=known is not None)
    if study.experiment.algorithm.step != "auto":
        step = study.experiment.algorithm.step
    else:
        own = auto_step(study, kind, problem, most)
        step = min(own, known.step) if known else own
    start = torch.zeros(len(tables), problem.width, dtype=study.dtype, device=device)
    if isinstance(made, Module):
        start += made.initial()
    scale = scales[0] if study.experiment.data.standardise == "gossip" else None
    ends = (tuple(scale.mean.tolist()), tuple(scale.deviation.tolist())) if scale else ((), ())
    fallback_step = 0.0
    if METHODS[kind].averages and study.loss.curvature < float("inf"):
        fallback_step = auto_step(study, robust(penalty=bool(study.experiment.model.l1)), problem, most)
    if known:
        facts = replace(known, step=step, fallback_step=min(fallback_step, known.fallback_step))
    else:
        facts = Facts(schema, mean_rows, step, fallback_step, *ends, told, exchanges())
    return Prepared(facts, scales, train, test, kind, problem, start)


def agree_size(study: Study, train: Sequence[Rows], rows: Tensor, agreement: Agreement) -> float:
    """How many training rows a peer has, on average over all."""
    sizes = torch.tensor([[float(len(r.y))] for r in train], dtype=torch.float64)
    for size, row in zip(sizes.flatten().tolist(), rows.tolist(), strict=True):
        if size == 0:
            raise BadData(
                f"peer {study.names[row]} has no training rows: give it some, or leave it out of the topology"
            )
    return round(float(agreement.mean(sizes)[0]) * agreement.peers) / agreement.peers


def agree_curvature(study: Study, problem: Linear | Module, agreement: Agreement) -> tuple[float, ...]:
    """What a preconditioner is made of: how the pooled objective curves along a few directions, (d rank)."""
    assert isinstance(problem, Linear)
    rank = min(study.experiment.algorithm.precondition, problem.width)
    directions = probes(problem.width, rank, study.experiment.seed)
    told = agreement.mean(curvature(problem, directions.to(problem.penalised)).double().cpu())[0]
    return tuple(told.tolist())


def precondition(study: Study, problem: Linear | Module, told: Sequence[float]) -> Preconditioned:
    """The problem in coordinates in which its steepest directions, on average over all peers, are flatter.

    Raises:
        NetworkError: what a neighbour told of them is not as long as it has to be.
    """
    assert isinstance(problem, Linear)
    rank = min(study.experiment.algorithm.precondition, problem.width)
    if len(told) != rank * problem.width:
        raise NetworkError(
            f"{len(told)} numbers of curvature, but this study has {rank * problem.width}: is it the same experiment?"
        )
    directions = probes(problem.width, rank, study.experiment.seed)
    made = nystrom(directions, torch.tensor(told, dtype=torch.float64).view(rank, problem.width).T)
    like = problem.penalised
    return Preconditioned(problem, Preconditioner(made.directions.to(like), made.curvatures.to(like)))


def largest(agreement: Agreement, alone: bool) -> Callable[[Problem], float]:
    """How to find the largest smoothness constant: of all peers or, `alone`, of those held here."""

    def found(problem: Problem) -> float:
        own = problem.smoothness()[:, None].cpu()
        return float(own.max() if alone else agreement.maximum(own)[0])

    return found


def auto_step(study: Study, kind: str, problem: Problem, largest: Callable[[Problem], float]) -> float:
    """What step = "auto" is for that kind: a whole step, the first step of Pegasos, or as much of 1/L as the method tolerates.

    L is the largest smoothness constant of any peer.
    """
    method, e = METHODS[kind], study.experiment
    if method.step == "whole":
        return 1.0
    if method.step == "pegasos":
        return 1.0 / e.model.l2
    if e.model.kind in ("svm", "poisson", "module"):
        raise Incompatible(
            f'algorithm.step = "auto" is 1/L for the algorithm "{kind}", and the model has no L: give algorithm.step a number'
        )
    part = method.stride if e.channel.compress == "none" else min(method.stride, COMPRESSED)
    part *= 1.0 - momentum(study, kind)
    if method.tracks:  # what they track is sent once in so many rounds
        part /= e.algorithm.local_steps
    return part / largest(problem)


def agree_schema(study: Study, tables: Sequence[Table], agreement: Agreement) -> Schema:
    """The columns, category levels and classes of all peers."""
    categorical = study.experiment.data.categorical
    labelled = is_classification(study)
    words: list[set[str]] = []
    for table in tables:
        own = [[_COLUMN, c, level] for c, found in levels(table, categorical).items() for level in found]
        own += [[_CLASS, c] for c in classes(table)] if labelled else []
        words.append({json.dumps(word) for word in own})
    union = [json.loads(word) for word in agreement.union(words)] if labelled or categorical else []
    everything: dict[str, set[str]] = {column: set() for column in categorical}
    for kind, *word in union:
        if kind == _COLUMN:
            everything.setdefault(word[0], set()).add(word[1])
    names = {word[0] for kind, *word in union if kind == _CLASS} if labelled else None
    schema = Schema.agree(tables[0].columns, everything, names)
    mark = float(schema.fingerprint())
    most = agreement.maximum(torch.tensor([[mark, -mark]] * len(tables), dtype=torch.float64))[0]
    if float(most[0]) != -float(most[1]):
        raise BadData(
            f"the peers do not have the same columns: {tables[0].where} has {', '.join(tables[0].columns[:20])}; "
            "give every peer's file the same columns in the same order"
        )
    return schema


def is_classification(study: Study) -> bool:
    """Whether the target is a class."""
    return study.experiment.model.kind != "module" and study.loss.task in ("binary", "multiclass")


def check_targets(study: Study, train: Sequence[Rows], rows: Tensor) -> None:
    """Refuse counts below zero: no Poisson model has them."""
    if study.experiment.model.kind == "poisson":
        for row, part in zip(rows.tolist(), train, strict=True):
            if (part.y < 0).any():
                raise BadData(
                    f"peer {study.names[row]}: a Poisson model counts, and some targets are negative"
                )
