"""The network between the peers of this machine: direct, or through a proxy with faults; must not know processes' lives."""

from multiprocessing.context import ForkServerContext

import networkx as nx

from gossipfl.faults import Due
from gossipfl.faults.proxy import Pair, Proxy, Weather


class FaultyNetwork:
    """The endpoints where each peer finds its neighbours, and the state of those links.

    Args:
        graph: the peers, by number.
        context: starts the proxy's process; None if peers connect directly.
        seed: of the proxy's jitter.
    """

    def __init__(self, graph: nx.Graph, context: ForkServerContext | None, seed: int) -> None:
        self._near = {me: sorted({*nx.all_neighbors(graph, me)}) for me in graph}
        self._proxy = Proxy(context, seed) if context else None
        self.endpoints: dict[int, str] = {}  # where the peers themselves listen
        self._places: dict[Pair, str] = {}
        self._weather = {(me, other): Weather() for me in graph for other in self._near[me]}
        self._cuts: list[tuple[int, ...]] = []
        self._late: dict[int, tuple[float, float]] = {}  # delay and jitter of a peer's messages

    @property
    def complete(self) -> bool:
        """Whether the endpoints of all peers are known."""
        return len(self.endpoints) == len(self._near)

    def listens(self, me: int, endpoint: str) -> list[int]:
        """Note where a peer listens.

        Returns:
            The peers whose `connections` are known now: all of them after the last endpoint; after a restart only this one.
        """
        again = self.complete
        self.endpoints[me] = endpoint
        if again or not self.complete:
            return [me] if again else []
        direct = {pair: self.endpoints[pair[1]] for pair in self._weather}
        self._places = self._proxy.open(direct) if self._proxy else direct
        return list(self._near)

    def connections(self, me: int) -> dict[int, str]:
        """The endpoints at which a peer connects to its neighbours."""
        return {other: self._places[me, other] for other in self._near[me]}

    def change(self, due: Due) -> None:
        """Apply an event to the links: cut, heal, delay or reset."""
        if self._proxy is None:
            return
        match due.do:
            case "reset":
                self._proxy.reset([pair for pair in self._weather if {*pair} & {*due.peers}])
                return
            case "cut":
                self._cuts.append(due.peers)
            case "heal":
                self._cuts.remove(due.peers)
            case _:
                self._late |= dict.fromkeys(due.peers, (due.amount, due.jitter))
        now = {pair: self._of(pair) for pair in self._weather}
        self._proxy.become({pair: now[pair] for pair in now if now[pair] != self._weather[pair]})
        self._weather = now

    def close(self) -> None:
        if self._proxy:
            self._proxy.close()

    def _of(self, pair: Pair) -> Weather:
        cut = any((pair[0] in group) != (pair[1] in group) for group in self._cuts)
        return Weather(cut, *max(self._late.get(me, (0.0, 0.0)) for me in pair))
