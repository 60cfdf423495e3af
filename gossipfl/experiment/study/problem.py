"""The local problems of a study: a linear model or the user's torch module; must not know engines."""

import dataclasses
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import issparse

from gossipfl.data import Rows, Schema
from gossipfl.data.names import NUMBER
from gossipfl.data.table import FEW
from gossipfl.errors import BadData, BadExperiment, GossipError
from gossipfl.experiment.study.study import Study
from gossipfl.models import Linear, Loss, Module
from gossipfl.tensors import Tensor, torch


def make_problem(
    study: Study, schema: Schema, train: Sequence[Rows], rows: Tensor, mean_rows: float, device: str = "cpu"
) -> Linear | Module:
    """The local problems of the peers in this process, computed on `device`."""
    model, method = study.experiment.model, study.experiment.algorithm
    batch = None if method.batch == "full" else method.batch
    if model.kind == "module":
        try:
            module, loss = load_module(str(model.module), study.experiment.seed)
            module = module.to(device)
            problem = Module(
                module, loss, [as_losses_want(module, r) for r in train], l2=study.l2, mean_rows=mean_rows, rows=rows,
                seed=study.experiment.seed, batch=batch, dtype=study.dtype,
            )  # fmt: skip
            problem.loss(problem.initial().expand(len(train), -1))
        except GossipError:
            raise
        except Exception as error:  # whatever a user's own code raises
            raise BadExperiment(
                f"model.module = {model.module}: module or loss cannot take these rows of {len(schema.features)} "
                f"features: {type(error).__name__}: {error}"
            ) from error
        return problem
    shards = [(r.x, r.y) for r in train]
    weights = [r.weight for r in train if r.weight is not None]
    offsets = [r.offset for r in train if r.offset is not None]
    labels = len(schema.classes or ())
    if study.loss.task == "binary" and labels != 2:
        raise BadData(
            f'model.kind = "{model.kind}" needs two classes, and the peers have {labels}: '
            f"{', '.join((schema.classes or ())[:8])}; {_instead(schema.classes or ())}"
        )
    return Linear(
        shards, loss_of(study, schema), outputs=study.loss.outputs(labels), l2=study.l2, l1=study.l1, mean_rows=mean_rows,
        rows=rows, seed=study.experiment.seed, batch=batch, intercept=model.intercept, dtype=study.dtype,
        device=device, weights=weights or None, offsets=offsets or None,
    )  # fmt: skip


def loss_of(study: Study, schema: Schema) -> Loss:
    """The loss of a linear model, which knows how many classes have no training rows."""
    return dataclasses.replace(study.loss, unseen=len(schema.unseen)) if schema.unseen else study.loss  # type: ignore[type-var]


def _instead(classes: Sequence[str]) -> str:
    """The advice for a target with these values instead of two classes."""
    whole = all(re.fullmatch(r"-?\d+", value) for value in classes)
    if all(map(NUMBER.fullmatch, classes)) and not (whole and len(classes) <= FEW):
        return (
            'these are numbers, not classes: set model.kind = "linear" (with model.l2 above 0 it is ridge), or make two '
            'classes of them, data.target = "COLUMN > VALUE"'
        )
    return 'set model.kind = "softmax"'


def as_losses_want(module: "torch.nn.Module", rows: Rows) -> tuple[Any, Any]:
    """Features and targets for a torch loss; for a module with several outputs the targets are integers, the classes."""
    if issparse(rows.x):
        raise BadExperiment(
            'model.kind = "module" needs dense features, and these are sparse: use one of the linear models'
        )
    with torch.no_grad():
        like = next(module.parameters())
        out = module(torch.from_numpy(rows.x[:1]).to(like.device, like.dtype))
    return rows.x, rows.y.astype(np.int64) if out.numel() > 1 else rows.y


def load_module(reference: str, seed: int) -> "tuple[torch.nn.Module, Any]":
    """The user's (module, loss), from "file.py:function". It begins with the same parameters at every peer."""
    file, function = split_module(reference)
    spec = importlib.util.spec_from_file_location("gossipfl_user_module", Path(file))
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise BadExperiment(f"model.module = {reference}: there is no Python file {file}")
    namespace = importlib.util.module_from_spec(spec)
    with torch.random.fork_rng(
        devices=[]
    ):  # modules take their initial parameters from torch's global generator
        torch.default_generator.manual_seed(seed)
        spec.loader.exec_module(namespace)
        make = getattr(namespace, function, None)
        if make is None:
            raise BadExperiment(f"model.module = {reference}: {file} has no function {function}")
        made = make()
    if not (
        isinstance(made, tuple)
        and len(made) == 2
        and isinstance(made[0], torch.nn.Module)
        and callable(made[1])
    ):
        raise BadExperiment(
            f"model.module = {reference}: {function}() in {file} should return (torch.nn.Module, loss)"
        )
    if next(made[0].parameters(), None) is None:
        raise BadExperiment(
            f"model.module = {reference}: the module of {function}() in {file} has no parameters to learn"
        )
    return made


def split_module(reference: str) -> tuple[str, str]:
    """The file and the function in "file.py:function"."""
    file, colon, function = reference.rpartition(":")
    if not colon or not file.endswith(".py") or not function.isidentifier():
        raise BadExperiment(f'model.module = "{reference}": write "file.py:function"')
    return file, function
