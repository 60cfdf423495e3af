"""Sessions: both ends of an edge count the same exchanges, whatever is lost, late, doubled, given up or begun anew."""

from itertools import count

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs
from worlds import STUDY

from gossipfl.peer.edge import Edge
from gossipfl.peer.ledger import EdgeAccounts
from gossipfl.peer.wire import WINDOW, Header, Opening

OPENING = Opening(0.5, b"topology")
PEER = 1  # what each end calls the other


class End:
    """One end: an edge, and in plain words what it has counted: exchanges of this session that it used, and their weights."""

    def __init__(self, numbers: "count[int]") -> None:
        self.numbers = numbers
        self.begin()

    def begin(self) -> None:
        """All is forgotten, as when a process starts again."""
        self.edge = Edge(lambda: next(self.numbers), OPENING)
        self.counted: dict[int, float] = {}
        self.ledger = EdgeAccounts({PEER: self.edge})
        self.sum = torch.zeros(1, 1, dtype=torch.float64)  # what a method's field would hold

    def says(self, number: int) -> Header:
        edge = self.edge
        opens = None if edge.named else edge.opens
        return Header(
            STUDY, PEER, number, mine=edge.mine, yours=edge.yours, last=edge.last, used=edge.used, opens=opens
        )

    def hears(self, header: Header) -> None:
        self.edge.hear(header)
        self.look()

    def takes(self, header: Header, number: int) -> None:
        """The message of this exchange came in time."""
        self.hears(header)
        if self.edge.fits(header):
            self.edge.use(number)
            self.counted[number] = self.edge.weight
            pulled = torch.tensor([[float(number + 1)]], dtype=torch.float64)
            self.ledger.add(number, [PEER], pulled)
            self.sum += pulled

    def look(self) -> None:
        if self.edge.ended:
            self.counted.clear()
        for number, matched in self.edge.told:
            if not matched:
                self.counted.pop(number, None)
        back = self.ledger.news()
        if back is not None:
            self.sum -= back

    def gives_up(self, weight: float | None = None) -> None:
        self.edge.give_up(None if weight is None else Opening(weight, b"topology"))
        self.look()


event = st.tuples(
    st.sampled_from(["in time", "in time", "in time", "lost", "late", "twice"]),
    st.sampled_from(["in time", "in time", "in time", "lost", "late", "twice"]),
    st.sampled_from(
        ["", "", "", "", "", "", "a gives up", "b gives up", "a begins", "b begins", "a weighs", "b weighs"]
    ),
    st.integers(1, 3) | st.just(1) | st.just(WINDOW - 1) | st.just(WINDOW + 2),
)
QUIET = ("in time", "in time", "", 1)


def carry_out(events: list[tuple[str, str, str, int]]) -> tuple[End, End]:
    numbers = count(1)
    a, b = End(numbers), End(numbers)
    number, late = 0, []
    for to_a, to_b, trouble, step in [*events, *[QUIET] * 6]:
        from_a, from_b = a.says(number), b.says(number)
        for end, header, fate in ((a, from_b, to_a), (b, from_a, to_b)):
            if fate in ("in time", "twice"):
                end.takes(header, number)
            if fate == "twice":
                end.hears(header)
            if fate == "late":
                late.append((end, header))
        if fate != "late":
            while late:
                end, header = late.pop(0)
                end.hears(header)
        if trouble:
            trouble_of({"a": a, "b": b}[trouble[0]], trouble[2:], number)
        number += step
    return a, b


def trouble_of(end: End, what: str, number: int) -> None:
    match what:
        case "gives up":
            end.gives_up()
        case "begins":
            end.begin()
        case "weighs":
            end.gives_up(1 / (3 + number % 5))


@settings(max_examples=500)
@given(st.lists(event, max_size=30))
@example([QUIET, QUIET, QUIET, ("in time", "lost", "", 1), QUIET])
@example([QUIET, QUIET, QUIET, ("in time", "in time", "a begins", 1), QUIET])
@example([QUIET, QUIET, QUIET, ("in time", "lost", "", WINDOW + 2), QUIET])
def test_both_ends_count_the_same_exchanges(events: list[tuple[str, str, str, int]]) -> None:
    a, b = carry_out(events)

    def settled(end: End) -> dict[int, float]:
        return {number: weight for number, weight in end.counted.items() if number not in end.edge._open}

    assert settled(a) == settled(b), "and with the same weights"
    assert len(a.counted.keys() ^ b.counted.keys()) <= 1, "only the last is not known of yet"
    assert len(settled(a)) >= 2, "a session is under way again"
    for end in (a, b):
        assert float(end.sum) == sum(number + 1 for number in end.counted), (
            "the ledger is a sum over what is counted"
        )


def test_a_quiet_session_counts_all_but_its_beginning() -> None:
    a, b = carry_out([QUIET] * 20)
    assert a.counted.keys() == b.counted.keys() == set(range(1, 26))


def test_a_session_outlasts_any_rest() -> None:
    a, b = carry_out([("in time", "in time", "", 100 * WINDOW)] * 20)
    assert len(a.counted) == len(b.counted) == 25


def test_a_lost_message_is_taken_back_by_the_one_who_heard() -> None:
    a, b = carry_out([QUIET] * 5 + [("in time", "lost", "", 1)] + [QUIET] * 5)
    assert 5 not in a.counted | b.counted
    assert {4, 6} <= a.counted.keys() & b.counted.keys()


@pytest.mark.parametrize("opens", [None, OPENING])
def test_a_message_of_an_old_session_that_comes_very_late_does_no_harm(opens: Opening | None) -> None:
    """It is left out, unless it says how that session began: then it begins a new one."""
    numbers = count(1)
    a, b = End(numbers), End(numbers)

    def exchange(ticks: range) -> Header:
        for number in ticks:
            from_b, from_a = b.says(number), a.says(number)
            a.takes(from_b, number)
            b.takes(from_a, number)
        return from_b

    old = exchange(range(5))
    b.begin()
    exchange(range(5, 10))
    assert a.counted.keys() == b.counted.keys() == set(range(7, 10))
    a.hears(structs.replace(old, opens=opens))
    assert bool(a.counted) == (opens is None)
    exchange(range(10, 16))
    assert a.counted == b.counted
    assert len(a.counted) >= 3


def test_the_mask_reaches_back_through_a_window() -> None:
    edge = Edge(lambda: 5, OPENING)
    edge.hear(Header(STUDY, PEER, 0, mine=9, yours=5, opens=OPENING))
    assert (edge.last, edge.used) == (-1, 0)
    edge.use(4)
    assert (edge.last, edge.used) == (4, 1)
    edge.use(7)
    assert (edge.last, edge.used) == (7, 0b1001)
    edge.use(6 + WINDOW)
    assert (edge.last, edge.used) == (6 + WINDOW, 1 << WINDOW - 1 | 1)
    edge.use(10 * WINDOW)
    assert (edge.last, edge.used) == (10 * WINDOW, 1)
