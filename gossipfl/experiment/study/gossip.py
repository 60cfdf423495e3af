"""Settings -> objects of gossip learning: what peers do, on which rows, over which network; must not know processes."""

from collections.abc import Sequence
from typing import Any

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
from gossipfl.tensors import torch


def learning(study: Study) -> GossipLearning:
    """What peers do in gossip learning. Raises BadExperiment or Incompatible if the settings contradict each other."""
    e, settings = study.experiment, study.experiment.gossip
    step, l2 = e.algorithm.step, study.l2
    return GossipLearning(
        Pegasos(study.loss, l2) if step == "auto" else Descent(study.loss, step, l2),
        create(settings),
        control(settings),
        settings.exchange,
        e.algorithm.local_steps,
        settings.cache,
        settings.jitter,
    )


def create(settings: GossipSettings) -> Create:
    """What a peer does with a model that arrives."""
    if settings.create == "walk":
        return Walk(settings.own)
    means: dict[str, Mean] = {"equal": equal, "age": by_age, "fresh": Fresh(settings.patience)}
    order = MergeUpdate if settings.create == "merge-update" else UpdateMerge
    return order(means[settings.mean], settings.own)


def control(settings: GossipSettings) -> Control:
    """When a peer sends a model."""
    match settings.control:
        case "simple":
            return Simple(settings.capacity)
        case "generalised":
            return Generalised(settings.capacity, settings.spend)
        case "randomised":
            return Randomised(settings.capacity, settings.spend)
    return Proactive()


def network(experiment: Experiment) -> Network:
    """Losses, delays and absences in simulated time."""
    settings = experiment.gossip
    return Network(experiment.topology.loss, settings.delay, settings.online, settings.session)


def shards(train: Sequence[Rows], dtype: "torch.dtype") -> Shards:
    """The training rows of the peers in this process."""
    rows: list[tuple[Any, Any]] = [(part.x, part.y) for part in train]
    return Shards.of(rows, dtype)


def simulated_only(experiment: Experiment) -> bool:
    """Whether the experiment has settings of gossip learning that need simulated time."""
    settings, method = experiment.gossip, METHODS.get(experiment.algorithm.kind)
    return method is not None and not method.rounds and (any(settings.delay) or settings.online < 1)


def unreal(experiment: Experiment) -> None:
    """Refuse settings that live peers do not have. Raises BadExperiment."""
    if simulated_only(experiment):
        raise BadExperiment(
            "gossip.delay and gossip.online are for the simulator only: use gossipfl simulate, or set gossip.delay = [0, 0] "
            "and gossip.online = 1 (live peers have topology.loss)"
        )
