"""Raw tables -> learning problems, one for each peer in this process; must not know which engine carries the agreement.

A live peer has one table, and the simulator all of them.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from msgspec.structs import replace
from torch import Tensor

from gossipfl.algorithms.sums import PLAIN, UNKNOWN, Carrier, Clipped, Noised
from gossipfl.algorithms.sums.carrier import Integers
from gossipfl.data import Rows, Schema, Table, census, encode
from gossipfl.data.encode import weighted, without
from gossipfl.data.fill import agree_fill
from gossipfl.data.names import did_you_mean, listed
from gossipfl.data.scale import Scale
from gossipfl.errors import BadData, NetworkError
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.disclosure import bearing, borne, guard, limit, scaled
from gossipfl.experiment.learning.groups import refuse_groups
from gossipfl.experiment.learning.schema import agree_schema
from gossipfl.experiment.learning.select import select
from gossipfl.experiment.learning.standardise import (
    Standard,
    agree_moments,
    constant,
    noised_scales,
    own_scales,
    standardise,
)
from gossipfl.experiment.learning.step import agree_steps
from gossipfl.experiment.study.method import asked, choose
from gossipfl.experiment.study.problem import make_problem
from gossipfl.experiment.study.study import Study
from gossipfl.models import Linear, Module, Preconditioned, Preconditioner
from gossipfl.models.preconditioned import curvature, nystrom, probes
from gossipfl.runs.facts import Facts, Moments


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
    # (W,), the total of a sum method's first sum from there, if it rode in the agreement.
    opening: Tensor | None = None
    carrier: Carrier = PLAIN
    allowance: float = math.inf  # the numbers whose totals may become known
    borne: str = ""  # a sentence for them
    fixed: Clipped = UNKNOWN  # for a private method

    @property
    def schema(self) -> Schema:
        return self.facts.schema

    @property
    def step(self) -> float:
        return self.facts.step

    @property
    def warning(self) -> str:
        """A sentence for what the model cannot learn about, because no training row shows it; "" if there is none."""
        levels = {f"{c}={level}" for c, names in self.schema.levels.items() for level in names}
        found = {
            f"one value in all training rows{'' if self.carrier is PLAIN else ' of each peer'}": [
                f for f in self.schema.constant if f not in levels
            ],
            "no training row with the level": [f for f in self.schema.constant if f in levels],
            "no training row of the class": self.schema.unseen,
        }
        parts = [f"{what}: {listed(names)}" for what, names in found.items() if names]
        constant = "; ".join(parts) + ". The model has the coefficient 0 there" if parts else ""
        return ". ".join(filter(None, (self.borne, constant)))

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
    schema = known.schema if known else _filled(study, tables, rows, agreement)
    encoded = [encode(table, schema) for table in tables]
    train, test = [pair[0] for pair in encoded], [pair[1] for pair in encoded]
    given = class_weights(study, schema)
    train = [census.counting(part, given) for part in train] if study.secure else train
    guarded = guard(study, given, train, rows, agreement)
    if guarded and guarded.flat:
        flat = dataclasses.replace(schema, constant=guarded.flat)
        train, test = ([without(r, flat) for r in part] for part in (train, test))
    refuse_groups(study, schema, train, rows, guarded, agreement)
    check_targets(study, train, rows)
    if known:
        mean_rows = known.mean_rows
        found = Standard(
            [known.scale] * len(train) if known.scale else own_scales(study, train), known.moments
        )
    else:
        schema, mean_rows, found = agree_sizes(study, schema, train, rows, agreement)
        train, test = ([weighted(r, schema) for r in part] for part in (train, test))
    scales = found.scales
    train, test = (
        [s.apply(r) if s else r for s, r in zip(scales, part, strict=True)] for part in (train, test)
    )
    if known is None:
        schema = dataclasses.replace(schema, constant=constant(study, train, schema, scales[0], agreement))
        train, test = ([without(r, schema) for r in part] for part in (train, test))
    bearing(study, schema, train, rows, guarded, agreement)
    selection = known.selection if known else select(study, schema, train, rows, agreement)
    study = study.chosen(selection)
    local = make_problem(study, schema, train, rows, mean_rows, device)
    kind, bounds = limit(study, schema, choose(study, local), local, guarded, agreement)
    problem: Linear | Module | Preconditioned = local
    curves: tuple[float, ...] = ()
    if study.experiment.algorithm.precondition:
        assert isinstance(local, Linear)
        directions = directions_for(study, schema, local)
        curves = known.curvature if known else agree_curvature(local, directions, agreement)
        problem = precondition(local, directions, curves)
    start = torch.zeros(len(tables), problem.width, dtype=study.dtype, device=device)
    if isinstance(local, Module):
        start += local.initial()
    scale = scales[0] if study.experiment.data.standardise == "gossip" else None
    moments = (tuple(scale.mean.tolist()), tuple(scale.deviation.tolist())) if scale else ((), ())
    certified = study.sums(kind) or study.certifies(kind)
    units = found.moments or (agree_moments(study, train, agreement) if certified else Moments())
    scaled(study, schema, train, rows, units, guarded, bounds is None or bounds.sums.curved)
    step, fallback_step, opening = agree_steps(study, kind, problem, units, start, agreement, known)
    if known:
        facts = replace(known, step=step, fallback_step=fallback_step)
    else:
        facts = Facts(schema, mean_rows, step, fallback_step, *moments, curves, exchanges(), units, selection)
    bearable = borne(study, guarded, bounds, selection.numbers if selection else 0)
    made = Prepared(facts, scales, train, test, kind, problem, start, opening, agreement.carrier, *bearable)
    return noised(study, made, agreement)


def _filled(study: Study, tables: Sequence[Table], rows: Tensor, agreement: Agreement) -> Schema:
    """The schema of all peers, with what replaces missing values."""
    schema, secure = agree_schema(study, tables, rows, agreement), study.secure and not study.private
    fewest = study.experiment.privacy.min_peers if secure else 0
    missing = study.experiment.data.missing
    fill = agree_fill(tables, schema, missing, agreement.total, agreement.union, fewest)
    return dataclasses.replace(schema, fill=fill)


def noised(study: Study, made: Prepared, agreement: Agreement) -> Prepared:
    """The same with private sums, as many as the rows are worth, if the study is private."""
    if not study.private:
        return made
    promise, rows = study.promise, made.facts.mean_rows * agreement.peers
    kind, wanted = asked(study, made.problem.width)
    fixed = Clipped(rows, promise.clip, promise.deviation(wanted))
    assert agreement.exact, "private sums are secure"
    assert agreement.noise, "private sums have noise"
    integers, each = Integers(agreement.peers, agreement.exact.masks), promise.each(wanted.sums)
    carrier = Noised(integers, agreement.noise, each, wanted.norm)
    said = (
        f"private sums ({kind}, {wanted.sums} of {wanted.numbers:,} numbers): after all of them a row is hidden by epsilon = "
        f"{promise.epsilon:g} at delta = {promise.delta:g}, though {promise.colluders} of {promise.peers} peers collude; "
        f"about {rows:,.0f} training rows"
    )
    return dataclasses.replace(made, carrier=carrier, fixed=fixed, borne=said)


def agree_sizes(
    study: Study, schema: Schema, train: Sequence[Rows], rows: Tensor, agreement: Agreement
) -> tuple[Schema, float, Standard]:
    """The schema with its class weights, the mean weight of the training rows of a peer, and scales."""
    if study.private:
        rows_of_all = agreement.count([len(part.y) for part in train])
        return (
            schema,
            rows_of_all / agreement.peers,
            noised_scales(study, schema, train, rows_of_all, agreement),
        )
    given, balanced = class_weights(study, schema), study.experiment.model.class_weight == "balanced"
    train = [weighted(part, given) for part in train]
    for part, row in zip(train, rows.tolist(), strict=True):
        if part.total == 0:
            what = "no training rows" if not len(part.y) else "training rows of weight 0 only"
            raise BadData(f"peer {study.names[row]} has {what}: give it some, or remove it from the topology")
    classes = len(schema.classes or ())
    own = [
        [
            part.total,
            *(np.bincount(part.y.astype(np.int64), part.weight, classes).tolist() if balanced else ()),
        ]
        for part in train
    ]
    (weight, *counts), found = standardise(study, train, rows, own, agreement)
    if not balanced:
        return given, weight / agreement.peers, found
    seen = classes - len(schema.unseen)
    factors = tuple(sum(counts) / (seen * count) if count else 0.0 for count in counts)
    return dataclasses.replace(schema, class_weights=factors), sum(counts) / agreement.peers, found


def class_weights(study: Study, schema: Schema) -> Schema:
    """The schema with the class weights that the experiment gives. Raises BadData if a class does not exist."""
    given = study.experiment.model.class_weight
    if not isinstance(given, dict):
        return schema
    for name in given:
        if name not in (schema.classes or ()):
            raise BadData(
                f"model.class_weight: the peers have no class {name!r}{did_you_mean(name, schema.classes or ())}"
            )
    return dataclasses.replace(
        schema, class_weights=tuple(given.get(name, 1.0) for name in schema.classes or ())
    )


def agree_curvature(problem: Linear, directions: Tensor, agreement: Agreement) -> tuple[float, ...]:
    """The curvature of the pooled objective along `directions` (d, r), for a preconditioner, (d r)."""
    curves = agreement.mean(curvature(problem, directions.to(problem.penalised)).double().cpu())[0]
    return tuple(curves.tolist())


def precondition(problem: Linear, directions: Tensor, curves: Sequence[float]) -> Preconditioned:
    """The problem in coordinates in which its directions of largest mean curvature over all peers are flatter.

    Raises:
        NetworkError: `curves`, which a neighbour may have sent, has a wrong length.
    """
    if len(curves) != directions.numel():
        raise NetworkError(
            f"the agreed curvature has {len(curves)} numbers, but this study needs {directions.numel()}: use the same "
            "experiment file at all peers"
        )
    made = nystrom(directions, torch.tensor(curves, dtype=torch.float64).view(-1, problem.width).T)
    like, free = problem.penalised, directions.any(1)[:, None]
    return Preconditioned(
        problem, Preconditioner((made.directions * free).to(like), made.curvatures.to(like))
    )


def directions_for(study: Study, schema: Schema, problem: Linear) -> Tensor:
    """The directions of a preconditioner, (d, r), without the constant features."""
    free = torch.ones(problem.width // problem.outputs, problem.outputs, dtype=torch.float64)
    free[: len(schema.features)] = torch.tensor([[float(f not in schema.constant)] for f in schema.features])
    return probes(free.flatten(), study.experiment.algorithm.precondition, study.experiment.seed)


def check_targets(study: Study, train: Sequence[Rows], rows: Tensor) -> None:
    """Refuse negative targets for a Poisson model. Raises BadData."""
    if study.experiment.model.kind == "poisson":
        for row, part in zip(rows.tolist(), train, strict=True):
            if (part.y < 0).any():
                raise BadData(
                    f'peer {study.names[row]}: some targets are negative, and model.kind = "poisson" needs counts: use '
                    'model.kind = "linear", or counts as the target'
                )
