"""Which of its own rows a peer learns from in a round; must not know what is in them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from gossipfl import rng
from gossipfl.tensors import Tensor, torch

_NUMBERS = 2**17  # numbers in a block of rounds: a megabyte

T = TypeVar("T")


def batches(
    seed: int,
    rows: Tensor,
    sizes: Tensor,
    batch: int,
    starts: Tensor,
    numbers: int,
    gather: Callable[[Tensor], Sequence[T]],
    chances: Tensor | None = None,
) -> Callable[[int], T]:
    """round -> that round's mini-batch: the result of `gather` for the positions of its draws, peer by peer.

    A peer draws with replacement from its own rows, uniformly or by `chances`, by its number in the whole network, so it draws
    the same alone and among many. Rounds are drawn and gathered in blocks, for the overhead of one round. The last block is
    kept.

    Args:
        seed: of the experiment.
        rows: the peers' numbers, (n,) int64.
        sizes: the number of data rows of each, (n,) int64.
        batch: draws of each peer.
        starts: position of each peer's first row, (n,) int64.
        numbers: the approximate count of numbers in a data row.
        chances: the cumulative probabilities of each peer's rows, (n, largest number of rows), 1 from its last row on.
        gather: positions (rounds, n * batch) int64 -> the mini-batch of each of these rounds.
    """
    length = max(1, _NUMBERS // (len(rows) * batch * numbers))
    peers, counts = rows.cpu().numpy(), sizes.cpu().numpy()

    @lru_cache(maxsize=1)
    def block(number: int) -> Sequence[T]:
        rounds = range(number * length, (number + 1) * length)
        if chances is None:
            drawn = torch.from_numpy(rng.integers(seed, "batch", peers, rounds, batch, counts))
        else:
            places = (
                torch.from_numpy(rng.uniform(seed, "batch", peers, rounds, batch)).transpose(0, 1).flatten(1)
            )
            drawn = torch.searchsorted(chances, places.contiguous(), right=True)
            drawn = drawn.view(len(rows), length, batch).transpose(0, 1)
        drawn = drawn.to(starts.device)
        return gather((drawn + starts[:, None]).reshape(length, len(rows) * batch))

    def draw(round: int) -> T:
        number, place = divmod(round, length)
        return block(number)[place]

    return draw
