"""How a model learns from one row; must not know peers, messages or time."""

from dataclasses import dataclass
from typing import Protocol

from gossipfl.errors import BadExperiment, Incompatible
from gossipfl.models import Loss
from gossipfl.tensors import Tensor


class Rule(Protocol):
    """One step of online learning for n models at once. Each model learns from one row."""

    def __call__(self, w: Tensor, age: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The models (n, d) after learning from x (n, d), y (n,). `age` (n,) is the number of this step, from 1."""


@dataclass(frozen=True)
class Pegasos:
    """w' = (1 - 1/t) w - eta slope(<w, x>, y) x, eta = 1 / (l2 t): stochastic subgradient of l2/2 |w|^2 + loss.

    With the hinge loss it is Pegasos without its projection; with l2 = 1e-4 and merging it is P2Pegasos. The logistic loss
    uses the same step sizes. The intercept is a feature like all others here, so it shrinks too.

    Shalev-Shwartz, Singer, Srebro, Cotter, "Pegasos: primal estimated sub-gradient solver for SVM", Math. Programming 127,
    2011, fig. 1; Ormándi, Hegedűs, Jelasity, "Gossip learning with linear models on fully distributed data", Concurrency
    and Computation 25(4), 2013, alg. 3.
    """

    loss: Loss
    l2: float = 1e-4

    def __post_init__(self) -> None:
        if not self.l2 > 0:
            raise BadExperiment(
                f"Pegasos steps are 1 / (l2 t), so l2 must be above 0, but it is {self.l2}: try 1e-4"
            )
        _check_outputs(self.loss)

    def __call__(self, w: Tensor, age: Tensor, x: Tensor, y: Tensor) -> Tensor:
        t = age.to(w.dtype).unsqueeze(1)
        slope = self.loss.slope((w * x).sum(1, keepdim=True), y)
        return w * (1 - 1 / t) - slope / (self.l2 * t) * x


@dataclass(frozen=True)
class Descent:
    """w' = w - step (slope(<w, x>, y) x + l2 w): stochastic gradient descent on the same objective, with a constant step.

    Merged with the peer's own model it is asynchronous decentralised SGD, except that there both peers of a pair average at
    the same time: Lian, Zhang, Zhang, Liu, "Asynchronous decentralized parallel stochastic gradient descent", ICML 2018.
    """

    loss: Loss
    step: float
    l2: float = 0.0

    def __post_init__(self) -> None:
        _check_outputs(self.loss)
        if not (self.step > 0 and self.l2 >= 0):
            raise BadExperiment(
                f"Descent: step is {self.step} and l2 is {self.l2}, but step must be above 0 and l2 must be 0 or above"
            )

    def __call__(self, w: Tensor, age: Tensor, x: Tensor, y: Tensor) -> Tensor:
        slope = self.loss.slope((w * x).sum(1, keepdim=True), y)
        return w - self.step * (slope * x + self.l2 * w)


def _check_outputs(loss: Loss) -> None:
    if loss.outputs(3) != 1:
        raise Incompatible(
            'Gossip learning needs a model with one output, but softmax has one for each class: set model.kind = "svm" or '
            '"logistic"'
        )
