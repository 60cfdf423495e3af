"""Peers with fixed keys for secure sums, a tap on their links, and the attack on two Hessians."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from torch import Tensor

from gossipfl.algorithms import Summed, Summing
from gossipfl.algorithms.sums import DampedNewton, Integers
from gossipfl.models.shard import Shard, unpacked
from gossipfl.secrecy.masks import Masks, masks
from gossipfl.secrecy.partners import partners

FRONT = 5  # numbers before the gradient: weight, loss, and three that say on which side rows are
Rows = list[Tensor]


def keyed(peers: int, salt: bytes = b"salt") -> list[Masks]:
    """The masks of peers with fixed keys."""
    names = [f"peer{i}" for i in range(peers)]
    secrets = {name: bytes([8, i + 1, *range(30)]) for i, name in enumerate(names)}
    public = {
        name: X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        for name, secret in secrets.items()
    }
    shared = partners(names, {}, salt)
    return [masks(secrets[name], name, public, sorted(shared[name]), salt) for name in names]


class Peers:
    """All peers of a method, each with its own masks, and a tap: `heard` has what each of them added to each sum."""

    def __init__(self, method: DampedNewton, rows: Sequence[Shard], secure: bool = True) -> None:
        n, shift = len(rows), torch.zeros(len(method.objective.penalised), dtype=torch.float64)
        hidden = keyed(n)
        self.algorithms = [
            Summed(method, [own], n, 2, shift, Integers(n, mask))
            if secure
            else Summed(method, [own], n, 2, shift)
            for own, mask in zip(rows, hidden, strict=True)
        ]
        self.states: list[Summing] = [one.init(shift[None]) for one in self.algorithms]
        self.heard: list[Rows] = []

    def sum(self, tamper: Callable[[Rows], Tensor] = sum) -> Tensor:  # type: ignore[assignment]
        """One sum; `tamper` adds up."""
        rows: Rows = []

        def up(v: Tensor) -> Tensor:
            rows.append(v[0])
            return v

        went = [a.round(s, torch.zeros_like, up) for a, s in zip(self.algorithms, self.states, strict=True)]
        total = tamper(rows)
        self.heard.append(rows)
        self.states = [
            a.round(s, torch.zeros_like, lambda v: total[None].clone())
            for a, s in zip(self.algorithms, went, strict=True)
        ]
        return total

    @property
    def models(self) -> Tensor:
        return torch.cat([state.x for state in self.states])


def two_hessians(one: Tensor, two: Tensor, d: int, most: int) -> np.ndarray:
    """Rows with an intercept of 1 whose weighted products both Hessians are, (r, d): one generalised eigenproblem."""
    h1, h2 = (unpacked(sent[FRONT + d :], d).numpy() for sent in (one, two))
    size, basis = np.linalg.eigh(h1 + h2)
    kept = basis[:, size > 1e-10 * size[-1]][:, -most:]
    _, vectors = np.linalg.eig(np.linalg.solve(kept.T @ h1 @ kept, kept.T @ h2 @ kept))
    found = (np.linalg.inv(vectors) @ kept.T).real
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(found / found[:, -1:], posinf=0, neginf=0)
