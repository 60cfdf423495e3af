"""From keywords of a call to an experiment, by the names of the keys of an experiment file; must not know data or engines."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gossipfl.config.algorithm import settles
from gossipfl.config.code import Group, lend
from gossipfl.config.experiment import Experiment
from gossipfl.config.file import full_key, made, put
from gossipfl.errors import BadExperiment

TOLERANCE = 1e-8  # of a call that says nothing about it

Raw = dict[str, Any]  # nested tables, as in an experiment file
OBJECTS: dict[tuple[str, str], Group] = {
    ("algorithm", "kind"): "algorithms",
    ("algorithm", "aggregator"): "aggregators",
    ("model", "kind"): "losses",
    ("topology", "graph"): "topologies",
}  # keys that may be a class or a function of the caller's own


def changed(base: Mapping[str, Any], settings: Mapping[str, Any], abroad: bool = False) -> Experiment:
    """The experiment of nested tables, changed by settings. Its paths are relative to the working folder, and become absolute.

    A setting has its name on the command line: `topology`, `rounds`, `l2` or "stop.rounds"; or it is a whole section. For
    `abroad` see `named`.

    Raises:
        BadExperiment: there is no such key, several sections have it, or a value is wrong.

    >>> changed({"data": {"source": "iris"}}, {"model": "softmax", "stop": {"rounds": 9}, "l2": 0.5}).model.l2
    0.5
    """
    return made(named(merged(base, settings), abroad), (), Path(), "the call")


def merged(base: Mapping[str, Any], settings: Mapping[str, Any]) -> Raw:
    """The nested tables with settings, which are named as in `changed`. Raises BadExperiment as it does."""
    raw: Raw = {key: dict(value) if isinstance(value, Mapping) else value for key, value in base.items()}
    for key, value in settings.items():
        if (
            isinstance(value, Mapping)
            and isinstance(raw.get(key, {}), dict)
            and key in Experiment.model_fields
        ):
            raw.setdefault(key, {}).update({name: _own(one) for name, one in value.items()})
            continue
        put(raw, _full(key).split("."), _own(value), key)
    return raw


def _own(value: Any) -> Any:
    """The caller's value, which later keys do not change, with text in place of a path."""
    if isinstance(value, Mapping):
        return {key: _own(one) for key, one in value.items()}
    return str(value) if isinstance(value, Path) else value


def named(raw: Raw, abroad: bool = False) -> Raw:
    """The tables with a reference in place of each class and function of the caller's own.

    Args:
        raw: the tables, which are changed.
        abroad: whether other processes must find them, so that they have to be in a file.

    Raises:
        BadExperiment: they have to be in a file, and are not.
    """
    for (section, key), group in OBJECTS.items():
        value = raw.get(section, {}).get(key)
        if value is not None and not isinstance(value, str):
            raw[section] = raw[section] | {
                key: _file(value, f"{section}.{key}") if abroad else lend(group, value)
            }
    return raw


def _file(value: Any, key: str) -> str:
    """ "file.py:Name" of a class or a function."""
    home, name = getattr(value, "__module__", None), getattr(value, "__qualname__", type(value).__name__)
    file = getattr(sys.modules.get(str(home)), "__file__", None)
    if home == "__main__" or file is None or getattr(sys.modules[str(home)], name, None) is not value:
        raise BadExperiment(
            f"{key}: peers and run folders cannot find {name}, which exists in this program only: write it into a file of its "
            f'own, and give "my_file.py:{name}"'
        )
    return f"{Path(file).absolute()}:{name}"


def patient(raw: Raw) -> Raw:
    """The tables with a tolerance, if they have none and the peers of their method can agree to stop."""
    able = settles(raw.get("algorithm", {}).get("kind", ""))
    stop = raw.get("stop", {})
    if not isinstance(stop, Mapping):  # no section: told when the experiment is made
        return raw
    return raw | {"stop": {"tolerance": TOLERANCE if able else 0.0, **stop}}


def _full(key: str) -> str:
    try:
        return full_key(key, "")
    except BadExperiment as why:
        raise BadExperiment(str(why).replace(f"-s {key}=...:", f"{key}:")) from None
