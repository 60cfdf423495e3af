"""One line from many: each round once, in order, of whoever is there, and nothing piles up."""

from hypothesis import given
from hypothesis import strategies as st

from gossipfl.experiment.launch.chorus import WAITING, Chorus
from gossipfl.runs.events import Progress


def line(round, loss=0.0, apart=0.0, seconds=0.0):
    return Progress(round, loss, apart, seconds)


def rounds(lines):
    return [one.round for one in lines]


def test_a_round_is_told_when_all_have_told_theirs():
    chorus = Chorus(3)
    assert chorus.hear(0, line(1, 3.0, 0.1, 5.0)) == []
    assert chorus.hear(0, line(5, 9.0)) == []
    assert chorus.hear(2, line(1, 1.0, 0.3, 4.0)) == []
    assert chorus.hear(1, line(1, 2.0, 0.2, 6.0)) == [Progress(1, 2.0, 0.3, 6.0)]


def test_who_leaves_is_waited_for_no_more_and_counts_again_when_it_speaks():
    chorus = Chorus(3)
    for peer in (0, 1):
        chorus.hear(peer, line(1))
        chorus.hear(peer, line(2))
    assert rounds(chorus.leave(2)) == [1, 2]
    chorus.hear(0, line(3))
    assert rounds(chorus.hear(1, line(3))) == [3]
    assert chorus.hear(2, line(2)) == [], "an old round is not told again"
    chorus.hear(0, line(4))
    assert chorus.hear(1, line(4)) == [], "it is there, and behind"
    assert rounds(chorus.hear(2, line(4))) == [4]


def test_who_jumps_ahead_holds_nobody_up():
    chorus = Chorus(2)
    chorus.hear(0, line(1))
    chorus.hear(0, line(2, 7.0))
    assert chorus.hear(1, line(3, 1.0)) == [line(1, 0.5), line(2, 4.0)], (
        "its next line stands for those left out"
    )
    assert chorus.hear(0, line(3, 2.0)) == [line(3, 1.5)]


def test_who_begins_anew_does_not_set_the_clock_back():
    chorus = Chorus(2)
    chorus.hear(0, line(90, seconds=4.0))
    chorus.leave(1)
    chorus.hear(1, line(95, seconds=0.1))
    assert chorus.hear(0, line(100, seconds=4.5)) == [line(95, seconds=4.5)]


def test_who_hangs_without_our_knowing_makes_nothing_pile_up():
    chorus = Chorus(2)
    told = [one for k in range(1, 1000) for one in chorus.hear(0, line(k))]
    assert rounds(told) == list(range(1, 1000 - WAITING))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=60))
def test_rounds_are_told_once_and_in_order_whatever_happens(script):
    chorus, at, told = Chorus(3), [0, 0, 0], []
    for peer, step in script:
        if step:
            at[peer] += step
            told += chorus.hear(peer, line(at[peer]))
        else:
            told += chorus.leave(peer)
    assert rounds(told) == sorted({*rounds(told)})
