"""What is public about the pooled objective: penalties and units; must not know rows or peers."""

from dataclasses import dataclass
from functools import cached_property

from gossipfl.algorithms.sums.certificate import Units
from gossipfl.tensors import Tensor, torch


@dataclass(frozen=True)
class Objective:
    """f(x) + sum_j l2/2 x_j^2 + l1 |x_j| over the coefficients, f being the mean loss of all rows; intercepts are free.

    penalised: (d,), 1 for coefficients and 0 for intercepts.
    outputs: margins of a row.
    seen: the outputs that take part: for softmax those of classes with rows.
    """

    penalised: Tensor
    units: Units
    l2: float = 0.0
    l1: float = 0.0
    outputs: int = 1
    seen: int = 1

    @cached_property
    def ridge(self) -> Tensor:
        return self.l2 * self.penalised

    @cached_property
    def lasso(self) -> Tensor:
        return self.l1 * self.penalised

    @property
    def free(self) -> bool:
        """Whether there are intercepts."""
        return not self.penalised[-1]

    def penalty(self, x: Tensor) -> Tensor:
        """(..., d) -> (...)."""
        return (self.ridge * x.square() / 2 + self.lasso * x.abs()).sum(-1)

    def gradient(self, of_loss: Tensor, x: Tensor) -> Tensor:
        """The gradient of the smooth part, (d,), from that of the loss.

        A shift of all outputs of a softmax changes no loss: what the gradient has along it is rounding, and is taken out.
        """
        slopes = of_loss.view(-1, self.outputs).clone()
        if self.outputs > 1:
            slopes[:, : self.seen] -= slopes[:, : self.seen].mean(1, keepdim=True)
        return slopes.flatten() + self.ridge * x

    def residual(self, x: Tensor, g: Tensor, h: Tensor, p: Tensor, free: Tensor | None = None) -> float:
        """|r| / |g|, r being what the step p from x leaves of the gradient of g'p + p'Hp/2 + l1 |x + p|_1; 0 at its minimum.

        With `free` (k,) p and r are of these parameters alone, and H is (k, k).
        """
        chosen = slice(None) if free is None else free
        z, lasso = (x + p)[chosen], self.lasso[chosen]
        left = torch.where((z == 0) & (lasso > 0), 0.0, g[chosen] + h @ p[chosen] + lasso * z.sign())
        size = float(torch.linalg.vector_norm(g))
        return float(torch.linalg.vector_norm(left)) / size if size else 0.0

    def bent(self, hessian: Tensor, free: Tensor | None = None) -> Tensor:
        """The Hessian of the parameters `free` (k,), by default of all, with the curvature of l2.

        A shift of all intercepts of a softmax changes nothing; it gets the curvature 1, so that the Hessian is invertible.
        """
        chosen = torch.arange(len(self.penalised)) if free is None else free
        whole = hessian + torch.diag(self.ridge[chosen])
        if self.outputs > 1 and self.free:
            first = len(self.penalised) - self.outputs
            shift = (chosen >= first) & (chosen < first + self.seen)
            whole[shift[:, None] & shift] += 1.0 / self.seen
        return whole
