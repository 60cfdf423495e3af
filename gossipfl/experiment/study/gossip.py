"""Gossip learning as an experiment asks for it: what peers do, on which rows, over which network; must not know processes."""

from collections.abc import Sequence
from typing import Any

import torch

from gossipfl.algorithms import METHODS
from gossipfl.config.experiment import Experiment
from gossipfl.config.gossip import GossipSettings
from gossipfl.data import Rows
from gossipfl.errors import BadExperiment
from gossipfl.experiment.study.study import Study
from gossipfl.gossip import (
    Control,
    Create,
    Descent,
    Fresh,
    Generalised,
    GossipLearning,
    Mean,
    MergeUpdate,
    Network,
    Pegasos,
    Proactive,
    Randomised,
    Shards,
    Simple,
    UpdateMerge,
    Walk,
    by_age,
    equal,
)


def learning(study: Study) -> GossipLearning:
    """What peers do. Raises BadExperiment (or Incompatible) for what cannot be."""
    e, told = study.experiment, study.experiment.gossip
    step, l2 = e.algorithm.step, e.model.l2
    return GossipLearning(
        Pegasos(study.loss, l2) if step == "auto" else Descent(study.loss, step, l2),
        create(told),
        control(told),
        told.exchange,
        e.algorithm.local_steps,
        told.cache,
        told.jitter,
    )


def create(told: GossipSettings) -> Create:
    """What is made of a model that arrives."""
    if told.create == "walk":
        return Walk(told.own)
    means: dict[str, Mean] = {"equal": equal, "age": by_age, "fresh": Fresh(told.patience)}
    order = MergeUpdate if told.create == "merge-update" else UpdateMerge
    return order(means[told.mean], told.own)


def control(told: GossipSettings) -> Control:
    """When a peer speaks."""
    match told.control:
        case "simple":
            return Simple(told.capacity)
        case "generalised":
            return Generalised(told.capacity, told.spend)
        case "randomised":
            return Randomised(told.capacity, told.spend)
    return Proactive()


def network(experiment: Experiment) -> Network:
    """What happens to messages and to peers in simulated time."""
    told = experiment.gossip
    return Network(experiment.topology.loss, told.delay, told.online, told.session)


def shards(train: Sequence[Rows], dtype: torch.dtype) -> Shards:
    """The training rows of the peers held here."""
    rows: list[tuple[Any, Any]] = [(part.x, part.y) for part in train]
    return Shards.of(rows, dtype)


def simulated_only(experiment: Experiment) -> bool:
    """Whether it asks for what only simulated time has."""
    told, method = experiment.gossip, METHODS.get(experiment.algorithm.kind)
    return method is not None and not method.rounds and (any(told.delay) or told.online < 1)


def unreal(experiment: Experiment) -> None:
    """Refuse, before peers live, what only simulated time has. Raises BadExperiment."""
    if simulated_only(experiment):
        raise BadExperiment(
            "gossip.delay and gossip.online are of simulated time, and live peers' messages take as long as they take: use "
            "gossipfl simulate, or set gossip.delay = [0, 0] and gossip.online = 1 (topology.loss is for both)"
        )
