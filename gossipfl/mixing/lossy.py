"""Channels with a compressor, with and without memory; must not know any compressor."""

from collections.abc import Sequence
from typing import NamedTuple

from gossipfl.mixing.compressor import Compressor, Payload
from gossipfl.mixing.properties import Property
from gossipfl.tensors import Tensor, torch


class Compressed(NamedTuple):
    """The replica is the compressed value of each tensor sent: r' = C(x)."""

    compressor: Compressor
    preserves: Property = Property.CONSENSUS | Property.MEAN
    remembers: bool = False

    def init(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def send(self, x: Tensor, replica: Tensor, round: int, blocks: Sequence[int]) -> Payload:
        return _compress(self.compressor, x, round, blocks)

    def receive(self, payload: Payload, replica: Tensor, round: int, blocks: Sequence[int]) -> Tensor:
        return _decompress(self.compressor, payload, replica, round, blocks)


class Feedback(NamedTuple):
    """Error feedback: r' = r + C(x - r). What is left out now is sent later, so r converges to x when x converges.

    Koloskova, Stich, Jaggi, "Decentralized stochastic optimization and gossip algorithms with compressed communication",
    ICML 2019, algorithm 2 (over D-PSGD it is CHOCO-SGD); Zhao, Li, Li, Richtarik, Chi, "BEER", NeurIPS 2022 (over
    gradient tracking).
    """

    compressor: Compressor
    preserves: Property = Property.CONSENSUS | Property.MEAN | Property.SETTLING
    remembers: bool = True

    def init(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def send(self, x: Tensor, replica: Tensor, round: int, blocks: Sequence[int]) -> Payload:
        return _compress(self.compressor, x - replica, round, blocks)

    def receive(self, payload: Payload, replica: Tensor, round: int, blocks: Sequence[int]) -> Tensor:
        return replica + _decompress(self.compressor, payload, replica, round, blocks)


def _compress(compressor: Compressor, x: Tensor, round: int, blocks: Sequence[int]) -> Payload:
    parts = torch.split(x, list(blocks), 1)
    return tuple(tensor for part in parts for tensor in compressor.compress(part, round))


def _decompress(
    compressor: Compressor, payload: Payload, like: Tensor, round: int, blocks: Sequence[int]
) -> Tensor:
    each = len(payload) // len(blocks)
    parts = torch.split(like, list(blocks), 1)
    return torch.cat(
        [
            compressor.decompress(payload[i * each : (i + 1) * each], part, round)
            for i, part in enumerate(parts)
        ],
        1,
    )
