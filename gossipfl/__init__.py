"""Decentralised gossip learning of linear models: no server, no pooled data, one exact model.

    import gossipfl as gf

`gf` has the names below. A name is imported when it is used for the first time, so that `import gossipfl` is free.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

HOMES = {
    "GossipClassifier": "gossipfl.interface.estimators",
    "GossipError": "gossipfl.errors",
    "GossipRegressor": "gossipfl.interface.estimators",
    "Result": "gossipfl.interface.result",
    "load": "gossipfl.interface.calls",
    "load_model": "gossipfl.interface.result",
    "load_run": "gossipfl.interface.result",
    "run": "gossipfl.interface.calls",
    "simulate": "gossipfl.interface.calls",
}  # what a user may want of the package, and the module that has it; `__init__.pyi` says the same to type checkers

__all__ = [
    "GossipClassifier",
    "GossipError",
    "GossipRegressor",
    "Result",
    "load",
    "load_model",
    "load_run",
    "run",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'gossipfl' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *HOMES]
