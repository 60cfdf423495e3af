from gossipfl.interface.estimators import GossipClassifier as GossipClassifier
from gossipfl.interface.estimators import GossipRegressor as GossipRegressor

__version__: str
HOMES: dict[str, str]
__all__ = ["GossipClassifier", "GossipRegressor"]
