"""Compressors: which numbers of a row are sent, and with how many bits; must not know who sends them.

COMPRESSORS has them by their names in an experiment file.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from gossipfl import rng
from gossipfl.errors import BadMessage
from gossipfl.mixing.compressor import Compressor, Payload
from gossipfl.tensors import Tensor, torch

ALIKE = np.zeros(1, np.int64)  # rows of random numbers: one that all peers share


@dataclass(frozen=True)
class TopK:
    """The k = ceil(keep d) numbers of largest modulus, with their positions: 4 more bytes for each number.

    Alistarh et al., "The convergence of sparsified gradient methods", NeurIPS 2018. |C(x) - x|^2 <= (1 - k/d) |x|^2.
    """

    keep: float

    def compress(self, x: Tensor, round: int) -> Payload:
        places = x.abs().topk(_count(self.keep, x.shape[1]), dim=1, sorted=False).indices
        return places.int(), x.gather(1, places)

    def decompress(self, payload: Payload, like: Tensor, round: int) -> Tensor:
        places, values = payload
        if bool(((places < 0) | (places >= like.shape[1])).any()):
            raise BadMessage(f"a position outside a row of {like.shape[1]} numbers")
        return torch.zeros_like(like).scatter_(1, places.long(), values)


@dataclass(frozen=True)
class RandomK:
    """k = ceil(keep d) numbers, at positions that depend only on the round (and the seed): only values are sent.

    All peers use the same positions, so it is linear: an exact exchange of those coordinates.
    """

    keep: float
    seed: int = 0

    def compress(self, x: Tensor, round: int) -> Payload:
        return (x[:, self._places(x, round)],)

    def decompress(self, payload: Payload, like: Tensor, round: int) -> Tensor:
        return torch.zeros_like(like).index_copy_(1, self._places(like, round), payload[0])

    def _places(self, x: Tensor, round: int) -> Tensor:
        order = torch.from_numpy(rng.uniform(self.seed, "random-k", ALIKE, round, x.shape[1]))[0]
        return order.topk(_count(self.keep, x.shape[1]), sorted=False).indices.sort().values.to(x.device)


@dataclass(frozen=True)
class Quantise:
    """Integers of `bits` bits (8, or 4 with two in a byte), scaled by the row's largest modulus and rounded at random.

    C(x) = s floor(x / s + u) with s = max |x| / (2^(bits - 1) - 1) and u uniform in [0, 1). It is unbiased. Alistarh et
    al., "QSGD", NeurIPS 2017.
    """

    bits: int
    seed: int = 0

    def compress(self, x: Tensor, round: int) -> Payload:
        scale = x.abs().amax(1, keepdim=True) / self._most
        u = torch.from_numpy(rng.uniform(self.seed, "rounding", ALIKE, round, x.shape[1])).to(x)
        levels = torch.where(scale > 0, torch.floor(x / scale + u), 0.0).clamp(-self._most, self._most)
        levels = levels.to(torch.int8)
        return scale, levels if self.bits == 8 else _pack_halves(levels)

    def decompress(self, payload: Payload, like: Tensor, round: int) -> Tensor:
        scale, levels = payload
        whole = levels if self.bits == 8 else _unpack_halves(levels, like.shape[1])
        return scale * whole.to(like.dtype)

    @property
    def _most(self) -> int:
        return int(2 ** (self.bits - 1) - 1)


@dataclass(frozen=True)
class Sign:
    """One bit a number: C(x) = (|x|_1 / d) sign(x). Karimireddy et al., "Error feedback fixes SignSGD", ICML 2019."""

    def compress(self, x: Tensor, round: int) -> Payload:
        bits = torch.nn.functional.pad(x >= 0, (0, -x.shape[1] % 8)).view(len(x), -1, 8)
        return x.abs().mean(1, keepdim=True), (bits * _powers(x)).sum(2).to(torch.uint8)

    def decompress(self, payload: Payload, like: Tensor, round: int) -> Tensor:
        size, packed = payload
        bits = (packed[:, :, None].int() & _powers(like)).view(len(packed), -1)[:, : like.shape[1]] > 0
        return torch.where(bits, size, -size)


@dataclass(frozen=True)
class Cast:
    """Each number as a shorter float: float16 or bfloat16."""

    dtype: Literal["float16", "bfloat16"]

    def compress(self, x: Tensor, round: int) -> Payload:
        short: torch.dtype = getattr(torch, self.dtype)
        most = torch.finfo(short).max  # error feedback sends the clipped part later
        return (x.clamp(-most, most).to(short),)

    def decompress(self, payload: Payload, like: Tensor, round: int) -> Tensor:
        return payload[0].to(like.dtype)


@dataclass(frozen=True)
class LowRank:
    """The row as a matrix (d / columns, columns), such as softmax coefficients, reduced to rank r: C(M) = P (M^T P)^T.

    P is an orthonormal basis of M Q, where Q is drawn from the round. Vogels, Karimireddy, Jaggi, "PowerSGD", NeurIPS
    2019; over edges "PowerGossip", NeurIPS 2020.
    """

    rank: int
    columns: int
    seed: int = 0

    def compress(self, x: Tensor, round: int) -> Payload:
        matrix = x.view(len(x), -1, self.columns)
        rank = min(self.rank, *matrix.shape[1:])
        drawn = rng.uniform(self.seed, "low-rank", np.arange(self.columns), round, rank)
        guess = torch.from_numpy(drawn - 0.5).to(x)
        basis = torch.linalg.qr(matrix @ guess).Q
        return basis, matrix.mT @ basis

    def decompress(self, payload: Payload, like: Tensor, round: int) -> Tensor:
        basis, loads = payload
        return (basis @ loads.mT).reshape(like.shape)


def _count(keep: float, width: int) -> int:
    return max(1, min(width, math.ceil(keep * width - 1e-9)))


def _powers(like: Tensor) -> Tensor:
    return 2 ** torch.arange(8, dtype=torch.int32, device=like.device)


def _pack_halves(levels: Tensor) -> Tensor:
    """Integers from -8 to 7, (n, d), packed into (n, ceil(d / 2)) bytes."""
    halves = (torch.nn.functional.pad(levels, (0, levels.shape[1] % 2)) & 15).to(torch.uint8)
    return halves[:, ::2] | (halves[:, 1::2] << 4)


def _unpack_halves(packed: Tensor, width: int) -> Tensor:
    halves = torch.stack((packed & 15, packed >> 4), 2).flatten(1)[:, :width].to(torch.int8)
    return torch.where(halves > 7, halves - 16, halves)


class Amount(NamedTuple):
    """The settings of a compressor. Each compressor uses some of them."""

    keep: float = 0.1  # the share of the numbers that is sent
    rank: int = 1
    columns: int = 1  # of the matrix that a row represents
    seed: int = 0


COMPRESSORS: dict[str, Callable[[Amount], Compressor]] = {
    "top-k": lambda of: TopK(of.keep),
    "random-k": lambda of: RandomK(of.keep, of.seed),
    "int8": lambda of: Quantise(8, of.seed),
    "int4": lambda of: Quantise(4, of.seed),
    "sign": lambda _: Sign(),
    "fp16": lambda _: Cast("float16"),
    "bf16": lambda _: Cast("bfloat16"),
    "low-rank": lambda of: LowRank(of.rank, of.columns, of.seed),
}
