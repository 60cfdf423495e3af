"""What a member may say, with which effect and within which bound; must not know sockets, models or bytes.

A member is authenticated, and not trusted. A message speaks of its sender alone, but for rumours: these spread from peer to
peer in the headers of messages, only grow, and have an effect that the study bounds. `TABLE` has a row for all that a message
can say; docs/security.md has the same table, and a test compares them.
"""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec

MAX_EXCHANGE = 2**62
MASK = 3072  # bytes of the longest stop mask
MAX_DEPTH = 8 * MASK  # hops that a stop mask has room for
CUTS = 32  # edges in `Rumours.cuts`: word of more of them is not passed on
FAR = 64  # exchanges beyond the one at hand that a rumour may name
SHORTEST = 2.0**-10  # times the agreed step: the shortest step that a newcomer may ask for
EARLY = 0.9  # of the seconds of a study: before that nobody's time is up
SKIPPED = 0.9  # of the exchanges of a study: one neighbour alone leads nobody further
OLD = 64  # times the steps of a gossip model for which there was time
CERTIFICATES = 128  # exchanges of a certificate for each peer, at most
ABSURD = 2  # times the number of peers: no honest word of the width of the network exceeds that

_Exchange = Annotated[int, msgspec.Meta(ge=0, lt=MAX_EXCHANGE)]
_Depth = Annotated[int, msgspec.Meta(ge=0, lt=MAX_DEPTH)]
_Peer = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
_When = Annotated[int, msgspec.Meta(ge=0, le=2 * MAX_EXCHANGE - 1)]
_Cuts = Annotated[tuple[tuple[_Peer, _Peer, _When], ...], msgspec.Meta(max_length=CUTS)]


class Here(NamedTuple):
    """What bounds the rumours that reach a peer.

    number: the exchange at hand.
    last: the last exchange that the study can have.
    peers: how many there are.
    timely: whether the time can be up. None: nearly; a peer whose clock is a bit ahead may think so.
    aside: the exchanges that certificates can have taken until that of the message.
    """

    number: int
    last: int
    peers: int
    timely: bool | None = True
    aside: int = 0


class Rumours(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is known of the whole network, from whoever knew it first. Rumours are joined by the maximum, field by field.

    broken: no exchange after this one is known to have been incomplete, anywhere.
    depth: hops within which all peers are reached, at least, while some are missing (see `Quorum`).
    over: the time is up for some peer.
    aside: the exchanges since learning began that are no rounds, since certificates took them.
    cuts: edges whose ends gave each other up, in order: (one end, the other end, 2 k + 1); (.., .., 2 k) where they found each
        other again; k is the exchange of the latest change.
    """

    broken: _Exchange = 0
    depth: _Depth = 0
    over: bool = False
    cuts: _Cuts = ()
    aside: _Exchange = 0

    def join(
        self, broken: int = 0, depth: int = 0, over: bool = False, cuts: _Cuts = (), aside: int = 0
    ) -> "Rumours":
        """These rumours and what I found out myself."""
        cuts = _joined(self.cuts, cuts) if cuts else self.cuts
        return Rumours(
            max(self.broken, broken), max(self.depth, depth), self.over or over, cuts, max(self.aside, aside)
        )

    def heard(self, other: "Rumours", here: Here) -> "Rumours":
        """These rumours and those of a message, within their bounds."""
        last, cuts = here.number + FAR, other.cuts
        if cuts != self.cuts:
            cuts = tuple(cut for cut in cuts if cut[2] // 2 <= last)
        return self.join(
            min(other.broken, last),
            min(other.depth, here.peers - 1),
            other.over and here.timely is True,
            cuts,
            min(other.aside, here.aside),
        )

    def absurd(self, here: Here) -> Iterator[str]:
        """What no honest peer says: sentences that go on after the sender's name."""
        latest = max((when // 2 for _, _, when in self.cuts), default=0)
        if max(self.broken, latest) > here.last + FAR:
            yield f"speaks of exchange {max(self.broken, latest)}, which this study does not have"
        if self.depth > ABSURD * here.peers:
            yield f"says that the network is {self.depth} hops wide, and it has {here.peers} peers"
        if self.over and here.timely is False:
            yield "says that the time is up, and it is not"
        if self.aside > here.aside:
            yield f"says that certificates took {self.aside} exchanges, and {here.aside} is the most"

    @property
    def cut(self) -> list[tuple[int, int]]:
        """The edges whose ends have given each other up."""
        return [(one, other) for one, other, when in self.cuts if when % 2]


def _joined(cuts: _Cuts, others: _Cuts) -> _Cuts:
    """The latest word of each edge; of too many edges, of those that are cut, and of the latest."""
    latest: dict[tuple[int, int], int] = {}
    for one, other, when in (*cuts, *others):
        latest[one, other] = max(when, latest.get((one, other), 0))
    kept = sorted(latest.items(), key=lambda item: (item[1] % 2, item[1], item[0]))[-CUTS:]
    return tuple((*ends, when) for ends, when in sorted(kept))


NONE = Rumours()


class Permission(NamedTuple):
    """What a member may say with some fields of a message.

    fields: of the structs of `wire` and `letter`, or a part of the payload.
    says: what they mean.
    effect: on the peers that hear it.
    bound: what limits the effect, and what becomes of the rest. What is refused is counted, and its sender is named.
    """

    fields: str
    says: str
    effect: str
    bound: str


TABLE = (
    Permission(
        "study, sender",
        "to which study the message belongs, and who sends it",
        "none",
        "Another study, and another name than that of the connection's key, are refused.",
    ),
    Permission(
        "number",
        "in which exchange the sender is",
        "The message waits for that exchange. A peer that was left behind goes on from there.",
        "An exchange that the study does not have is refused, and so is more than a neighbour's share of memory. A peer "
        "follows a neighbour as far as another one is. One alone leads it on only after a time in which they were apart, "
        f"and not into the last {1 - SKIPPED:.0%} of the exchanges. A peer with one neighbour follows it.",
    ),
    Permission(
        "number (attempt)",
        "that all agree again, since a peer began again",
        "All agree again. Peers that learn already send their state.",
        "Only while all agree, and at most 63 times. A peer that begins again after that is unheard, and all end with code 5.",
    ),
    Permission(
        "payload: length",
        "the numbers of this exchange",
        "none",
        "Another length than mine is refused: the exchange counts as incomplete.",
    ),
    Permission(
        "payload: numbers",
        "the sender's part in the average or in the sum",
        "They count like the rows that they stand for. This bounds no number: a member that lies about its numbers shifts the "
        "model, as one with wrong rows does. When it leaves, its part is taken out again, where the method keeps accounts.",
        "Numbers that are not finite, or whose squares are not, are refused: the exchange counts as incomplete. Smaller ones, "
        "such as 1e100, are not: by them a member can make all end with exit code 6. With secure sums "
        "numbers that no peer sends spoil a sum: it is repeated, and counts as one more of those that rows bear.",
    ),
    Permission(
        "payload: words",
        "the levels and classes of the sender's rows, and how long they are, while all agree",
        "They count like those of all peers.",
        "Words that no peer says are refused. A sender that says that they are longer than they are makes all send longer "
        "messages, up to the largest of the study. If they are still longer, all end with exit code 5.",
    ),
    Permission(
        "payload: smoothness constant",
        "how much curvature the sender's rows have, while all agree",
        "The step of first-order methods, and of a fallback, is so much shorter: slower, and with the same result.",
        "More than the agreed means and deviations permit, if all rows were the sender's, does not count. Where no "
        "certificate is asked for and features are not standardised over all rows, nothing bounds it.",
    ),
    Permission(
        "mine, yours, last, used",
        "the session of the edge, and which of my messages the sender used",
        "What only one end used is given back, on this edge.",
        "On this edge only.",
    ),
    Permission(
        "converged",
        "that all within some hops of the sender have converged",
        "A peer stops when all have converged. A member that never says so keeps the others from stopping before the rounds or "
        "the seconds are up.",
        "A peer that has not converged itself never stops by it.",
    ),
    Permission(
        "leaving: settled",
        "that all have converged, and stop",
        "The peer that hears it stops, too, with what the sender contributed.",
        "Only where this peer itself converged in the last exchanges, and in this session. Otherwise the sender leaves alone.",
    ),
    Permission(
        "leaving: done",
        "that the sender has done all its rounds",
        "The sender leaves, and what it contributed stays.",
        "Only near the last round, or where this peer itself has converged. Otherwise the sender leaves early.",
    ),
    Permission(
        "leaving: diverged, failed, interrupted, ...",
        "that the sender leaves early, and why",
        "The others go on without it, and take out what it contributed. A method without a fallback ends, and names it.",
        "It speaks for the sender alone. It is back a second later at the earliest.",
    ),
    Permission(
        "method",
        "whether the payload is of the study's method, of the fallback, or of a sum beside learning",
        "A payload of another method is not used: the exchange counts as incomplete.",
        "On this edge only.",
    ),
    Permission(
        "rumours.broken",
        "up to which exchange one was incomplete somewhere",
        "The fallback takes over for two cycles: slower, and with the same result.",
        f"At most {FAR} exchanges ahead; an exchange that the study does not have is refused.",
    ),
    Permission(
        "rumours.depth",
        "how many hops wide the network is while peers are missing",
        "All stop so many exchanges after they have converged.",
        "At most the number of peers, less one; far more is refused.",
    ),
    Permission(
        "rumours.over",
        "that the time is up for some peer",
        'All stop together, by the word "seconds".',
        f"Only in a study with stop.seconds, after {EARLY:.0%} of them by this peer's own clock; far earlier it is refused. A "
        "peer that came late believes it when all its neighbours say so.",
    ),
    Permission(
        "rumours.cuts",
        "which edges are cut, and so whose rows are in a model",
        "The summary names whose rows are in the model. If it lacks some, the exit code is 6, and the scores are those of the "
        "others; with secure sums there are none. A fallback learns meanwhile. The model stays as it is.",
        f"At most {CUTS} edges, and {FAR} exchanges ahead; an exchange that the study does not have is refused. A false "
        "word can make a summary and its exit code wrong.",
    ),
    Permission(
        "rumours.aside",
        "how many exchanges certificates have taken, which are no rounds",
        "Exchanges of later rounds have numbers that are so much higher.",
        f"At most the exchanges since learning began, and {CERTIFICATES} for each peer and each doubling of the rounds; more "
        "is refused. A false word makes some exchanges incomplete.",
    ),
    Permission(
        "opens.weight",
        "the weight of the edge",
        "The smaller one of both ends counts.",
        "It never exceeds that of this end, nor has it another sign.",
    ),
    Permission(
        "opens.graph",
        "which topology the sender has",
        "Another topology: exchanges on this edge count as incomplete.",
        "Refused while all agree.",
    ),
    Permission(
        "opens.step",
        "that the sender's rows need a shorter step",
        "All learn with that step, and say who asks for it.",
        "The agreed step is halved until it is short enough, at most ten times: so often at most all begin anew. A step below "
        "a thousandth of the agreed one is refused.",
    ),
    Permission(
        "transfer",
        "what all have agreed on, and a model to begin with",
        "A peer that comes late or again joins with it.",
        "Only a peer that still agrees takes it, if its own rows can be learned from with it. Else it is refused, and another "
        "neighbour's is awaited. The peer ends when two neighbours, or its only one, have sent a state that it cannot use. A "
        "false one ends or steers the peers that take it: they cannot tell it from that of others which learn already.",
    ),
    Permission(
        "roster",
        "which keys of secure sums the sender knows",
        "If they are not those of this peer, all stop, and name the sender: somebody has told them different ones.",
        "Only where sums are secure, since secrecy counts more than the end there, and in this session.",
    ),
    Permission(
        "age, kind",
        "in gossip learning: how much the model has learned, and whether the sender asks for mine",
        "The model is merged with mine by that age, and answered.",
        f"More than {OLD} times the steps that there was time for is refused.",
    ),
)
