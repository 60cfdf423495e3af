"""Two methods over all peers at once, one of which tolerates faults; must not know either method.

Live peers hear of an incomplete exchange from their neighbours. Here all peers know of it at the end of the cycle.
"""

import torch
from torch import Tensor

from gossipfl.engine import Run
from gossipfl.fallback import Fallback
from gossipfl.simulator.engine import Simulator
from gossipfl.simulator.ledger import ledger_of, opened
from gossipfl.topology import Links


class SimulatedFallback(Fallback[Simulator]):
    """`fast` while cycles have no faults, otherwise `robust` (an `Engine`), over the same peers and faults."""

    def __init__(self, fast: Simulator, robust: Simulator, cycle: int) -> None:
        super().__init__(fast, robust, cycle)
        robust.settling = fast.settling  # news keeps spreading when the method changes

    @property
    def messages_sent(self) -> int:
        return self.fast.messages_sent + self.robust.messages_sent

    @property
    def bytes_sent(self) -> int:
        return self.fast.bytes_sent + self.robust.bytes_sent

    def troubled(self, round: int, rounds: int) -> bool:
        return any(not _complete(self.fast.topology(k)) for k in range(max(0, round - rounds), round))

    def deserted(self, round: int, rounds: int) -> bool:
        return any(_parted(self.fast.topology(k)) for k in range(max(0, round - rounds), round))

    def begin(self, to: Simulator, run: Run, x: Tensor) -> Run:
        start = ledger_of(run).start  # for peers that restart without their model
        forgets = self.fast.topology(run.round - 1).forgets
        if forgets is not None:
            x = torch.where(torch.from_numpy(forgets).to(x.device)[:, None], start, x)
        return to.init(x)._replace(round=run.round, edges=opened(start))


def _complete(links: Links) -> bool:
    """Whether all peers were present and all messages arrived."""
    return all(there is None or bool(there.all()) for there in (links.present, links.arrives))


def _parted(links: Links) -> bool:
    """Whether a peer is away, or cut off from others, for now or for good."""
    away = links.present is not None and not links.present.all()
    apart = links.sides is not None and len(links.sides) > 0 and bool((links.sides != links.sides[0]).any())
    return away or apart or (links.waits is not None and bool(links.waits.any()))
