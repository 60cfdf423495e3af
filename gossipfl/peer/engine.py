"""The engine that holds one peer; must not know sockets, files or the other engine.

`mix` is: send to my neighbours, listen until all of them were heard, combine. There is no thread, lock or event loop: the
transport buffers while we compute.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gossipfl.algorithms import Algorithm, Summing, arithmetic, models, takes_back
from gossipfl.engine import Lookback, Run, carry_out, give_back, once, relative_distance
from gossipfl.errors import BadMessage
from gossipfl.mixing import Average, Direct, Mixing, Payload
from gossipfl.models import Problem
from gossipfl.models.problem import ArrayGrad
from gossipfl.peer.edges import Edges, Heard
from gossipfl.peer.exchange import Exchange
from gossipfl.peer.ledger import EdgeAccounts, plus
from gossipfl.peer.neighbour import Health, Message
from gossipfl.peer.quorum import Quorum
from gossipfl.peer.wire import ASIDE, FALLBACK, MAIN, from_bytes, to_bytes
from gossipfl.topology import Links, Topology

Array = npt.NDArray[Any]
LARGE = "numbers that are far too large"


def finite(x: Tensor) -> bool:
    """Whether all numbers are finite, and their sum."""
    return math.isfinite(x.sum())


def squarable(x: Tensor) -> bool:
    """Whether the squares of all numbers can be summed: the loss of a larger model is infinite."""
    return sizeable(x.numpy())


def sizeable(x: Array) -> bool:
    """`squarable` in numpy."""
    row = x.ravel()
    return math.isfinite(row.dot(row))


def _never(round: int) -> None:  # noqa: ARG001 -- there is no gradient in numpy
    return None


def farthest(rows: Array) -> Tensor:
    """The largest `relative_distance` of the other rows to the first one, (1,)."""
    with np.errstate(all="ignore"):
        gaps, own = rows[1:] - rows[:1], rows[0]
        largest, size = np.sqrt(np.einsum("ij,ij->i", gaps, gaps).max()), np.sqrt(own.dot(own))
        return torch.from_numpy(np.array([largest and largest / size]))


class Peer:
    """One peer, talking to its neighbours (an `Engine` with n = 1).

    Args:
        exchange: my end of all my edges; several engines may use it one after the other.
        algorithm, problem, topology, mixing, diameter, changing: as for the simulator; `problem` holds my row alone.
        origin: the exchange number of round 0.
        learns: exchanges of other engines may come between its rounds (`Rumours.aside`), and are left out of the count.
        aside: this is such an engine: its messages say so, and it leaves the news of edges to the one that learns.
        alike: all peers converge in the same exchange, since they read it off equal totals. Then they need to tell each other
            only that the time is up.
    """

    def __init__(
        self,
        exchange: Exchange,
        algorithm: Algorithm,
        problem: Problem | None,
        topology: Topology,
        mixing: Mixing = Mixing(),
        diameter: int = 0,
        changing: bool = False,
        *,
        origin: int = 0,
        learns: bool = False,
        aside: bool = False,
        alike: bool = False,
    ) -> None:
        self.exchange, self._first, self._learns, self._aside = exchange, origin, learns, aside
        self._alike = alike
        self.algorithm, self.problem, self.topology, self.mixing = algorithm, problem, topology, mixing
        self._before = exchange.outbox.messages, exchange.outbox.bytes
        self._links: Links | None = None
        self._edges: Edges | None = None
        self._quorum = Quorum(diameter)
        self._lookback, self._round = Lookback(topology, diameter, changing), 0
        self._ledger: EdgeAccounts | None = None
        self._back: Tensor | None = None  # what is to be given back after this round
        self._blocks: Sequence[int] = ()
        self._absent = 0.0
        self._peers = list(exchange.names)
        self._me = self._peers.index(exchange.me)
        self._agreed: dict[int, float] | None = None  # the weights of my edges, if not the topology's
        self._opened = -1
        self._method = ASIDE if aside else MAIN
        self._sound = squarable if problem else finite
        simple = type(mixing.channel) is Direct and type(mixing.aggregator) is Average and not mixing.steps
        plain = arithmetic(algorithm) and simple  # messages are models
        self._latest: tuple[Any, Any] = None, None  # the latest state, and the same in numpy
        self._in_numpy: Callable[[int], ArrayGrad | None] = (
            getattr(problem, "in_numpy", _never) if plain else _never
        )

    def tolerate(self, absent: float, agreed: bool = False, robust: bool = False) -> None:
        """From here on go on without neighbours that do not answer. The method must bear that.

        What only one end of an edge used leaves the fields that the method keeps accounts of; so does all that a neighbour has
        contributed which is gone.

        Args:
            absent: if a neighbour disappears, nobody stops for so many seconds.
            agreed: edges have the weights that both ends agreed on when their session began. The links must never change.
            robust: this is the fallback method, and its messages say so.
        """
        self.exchange.tolerate()
        neighbours = self.exchange.neighbours
        self._absent, self._method = absent, FALLBACK if robust else MAIN
        self._agreed = neighbours.weights if agreed else None
        keeps = takes_back(self.algorithm, self.mixing)
        self._ledger = EdgeAccounts({peer: one.edge for peer, one in neighbours.items()}) if keeps else None

    @property
    def _origin(self) -> int:
        """The number that the exchange of round 0 would have, if all exchanges so far had been rounds."""
        return self._first + (self.exchange.neighbours.rumours.aside if self._learns else 0)

    @property
    def messages_sent(self) -> int:
        return self.exchange.outbox.messages - self._before[0]

    @property
    def bytes_sent(self) -> int:
        return self.exchange.outbox.bytes - self._before[1]

    def init(self, x: Tensor) -> Run:
        return Run(0, self.algorithm.init(x), None)

    @np.errstate(all="ignore")  # as torch: what is not finite shows in the result
    def step(self, run: Run) -> Run:
        links = self.topology(run.round)
        self._round = run.round
        if gradient := self._in_numpy(run.round):
            after = self._carry_out(gradient, links, run)
        else:
            grad = self.problem.grad(run.round) if self.problem else torch.zeros_like
            exchange = partial(self._exchange, links, run.round)
            after = carry_out(self.algorithm, grad, links, run, self.mixing, exchange)
        if self._back is not None:
            state = give_back(self.algorithm, after.state, self._back, self._blocks)
            after = after._replace(state=state, finite=False)
            self._back = None
        origin, exchanges = self._origin, self.mixing.exchanges
        if ahead := self.exchange.waiting.ahead(origin + (after.round + 1) * exchanges):
            further = {peer: (number - origin) // exchanges for peer, number in ahead.items()}
            after = after._replace(round=self._next(after.round, further))
        self.exchange.go_on(origin + after.round * exchanges)
        return after

    def _carry_out(self, gradient: ArrayGrad, links: Links, run: Run) -> Run:
        """`carry_out` with the row in numpy: for few numbers a call to torch costs more than the arithmetic."""
        round, replicas, linked, times = run.round, run.replicas, run.linked, 0

        def mix(x: Array) -> Array:
            nonlocal replicas, linked, times
            times += 1
            if times > 1 or not len(links.receivers):
                return x
            linked = round
            mixed, replicas = self._average(links, round, x, replicas, run.state.x.dtype)
            return mixed

        state: Any = run.state
        before, given = self._latest
        if state is not before:
            given = type(state)(*[field.numpy() for field in state])
        after: Any = self.algorithm.round(given, gradient, mix)  # type: ignore[arg-type]
        once(self.algorithm, times)
        made = type(state)(*[torch.from_numpy(field) for field in after])
        self._latest = made, after
        return Run(round + 1, made, replicas, run.edges, linked, run.turn, sizeable(after.x))

    def _next(self, round: int, ahead: Mapping[int, int]) -> int:
        """The round to go on with: the next one, unless neighbours, which are in the rounds `ahead`, went on without me.

        The round is a logical clock. A neighbour may be ahead because it need not hear me for a while: links change, or a round
        has none. But a neighbour that did not wait for a message of mine has given me up, and I follow it.
        """
        for peer, further in ahead.items():
            if further > round and any(self._sends(peer, k) for k in range(round, further)):
                round = further
        return round

    def _sends(self, peer: int, round: int) -> bool:
        """Whether I send a message to that peer in that round."""
        links = self.topology(round)
        sent = (links.receivers == self._peers.index(peer)) & (links.senders == self._me)
        return bool((sent if links.arrives is None else sent & links.arrives).any())

    def rounds(self, run: Run) -> Iterator[Run]:
        while True:
            run = self.step(run)
            yield run

    def disagreement(self, run: Run) -> Tensor:
        if isinstance(run.state, Summing):  # messages show no models, and a digest of each model was compared
            return run.state.x.new_zeros(1)
        assert run.replicas is not None
        if isinstance(run.replicas, np.ndarray) and len(run.replicas) > 1:
            return farthest(run.replicas)
        replicas = models(self.algorithm, torch.as_tensor(run.replicas), run.state.x.shape[1])
        own, heard = replicas[:1], replicas[1:]
        if self._edges and self._edges.places is not None:
            heard = replicas[self._edges.places[1:]]
        if not len(heard):
            return own.new_zeros(1)
        return relative_distance(heard, own.expand_as(heard)).amax(0, keepdim=True)

    @property
    def over(self) -> bool:
        return self.exchange.neighbours.rumours.over

    def unsettle(self) -> bool:
        self._quorum.forget()
        return not self.exchange.neighbours.settled

    def settled(self, converged: Tensor, over: bool = False) -> bool:
        self._lookback.note(self._round)
        neighbours = self.exchange.neighbours
        if over:
            neighbours.spread(over=True)
        rumours = neighbours.rumours
        self._quorum.deepen(rumours.depth)
        whole = neighbours.whole(self.exchange.now, self._absent)
        together = self._alike and whole and bool(converged)
        here = whole and (rumours.over or (bool(converged) and not self._alike))
        reached = self._quorum.settled(here) and self._lookback.reached(len(self.exchange.names))
        neighbours.ready = self._quorum.ready or together
        return reached or together or neighbours.settled

    def _exchange(
        self, links: Links, round: int, k: int, x: Tensor, replicas: Tensor | None, blocks: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The mixed row and the new replicas (1 + e, D): what my neighbours hold of me, and what I hold of them."""
        channel, edges = self.mixing.channel, self._along(links, x.dtype)
        replicas = self._fitting(replicas, x, edges)
        if not self._sound(x):
            return x, replicas  # diverged: the loop sees it, and neighbours get nothing of it
        payload = channel.send(x, replicas[:1] if channel.remembers else x, round, blocks)
        data = to_bytes(payload)
        number = self._origin + round * self.mixing.exchanges + k
        heard = self._swap(links, edges, number, data, x.dtype)
        mixed, after = self._usable(edges, heard, x, data, payload, replicas, round, k, blocks)
        self._account(number, edges, after, blocks, k)
        return mixed, after

    def _fitting(self, replicas: Tensor | Array | None, x: Tensor, edges: Edges) -> Tensor:
        """The replicas, (1 + e, D); new ones where x has another width, or where there are other edges."""
        replicas = None if replicas is None else torch.as_tensor(replicas)
        if (
            replicas is not None
            and replicas.shape[1] == x.shape[1]
            and len(replicas) == 1 + len(edges.sources)
        ):
            return replicas
        kept = replicas is not None and replicas.shape[1] == x.shape[1]
        own = replicas[:1] if replicas is not None and kept else self.mixing.channel.init(x)
        return torch.cat((own, x.new_zeros(len(edges.sources), x.shape[1])))

    def _average(
        self, links: Links, round: int, x: Array, replicas: Tensor | Array | None, dtype: torch.dtype
    ) -> tuple[Array, Tensor | Array]:
        """`_exchange` of a row in numpy, for messages that are rows and their weighted average.

        The replicas are in numpy where all my edges were heard, else in torch.
        """
        edges, number = self._along(links, dtype), self._origin + round
        if not sizeable(x):
            return x, self._fitting(replicas, torch.from_numpy(x), edges)
        data, part, blocks = x.tobytes(), self.mixing.part(0), [x.shape[1]]
        heard = self._swap(links, edges, number, data, dtype)
        if edges.places is None:
            rows = np.frombuffer(bytearray().join([data, *[message.payload for message in heard]]), x.dtype)
            rows = rows.reshape(-1, x.shape[1])
            mixed = edges.averaging.dot(rows)
            if part != 1.0:
                mixed = (
                    x + part * (mixed - x) if part < 0.5 else mixed - (1 - part) * (mixed - x)
                )  # as torch.lerp
            if sizeable(mixed):
                self._account(number, edges, rows, blocks, 0)
                return mixed, rows
        like = torch.from_numpy(x)
        replicas = self._fitting(replicas, like, edges)
        average, after = self._usable(edges, heard, like, data, (like,), replicas, round, 0, blocks)
        self._account(number, edges, after, blocks, 0)
        return average.numpy(), after

    def _swap(
        self, links: Links, edges: Edges, number: int, data: bytes, dtype: torch.dtype
    ) -> list[Message]:
        """Send `data` to my neighbours, and return their messages that can be used."""
        messages = self.exchange.swap(
            number, edges.to, edges.awaited, data, self._quorum.speak(), edges.lost, self._method
        )
        opened = self.exchange.neighbours.opened
        if self._agreed is not None and self._opened != opened:
            self._opened, self._agreed = opened, self.exchange.neighbours.weights
            edges.renew(links, dtype, self._agreed)
        return self._heard(edges, messages)

    def _account(
        self, number: int, edges: Edges, after: Tensor | Array, blocks: Sequence[int], k: int
    ) -> None:
        """Note what the edges have pulled in this exchange, and what is to be given back of earlier ones."""
        if self._ledger:
            self._blocks = blocks
            if (news := self._ledger.news()) is not None:
                self._back = plus(self._back, news)
                self._quorum.veto()  # my model is about to move
            self._ledger.add(number, edges.awaited, edges.pulled(np.asarray(after), self.mixing.part(k)))
        elif not self._aside:
            self.exchange.neighbours.unread()

    def _heard(self, edges: Edges, messages: Sequence[Message | None]) -> list[Message]:
        """The messages that can be used. From here on the edges know which."""
        heard = [message for message in messages if message is not None]
        for message in heard:
            self._quorum.hear(message.header.converged)
        if len(heard) < len(messages):
            gone = Health.DOWN, Health.LEFT
            for peer, came in zip(edges.awaited, messages, strict=True):
                if came is None and self.exchange.neighbours[peer].health not in gone:
                    self._quorum.veto()
            edges.limit({message.header.sender for message in heard})
        return heard

    def _usable(
        self,
        edges: Edges,
        heard: list[Message],
        x: Tensor,
        data: bytes,
        payload: Payload,
        replicas: Tensor,
        round: int,
        k: int,
        blocks: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        """As `_mixed`; for a message that cannot be used another one is awaited."""
        while (both := self._mixed(edges, heard, x, data, payload, replicas, round, k, blocks)) is None:
            bad = self._unusable(heard, data, payload, replicas, round, blocks)
            others = self.exchange.again(bad, edges.awaited)
            heard = self._heard(edges, [others.get(message.header.sender, message) for message in heard])
        return both

    def _mixed(
        self,
        edges: Edges,
        heard: Sequence[Message],
        x: Tensor,
        data: bytes,
        payload: Payload,
        replicas: Tensor,
        round: int,
        k: int,
        blocks: Sequence[int],
    ) -> tuple[Tensor, Tensor] | None:
        """The mixed row and the new replicas: mine, and those of the neighbours whose messages arrived; others do not change.

        None: one of these messages cannot be used.
        """
        numbers = from_bytes([data, *(message.payload for message in heard)], payload)
        places = edges.places
        before = replicas if places is None else replicas[places]
        try:
            new = self.mixing.channel.receive(numbers, before, round, blocks)
        except BadMessage:
            return None
        after = new if places is None else replicas.index_copy(0, places, new)
        own = x if payload[0] is x else after[:1]  # the same object where the channel changes nothing
        mixed = self.mixing.combine(x, own, Heard(edges, after), k)
        if self._sound(mixed) or not heard or not self._sound(after[:1]):
            return mixed, after
        return None

    def _unusable(
        self,
        heard: Sequence[Message],
        data: bytes,
        payload: Payload,
        replicas: Tensor,
        round: int,
        blocks: Sequence[int],
    ) -> dict[int, str]:
        """The senders of messages that cannot be used, and what they sent: at least one of `heard`."""
        bad, sizes = {}, {}
        before = torch.zeros_like(replicas[:1]).expand(2, -1)
        for message in heard:
            sender, numbers = message.header.sender, from_bytes([data, message.payload], payload)
            try:
                shown = self.mixing.channel.receive(numbers, before, round, blocks)[1]
            except BadMessage as error:
                bad[sender] = str(error)
                continue
            sizes[sender] = float(shown.abs().amax())
            if not self._sound(shown):
                bad[sender] = LARGE if math.isfinite(sizes[sender]) else "numbers that are not finite"
        if not bad:
            bad[max(sizes, key=lambda sender: sizes[sender])] = LARGE
        return bad

    def _along(self, links: Links, dtype: torch.dtype) -> Edges:
        """My edges among these links, kept while the links stay the same."""
        if links is not self._links or self._edges is None or self._edges.limited:
            last = self._links
            if self._edges and last and links.receivers is last.receivers and links.senders is last.senders:
                self._edges.renew(links, dtype, self._agreed)
            else:
                self._edges = Edges(links, self._peers, self._me, dtype, self._agreed)
            self._links = links
        return self._edges
