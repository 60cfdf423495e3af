"""What is due when, without a clock; and the phrase for each event."""

import pytest

from gossipfl.faults import Due, Plan
from gossipfl.faults.director import Director, told

EVENTS = (Due(1.0, "kill", (0,)), Due(1.0, "stop", (1,)), Due(2.5, "restart", (0,)))


def test_seconds_count_from_when_learning_began():
    director = Director(Plan("seconds", EVENTS))
    assert director.patience(None) is None
    assert director.due(None, 50) == []
    assert director.patience(0.25) == 0.75
    assert director.due(0.9, 50) == []
    assert director.due(1.0, 0) == list(EVENTS[:2])
    assert director.patience(3.0) == 0.0
    assert director.coming == 1
    assert director.due(3.0, 0) == [EVENTS[2]]
    assert director.patience(3.0) is None


def test_rounds_are_the_first_that_is_told_at_or_after():
    director = Director(Plan("rounds", tuple(event._replace(when=10 * event.when) for event in EVENTS)))
    assert director.patience(5.0) is None
    assert director.due(100.0, 9) == []
    assert [due.do for due in director.due(100.0, 12)] == ["kill", "stop"]
    assert [due.do for due in director.due(100.0, 99)] == ["restart"]


def test_when_it_is_over_nothing_is_due():
    director = Director(Plan("seconds", EVENTS))
    director.end()
    assert director.due(9.0, 9) == []
    assert director.patience(0.0) is None


@pytest.mark.parametrize(
    ("due", "words"),
    [
        (Due(1, "kill", (0, 2)), "kill a, c"),
        (Due(1, "restart", (1,), fresh=True), "restart b without a checkpoint"),
        (Due(1, "cut", (0, 1)), "cut a, b from the others"),
        (Due(1, "heal", (0, 1)), "heal the cut of a, b from the others"),
        (Due(1, "delay", (0, 1, 2), 0.05, 0.01), "delay the messages of all by 50 ms and up to 10 ms more"),
        (Due(1, "loss", (2,), 0.05), "lose 5% of what c sends"),
        (Due(1, "loss", (0, 1, 2), 0.1), "lose 10% of what all send"),
        (Due(1, "duplicate", (0, 2), 0.5), "duplicate 50% of what a, c send"),
        (Due(1, "duplicate", (2,), 0.5), "duplicate 50% of what c sends"),
        (Due(1, "duplicate", (2,), 0.0), "end the duplicate at c"),
        (Due(1, "reset", (2,)), "reset the connections of c"),
    ],
)
def test_an_event_in_words(due, words):
    assert told(due, ["a", "b", "c"]) == words
