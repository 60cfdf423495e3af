"""What a noised total of products of clipped rows says; must not know rows, noise or network."""

import math

from gossipfl.models.shard import DIAGONAL, OFF, unpacked
from gossipfl.secrecy.promise import Query
from gossipfl.tensors import Tensor, torch

LEAST = 0.1  # of the noise: the smallest curvature that counts


def asked(sums: int, columns: int, clip: float) -> Query:
    """So many sums as `Shard.products` makes them."""
    return Query(sums, columns * (columns + 3) // 2, DIAGONAL * math.sqrt(2.0) * clip**2)


def read(total: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """A'A (d, d) and A'b (d,) from a total of `Shard.products`."""
    triangle, products = total[: d * (d + 1) // 2], total[d * (d + 1) // 2 :]
    weight = torch.where(torch.eye(d, dtype=torch.bool), DIAGONAL, OFF)
    return unpacked(triangle, d) / weight, products / DIAGONAL


def damped(matrix: Tensor, vector: Tensor, penalty: Tensor, noise: float, share: float) -> Tensor:
    """(M + diag(penalty) + lambda I)^-1 v, lambda = max(0, share e - max(0, the smallest eigenvalue of M)), (d,).

    e is the usual norm of the noise in M, from its deviation in each number of a total: no noise makes the result long.
    """
    size = 2 * math.sqrt(len(vector)) * noise / OFF
    lent = max(0.0, share * size - max(0.0, float(torch.linalg.eigvalsh(matrix)[0])))
    values, bases = torch.linalg.eigh(matrix + torch.diag(penalty))
    curved = (values + lent).clamp(min=max(LEAST * size, torch.finfo(values.dtype).tiny))
    solved: Tensor = bases @ (bases.T @ vector / curved)
    return solved
