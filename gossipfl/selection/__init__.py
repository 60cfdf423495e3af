"""Which penalty to take, by cross-validation from sums over all peers; must not know peers, engines or experiments.

Only sums over the rows of a peer leave it: see `validation`.
"""

from gossipfl.selection.folds import Fold, divided, numbered
from gossipfl.selection.penalties import Curve, Rule, chosen, grid
from gossipfl.selection.validation import Validation

__all__ = ["Curve", "Fold", "Rule", "Validation", "chosen", "divided", "grid", "numbered"]
