"""What makes two experiments one study: all that peers must agree on; must not know graphs or rows."""

import hashlib
import json
from typing import Any

from gossipfl.config.experiment import Experiment

SHARED = {"seed", "data", "model", "algorithm", "channel", "gossip", "stop"}


def shared(experiment: Experiment) -> dict[str, Any]:
    """The sections that all peers must have alike: not where the data lie, nor who takes part."""
    told = experiment.model_dump(mode="json", include=SHARED)
    told["data"].pop("source")
    told["gossip"].pop("period")
    for own in ("module", "device"):
        told["model"].pop(own)
    return told


def differences(one: Experiment, other: Experiment) -> list[str]:
    """The shared sections in which two experiments differ, by name."""
    theirs = shared(other)
    return sorted(section for section, told in shared(one).items() if told != theirs[section])


def digest(what: Any) -> bytes:
    """8 bytes that are equal where two things are."""
    return hashlib.blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=8).digest()
