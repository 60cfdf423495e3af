"""Code of the user's own that an experiment names: methods, aggregators, losses, graphs; must not know engines.

Nothing is loaded but what the experiment itself names, in each process that takes part. It becomes a row of the tables of
built-in methods and losses.
"""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import networkx as nx

from gossipfl.algorithms import METHODS, Algorithm, Ingredients, Iterate, Method
from gossipfl.config.code import LENT, Group, entry_point, known, split
from gossipfl.config.experiment import Experiment
from gossipfl.errors import BadExperiment, GossipError
from gossipfl.mixing import Aggregator, Property
from gossipfl.models import LOSSES
from gossipfl.models.losses import Single
from gossipfl.topology.assemble import adopted
from gossipfl.topology.check import check
from gossipfl.topology.plan import fits

DEFAULTS: dict[str, Any] = {
    "requires": Property.CONSENSUS,
    "min_eigenvalue": -1.0,
    "accounts": {},
    "weighted": False,
    "init": lambda self, x: Iterate(x),  # noqa: ARG005
}  # what a method need not say
TRAITS = "traits"  # of a class: fields of its row in the table of methods that differ from the usual
BUILT_IN = {"algorithms": frozenset({"auto", *METHODS}), "losses": frozenset({"module", *LOSSES})}
TASKS = ("regression", "binary")


def references(experiment: Experiment) -> dict[str, tuple[Group, str]]:
    """The keys of an experiment that name code, with group and reference."""
    e = experiment
    found: dict[str, tuple[Group, str]] = {
        "algorithm.kind": ("algorithms", e.algorithm.kind),
        "algorithm.aggregator": ("aggregators", e.algorithm.aggregator or ""),
        "model.kind": ("losses", e.model.kind),
        "topology.graph": ("topologies", e.topology.graph),
    }
    return {key: named for key, named in found.items() if _is_own(*named)}


def _is_own(group: Group, value: str) -> bool:
    if not value or value in BUILT_IN.get(group, ()):
        return False
    return split(value) is not None or (":" not in value and known(group, value))


def enlist(experiment: Experiment) -> None:
    """Put the method and the loss that an experiment names into the tables. Raises BadExperiment."""
    for key, (group, reference) in references(experiment).items():
        if group == "algorithms":
            METHODS[reference] = method(resolved(key, group, reference), f"{key} = {reference!r}")
        elif group == "losses":
            LOSSES[reference] = loss(resolved(key, group, reference), f"{key} = {reference!r}")


def told(experiment: Experiment) -> list[str]:
    """A sentence for each key that names code of the user's own."""
    named = [(key, reference) for key, (_, reference) in references(experiment).items()]
    if experiment.model.module is not None:
        named.append(("model.module", experiment.model.module))
    return [f"{key} runs code that is not of gossipfl: {reference}" for key, reference in named]


def resolved(key: str, group: Group, reference: str) -> Any:
    """The object that a reference names. A file is read again if it has changed.

    Raises:
        BadExperiment: there is no such file or name, or the code fails; the message has its error.
    """
    where = f"{key} = {reference!r}"
    parts = split(reference)
    if (group, reference) in LENT:
        return LENT[group, reference]
    try:
        if parts is None:
            point = entry_point(group, reference)
            return point.load() if point else None
        module = _loaded(Path(parts[0]))
        return getattr(module, parts[1])
    except FileNotFoundError:
        raise BadExperiment(f"{where}: there is no file {parts and parts[0]}") from None
    except AttributeError as why:
        raise BadExperiment(f"{where}: {why}") from None
    except Exception as why:
        raise BadExperiment(f"{where}: the code cannot be loaded: {type(why).__name__}: {why}") from why


def _loaded(file: Path) -> Any:
    name = f"gossipfl_own_{hashlib.sha256(str(file).encode() + file.read_bytes()).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def method(made: Any, where: str = "the method") -> Method:
    """The row of a method of one's own: a class whose constructor takes fields of `Ingredients` by name, and other options.

    It needs `round`. `requires`, `min_eigenvalue`, `accounts`, `weighted` and `init` are those of D-PSGD unless it has its own;
    fields of its row in its attribute `traits`, such as {"exact": True}, likewise.

    Raises:
        BadExperiment: it is no such class.
    """
    if not (isinstance(made, type) and callable(getattr(made, "round", None))):
        raise BadExperiment(f"{where}: should be a class with round(self, s, grad, mix)")
    lacking = {name: value for name, value in DEFAULTS.items() if not hasattr(made, name)}
    whole = type(made.__name__, (made,), lacking) if lacking else made
    takes = inspect.signature(made).parameters
    traits: Mapping[str, Any] = getattr(made, TRAITS, {})
    if strange := [name for name in traits if name not in Method._fields]:
        raise BadExperiment(
            f"{where}: its traits have {strange[0]!r}, and a method has {', '.join(Method._fields)}"
        )

    def make(i: Ingredients) -> Algorithm:
        given = {
            name: getattr(i, name) for name in Ingredients._fields if name in takes and name != "options"
        }
        try:
            algorithm: Algorithm = whole(**given, **i.options)
        except TypeError as why:
            raise BadExperiment(f"{where}: {why}; algorithm.options has what else it takes") from None
        return algorithm

    words = (inspect.getdoc(made) or made.__name__).splitlines()[0]
    penalty = "prox" in takes
    return Method(words, make, penalty=penalty, with_penalty="" if penalty else "nids")._replace(**traits)


def loss(made: Any, where: str = "the loss") -> Callable[..., Any]:
    """The constructor of a loss of one's own: a class as those of `models/losses.py`, of one margin.

    Raises:
        BadExperiment: it lacks a part of a loss.
    """
    lacking = [n for n in ("task", "curvature", "value", "slope", "curve") if not hasattr(made, n)]
    if not isinstance(made, type) or lacking or made.task not in TASKS:  # type: ignore[attr-defined]
        what = f"lacks {', '.join(lacking)}" if lacking else f"has the task {getattr(made, 'task', None)!r}"
        raise BadExperiment(
            f"{where}: {what}; a loss is a class with task (one of {', '.join(TASKS)}), curvature, value, slope and curve"
        )
    whole = made if hasattr(made, "outputs") else type(made.__name__, (made, Single), {})
    found: Callable[..., Any] = whole
    return found


def aggregator(reference: str) -> Aggregator:
    """The aggregator that a reference names: a class or an instance with __call__(own, received), and maybe `preserves`."""
    found = resolved("algorithm.aggregator", "aggregators", reference)
    made = type(found.__name__, (found,), {})() if isinstance(found, type) else found
    if not callable(made):
        raise BadExperiment(
            f"algorithm.aggregator = {reference!r}: should be a class with __call__(self, own, received)"
        )
    if not hasattr(made, "preserves"):
        made.preserves = Property.CONSENSUS
    whole: Aggregator = made
    return whole


def graph(reference: str, seed: int) -> nx.Graph:
    """The checked graph of a function, which takes no argument or `seed`. Raises BadExperiment."""
    where = f"topology.graph = {reference!r}"
    make = resolved("topology.graph", "topologies", reference)
    if not callable(make):
        raise BadExperiment(f"{where}: should be a function that returns a graph of networkx")
    try:
        found = make(seed) if inspect.signature(make).parameters else make()
    except GossipError:
        raise
    except Exception as why:
        raise BadExperiment(f"{where}: the function fails: {type(why).__name__}: {why}") from why
    if not isinstance(found, nx.Graph):
        raise BadExperiment(f"{where}: should return a graph of networkx, and returns {type(found).__name__}")
    made = adopted(found, where)
    check(made, where)
    fits(made, where)
    return made
