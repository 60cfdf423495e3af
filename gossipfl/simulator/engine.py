"""Rounds of all peers at once; must not know any transport."""

from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial

import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm, State, Summing, leaves, models, rebuilt, takes_back
from gossipfl.engine import Run, carry_out, give_back, relative_distance
from gossipfl.mixing import Mixing
from gossipfl.models import Problem
from gossipfl.simulator.heard import HeardByAll
from gossipfl.simulator.ledger import Ledger, Tally, closed, ledger_of, mates, noted, opened
from gossipfl.simulator.settling import Settling
from gossipfl.topology import Links, Topology
from gossipfl.topology.links import Mask

CYCLE = 64  # rounds of a periodic topology whose matrices are kept
PATIENCE = 32  # rounds; if half of all messages are lost, so many in a row are lost once in 2^32


class Simulator:
    """All peers in one process, as rows of one tensor (an `Engine`).

    Args:
        algorithm: what happens in a round.
        problem: the peers' objectives; row i belongs to peer i. None for consensus, which does not learn.
        topology: round -> links. It must be a pure function.
        mixing: how rows cross edges and how they are combined.
        diameter: rounds with links that news needs to reach every peer; `settled` looks that far back.
        changing: the topology changes, so whether news has reached every peer must be checked.
        patience: rounds with a link in which one end may hear nothing along it, before both ends end their session. With 0
            every lost message ends a session, and an exact method does not converge.

    A peer that is away keeps its state. If messages may be lost or peers may be away, and links lead both ways, the edges of
    an exact method have accounts: see `ledger`.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        problem: Problem | None,
        topology: Topology,
        mixing: Mixing = Mixing(),
        diameter: int = 0,
        changing: bool = False,
        patience: int = PATIENCE,
    ) -> None:
        self.algorithm, self.problem, self.topology, self.mixing = algorithm, problem, topology, mixing
        self.messages_sent = self.bytes_sent = 0
        self._links = lru_cache(2)(topology)  # the round just carried out is looked up again
        self._known: deque[tuple[Links, HeardByAll]] = deque(maxlen=CYCLE)
        self.settling = Settling(topology, diameter, changing)
        self._latest = 0  # the round carried out last, for `settled` alone
        self._patience = patience
        self._accounts = takes_back(algorithm, mixing)

    def init(self, x: Tensor) -> Run:
        return Run(0, self.algorithm.init(x), None, opened(x))

    def step(self, run: Run) -> Run:
        links, ledger = self._links(run.round), ledger_of(run)
        grad = self.problem.grad(run.round) if self.problem else torch.zeros_like
        self._latest = run.round
        sound = links.arrives is None and links.present is None and not ledger.ends.numel()
        tally = None if sound else self._tally(links)
        exchange = partial(self._exchange, links, run.round, tally)
        after = carry_out(self.algorithm, grad, links, run, self.mixing, exchange)
        return after if sound else self._settled(links, tally, ledger, run.state, after)

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        if isinstance(run.state, Summing):  # messages show no models, and a digest of each model was compared
            return relative_distance(run.state.x, run.state.x[:1])
        assert run.replicas is not None
        peers, width = run.state.x.shape
        own = models(self.algorithm, _of_peers(run.replicas, peers), width)
        heard = self._along(self._links(run.linked), own)
        distance = relative_distance(own[heard.senders], own[heard.rows])
        sides = self._links(run.round - 1).sides
        if sides is not None:  # leave out neighbours that will never be heard again
            side = torch.from_numpy(sides).to(own.device)
            distance = torch.where(side[heard.senders] == side[heard.rows], distance, 0.0)
        return own.new_zeros(len(own)).scatter_reduce(0, heard.rows, distance, "amax")

    @property
    def over(self) -> bool:
        return False

    def unsettle(self) -> bool:
        self.settling.forget()
        return True

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        return self.settling.settled(self._latest, self._links(self._latest), converged, over)

    def _tally(self, links: Links) -> Tally | None:
        """A tally for this round's exchanges; None if the method has no accounts or the links do not come in pairs."""
        places = mates(links) if self._accounts and len(links.receivers) else None
        return None if places is None else Tally(links, places, self.mixing)

    def _settled(self, links: Links, tally: Tally | None, ledger: Ledger, before: State, after: Run) -> Run:
        """The run after a round with possible faults: restores peers that were away, and closes sessions that end."""
        state = after.state if links.present is None else _chosen(links.present, after.state, before)
        if tally:
            ledger, told = noted(ledger, tally)
            state = self._given_back(state, ledger, told)
        if len(ledger.ends):
            ledger, left = closed(ledger, links.present, self._patience)
            state = self._given_back(state, ledger, left)
        if links.forgets is not None:
            state = _chosen(~links.forgets, state, self.algorithm.init(ledger.start))
        return after._replace(state=state, edges=ledger)

    def _given_back(self, state: State, ledger: Ledger, pulled: Tensor) -> State:
        return give_back(self.algorithm, state, pulled, ledger.blocks.tolist())

    def _exchange(
        self,
        links: Links,
        round: int,
        tally: Tally | None,
        k: int,
        x: Tensor,
        replicas: Tensor | None,
        blocks: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        """The mixed rows and the new replicas: one of each row, then, if messages get lost, what each link's receiver holds."""
        channel, peers = self.mixing.channel, len(x)
        before = channel.init(x) if replicas is None else _of_peers(replicas, peers)
        payload = channel.send(x, before, round, blocks)
        after = channel.receive(payload, before, round, blocks)
        messages = len(links.receivers)
        self.messages_sent += messages
        for tensor in payload:
            self.bytes_sent += messages * tensor.nbytes // peers
        if links.present is not None and channel.remembers:  # no peer heard from those that are away
            after = torch.where(torch.from_numpy(links.present).to(x.device)[:, None], after, before)
        if tally:
            tally.add(k, after, blocks)
        heard = self._along(links, after)
        if links.arrives is None:
            return self.mixing.combine(x, after, heard, k), after
        held = after[:0] if replicas is None else replicas[peers:]
        heard.held = held = self._hold(links, round, payload, held, blocks)
        return self.mixing.combine(x, after, heard, k), torch.cat((after, held))

    def _hold(
        self, links: Links, round: int, payload: tuple[Tensor, ...], held: Tensor, blocks: Sequence[int]
    ) -> Tensor:
        """What the receiver of each link holds of its sender: what arrives now, or what arrived last."""
        assert links.arrives is not None
        senders = torch.from_numpy(links.senders).to(held.device)
        sent = tuple(t[senders] for t in payload)
        if held.shape != (len(links.senders), sum(blocks)):  # other links, or messages of another length
            held = held.new_zeros(len(links.senders), sum(blocks))
        got = self.mixing.channel.receive(sent, held, round, blocks)
        return torch.where(torch.from_numpy(links.arrives).to(got.device)[:, None], got, held)

    def _along(self, links: Links, replicas: Tensor) -> HeardByAll:
        """The replicas as heard along these links. What depends only on the links is cached."""
        for of, heard in self._known:
            if of is links and heard.own.dtype == replicas.dtype:
                heard.own = replicas
                return heard
        heard = HeardByAll(links, replicas)
        if links.arrives is None:
            self._known.append((links, heard))
        return heard


def _of_peers(replicas: Tensor, peers: int) -> Tensor:
    """The replicas of the rows themselves, which come first."""
    return replicas if len(replicas) == peers else replicas[:peers]


def _chosen(rows: Mask, one: State, other: State) -> State:
    """The state with the rows of `one` where `rows` (n,) is True, and the rows of `other` elsewhere.

    A tensor whose rows have another length in `one`, as messages of sums have, is taken from there: the sum at hand is void.
    """
    old, mine = leaves(other), torch.from_numpy(rows).to(one.x.device)
    tensors = {
        name: torch.where(mine.view(-1, *[1] * (new.dim() - 1)), new, old[name])
        if new.shape == old[name].shape
        else new
        for name, new in leaves(one).items()
    }
    return rebuilt(tensors, one)
