"""What must be equal at all peers of a study, and digests of it; must not know graphs or engines."""

import hashlib
import json
from pathlib import Path
from typing import Any

from gossipfl.config.code import split
from gossipfl.config.experiment import Experiment

SHARED = {"seed", "data", "model", "algorithm", "channel", "gossip", "stop", "privacy"}  # sections


def shared(experiment: Experiment) -> dict[str, Any]:
    """The settings that must be equal at all peers of a study; the place of the data, for example, may differ."""
    settings = experiment.model_dump(mode="json", include=SHARED)
    settings["data"].pop("source")
    settings["gossip"].pop("period")
    for own in ("device", "personal"):
        settings["model"].pop(own)
    for section, key in (
        ("model", "module"),
        ("model", "kind"),
        ("algorithm", "kind"),
        ("algorithm", "aggregator"),
    ):
        settings[section][key] = code(settings[section].get(key))
    return settings


def code(reference: str | None) -> str | None:
    """What "file.py:function" runs, wherever the file is: a hash of its text, and the function; other words as they are."""
    parts = split(reference or "")
    if parts is None:
        return reference
    file, function = parts
    try:
        text = Path(file).read_bytes().replace(b"\r\n", b"\n")
    except OSError:  # told when the module is made
        text = b""
    return f"{hashlib.sha256(text).hexdigest()}:{function}"


def differences(one: Experiment, other: Experiment) -> list[str]:
    """The names of the shared sections in which two experiments differ."""
    theirs = shared(other)
    return sorted(section for section, settings in shared(one).items() if settings != theirs[section])


def digest(value: Any) -> bytes:
    """A digest of 8 bytes, equal for equal values."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).digest()
