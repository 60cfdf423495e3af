from gossipfl.errors import GossipError as GossipError
from gossipfl.interface.calls import load as load
from gossipfl.interface.calls import run as run
from gossipfl.interface.calls import simulate as simulate
from gossipfl.interface.estimators import GossipClassifier as GossipClassifier
from gossipfl.interface.estimators import GossipRegressor as GossipRegressor
from gossipfl.interface.result import Result as Result
from gossipfl.interface.result import load_model as load_model
from gossipfl.interface.result import load_run as load_run

__version__: str
HOMES: dict[str, str]
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
