"""The peers' models -> the summary and the result files; must not know which engine learned them."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from msgspec.structs import asdict
from torch import Tensor

from gossipfl.algorithms import METHODS
from gossipfl.data import Rows, Table
from gossipfl.data.scale import standardised
from gossipfl.engine import relative_distance
from gossipfl.errors import BadExperiment
from gossipfl.experiment.evaluation.evaluate import evaluate, own
from gossipfl.experiment.evaluation.personal import personalise
from gossipfl.experiment.evaluation.verdict import AGREED
from gossipfl.experiment.learning.tables import notes
from gossipfl.experiment.study.problem import make_problem
from gossipfl.experiment.study.study import Study
from gossipfl.models import Linear, Module, pooled_optimum
from gossipfl.models.margins import scorer
from gossipfl.runs import folder as files
from gossipfl.runs.attempt import Kept
from gossipfl.runs.events import Comparing
from gossipfl.runs.learned import Certificate, Learned, Summary
from gossipfl.runs.summary import FORMAT
from gossipfl.trained import describe


class Judged(NamedTuple):
    """The summary, and its inputs: the problem of the present peers, the mean of their models, the pooled optimum."""

    summary: Summary
    problem: Linear | Module
    mean: Tensor  # (d,)
    optimum: Tensor | None  # (d,)
    own: Tensor | None  # (n, d), the peers' personal models


def judge(study: Study, learned: Learned) -> Judged:
    """The summary of a run: whether the peers hold one model, and its metrics. Reads and writes no file."""
    study = study.chosen(learned.selection)
    e, train, test = study.experiment, learned.train, learned.test
    rows = torch.tensor([study.names.index(name) for name in learned.names])
    mean_rows = sum(part.total for part in train) / len(train)
    problem = make_problem(study, learned.schema, train, rows, mean_rows)

    mean = average(learned.models)
    consensus = apart(learned.models, mean)
    limit = e.stop.tolerance or AGREED
    finite = learned.stopped != "diverged" and bool(mean.isfinite().all())
    certificate = learned.certificate or Certificate()
    summary: Summary = {
        "format": FORMAT,
        "name": e.name,
        "engine": learned.engine,
        "algorithm": learned.algorithm,
        "one_model": METHODS[learned.algorithm].rounds,
        "topology": e.topology.graph,
        "model": e.model.kind,
        "peers": len(learned.names),
        "parameters": problem.width,
        "step": learned.step,
        "rounds": learned.rounds,
        "repairs": learned.repairs,
        "stopped": learned.stopped,
        "why": learned.why,
        "standardised": standardised(e.data.standardise, learned.scales[0]),
        "constant": list(learned.schema.constant),
        "unseen": list(learned.schema.unseen),
        "agreed": finite and consensus < limit and min(2, len(study.names)) <= len(learned.names),
        "sides": learned.sides,
        "consensus_distance": consensus if finite else None,
        "certificate": certificate.distance,
        "certified": certified(study, learned, certificate),
        "distance_to_optimum": None,
        "loss": float(problem.loss(mean.expand(len(learned.names), -1)).mean()) if finite else None,
        "test": _evaluate(problem, e.model.kind, mean, test, learned.names) if finite else None,
        "scores": learned.scores,
        "selection": asdict(learned.selection) if learned.selection else None,
        "budget": learned.budget,
        "messages_sent": learned.messages_sent,
        "bytes_sent": learned.bytes_sent,
        "seconds": {"startup": learned.startup, "learning": learned.seconds},
        "cpu_seconds_per_peer_round": learned.cpu / max(1, learned.rounds) / len(learned.names),
        "peer_status": learned.status,
        "rows": {
            n: {"train": len(a.y), "test": len(b.y)}
            for n, a, b in zip(learned.names, train, test, strict=True)
        },
    }
    if learned.kept is not None and summary["test"]:
        summary["test"] |= own(e.model.kind, learned.kept, test)
    optimum, own_models = None, None
    if e.model.personal and finite and isinstance(problem, Linear):
        own_models, summary["personal"] = personalise(study, learned, problem, mean)
    if e.reference and isinstance(problem, Linear):
        began = time.monotonic()
        optimum, why = _optimum(problem)
        summary["seconds"]["reference"] = time.monotonic() - began
        summary["pooled"] = None
        if optimum is None:
            summary["no_reference"] = why
        else:
            optimum = optimum.to(learned.models.dtype)
            summary["distance_to_optimum"] = apart(learned.models, optimum) if finite else None
            summary["pooled"] = {
                "loss": float(problem.loss(optimum.expand(len(learned.names), -1)).mean()),
                "test": _evaluate(problem, e.model.kind, optimum, test, learned.names),
            }
    return Judged(summary, problem, mean, optimum, own_models)


def average(models: Tensor) -> Tensor:
    """The mean (d,) of models (n, d); exact where all are equal."""
    return models[0] + (models - models[0]).mean(0)


def certified(study: Study, learned: Learned, found: Certificate) -> Summary:
    """What is known of the certificate: whether it decides on the exit code, why there is none, and what it took."""
    kind, linear = learned.algorithm, study.experiment.model.kind not in ("svm", "module")
    return {
        "decides": study.certifies(kind) and study.exact(kind),
        "biased": METHODS[kind].rounds and linear and not METHODS[kind].exact,
        "why": found.why or study.uncertified,
        "endless": found.endless,
        "rounding": found.rounding,
        "attempts": learned.attempts,
        "exchanges": learned.exchanges,
        "newton": found.newton,
        "spread": found.spread,
    }


def preface(study: Study) -> Iterator[Comparing]:
    """Say that the pooled optimum will be computed, if it will. An interruption while this is shown loses nothing."""
    if study.experiment.reference:
        try:
            yield Comparing()
        except KeyboardInterrupt:
            return


def finish(study: Study, tables: Sequence[Table], learned: Learned, folder: Path) -> Summary:
    """Evaluate the models, write them, and return the summary. "unwritten" in it lists the files that could not be written.

    Args:
        study: the study of the run.
        tables: the raw rows of the peers, in the order of `learned.names`.
        learned: the models and figures.
        folder: the run folder.
    """
    keep, judged = Kept(folder), judge(study, learned)
    if judged.optimum is not None:
        keep("optimum.safetensors", files.write_tensor, judged.optimum)
    _write(study, tables, learned, judged, keep)
    if told := notes(tables, learned.names):
        judged.summary["notes"] = told
    if keep.unwritten:
        judged.summary["unwritten"] = {"files": keep.unwritten, "why": keep.why}
    return judged.summary


def conclude(summary: Summary, folder: Path) -> Summary:
    """Write the summary, and return it; if it cannot be written, "unwritten" in the result lists it, too."""
    keep = Kept(folder)
    keep("summary.json", files.write_json, summary)
    if not keep.unwritten:
        return summary
    before = summary.get("unwritten", {"files": []})["files"]
    return summary | {"unwritten": {"files": before + keep.unwritten, "why": keep.why}}


def _evaluate(
    problem: Linear | Module, kind: str, x: Tensor, test: Sequence[Rows], names: Sequence[str]
) -> Any:
    return evaluate(kind, scorer(problem, x), test, names) if any(len(part.y) for part in test) else None


def apart(models: Tensor, x: Tensor) -> float:
    """max_i |x_i - x| / |x|; infinite if x is 0 and not all x_i are."""
    return float(relative_distance(models, x[None]).max())


def _optimum(problem: Linear) -> tuple[Tensor | None, str]:
    """The optimum of the present peers' data, (d,); None and the reason if there is none, which must not cost the result."""
    try:
        return pooled_optimum(problem), ""
    except BadExperiment as none:
        return None, str(none)
    except KeyboardInterrupt:
        return None, "its computation was interrupted"


def _write(study: Study, tables: Sequence[Table], learned: Learned, judged: Judged, keep: Kept) -> None:
    e, synced = study.experiment, learned.engine != "simulator"  # a simulation can be repeated
    keep("model.safetensors", files.write_tensor, judged.mean)
    for name, table, x in zip(learned.names, tables, learned.models, strict=True):
        keep(f"peers/{name}/model.safetensors", files.write_tensor, x, synced)
        keep(f"peers/{name}/rows.json", files.write_rows, table, synced)
    if not isinstance(judged.problem, Linear):
        return
    shared, outputs = learned.scales[0] if e.data.standardise == "gossip" else None, judged.problem.outputs
    keep("model.json", files.write_model, describe(e, judged.mean, learned.schema, outputs, shared))
    for name, x in zip(
        learned.names, [] if judged.own is None else judged.own, strict=judged.own is not None
    ):
        keep(
            f"peers/{name}/model.json",
            files.write_model,
            describe(e, x, learned.schema, outputs, shared),
            synced,
        )
