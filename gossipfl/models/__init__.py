"""What peers learn: losses of linear models, and batches of local problems; must not know the network or files.

Axis 0 of all tensors is the peers held here, and row i of a result depends only on row i.
"""

from gossipfl.models.linear import Linear, scores
from gossipfl.models.losses import LOSSES, Loss
from gossipfl.models.module import Module
from gossipfl.models.preconditioned import Preconditioned, Preconditioner
from gossipfl.models.problem import Grad, Problem
from gossipfl.models.reference import pooled_optimum

__all__ = [
    "LOSSES", "Grad", "Linear", "Loss", "Module", "Preconditioned", "Preconditioner", "Problem", "pooled_optimum", "scores",
]  # fmt: skip
