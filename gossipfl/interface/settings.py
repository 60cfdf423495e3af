"""From keywords of a call to an experiment, by the names of the keys of an experiment file; must not know data or engines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gossipfl.algorithms import METHODS
from gossipfl.config.experiment import Experiment
from gossipfl.config.file import full_key, made
from gossipfl.errors import BadExperiment

TOLERANCE = 1e-8  # of a call that says nothing about it

Raw = dict[str, Any]  # nested tables, as in an experiment file


def changed(base: Mapping[str, Any], settings: Mapping[str, Any]) -> Experiment:
    """The experiment of nested tables, changed by settings. Its paths are relative to the working folder, and become absolute.

    A setting has its name on the command line: `topology`, `rounds`, `l2` or "stop.rounds"; or it is a whole section.

    Raises:
        BadExperiment: there is no such key, several sections have it, or a value is wrong.

    >>> changed({"data": {"source": "iris"}}, {"model": "softmax", "stop": {"rounds": 9}, "l2": 0.5}).model.l2
    0.5
    """
    raw: Raw = {key: dict(value) if isinstance(value, Mapping) else value for key, value in base.items()}
    for key, value in settings.items():
        if (
            isinstance(value, Mapping)
            and isinstance(raw.get(key, {}), dict)
            and key in Experiment.model_fields
        ):
            raw.setdefault(key, {}).update(value)
            continue
        *path, last = _full(key).split(".")
        table = raw
        for part in path:
            table = table.setdefault(part, {})
        table[last] = value
    return made(raw, (), Path(), "the call")


def patient(raw: Raw) -> Raw:
    """The tables with a tolerance, if they have none and the peers of their method can agree to stop."""
    method = METHODS.get(raw.get("algorithm", {}).get("kind", ""))
    able = method is None or (method.talks and method.rounds)
    stop = {"tolerance": TOLERANCE if able else 0.0} | raw.get("stop", {})
    return raw | {"stop": stop}


def _full(key: str) -> str:
    try:
        return full_key(key, "")
    except BadExperiment as why:
        raise BadExperiment(str(why).replace(f"-s {key}=...:", f"{key}:")) from None
