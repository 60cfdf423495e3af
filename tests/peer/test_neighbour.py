"""One neighbour's health, and the rumours that all neighbours spread."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import met

from gossipfl.peer.neighbour import NEXT, Health
from gossipfl.peer.rumours import CUTS, FAR, NONE, Here, Rumours

cuts = st.lists(st.tuples(st.integers(0, 3), st.integers(4, 6), st.integers(0, 9)), max_size=4)
cuts = cuts.map(lambda found: NONE.join(cuts=tuple(found)).cuts)
rumours = st.builds(Rumours, st.integers(0, 500), st.integers(0, 20), st.booleans(), cuts)


@pytest.mark.parametrize(("before", "after"), [*product(Health, Health)])
def test_health_changes_as_the_table_says(before: Health, after: Health) -> None:
    one = met(1)[1]
    one.health = before
    if after in NEXT[before]:
        one.become(after, 5.0)
        assert (one.health, one.since) == (after, 5.0)
    else:
        with pytest.raises(ValueError, match=f"p1 cannot change from {before.value} to {after.value}"):
            one.become(after, 5.0)


def test_every_health_can_be_reached_and_left() -> None:
    assert set(NEXT) == set(Health) == set().union(*NEXT.values())
    assert all(Health.UP in NEXT[health] for health in Health if health is not Health.UP)


def test_the_latest_word_of_an_edge_counts_and_of_too_many_those_that_are_cut() -> None:
    known = NONE.join(cuts=((1, 2, 2 * 5 + 1),))
    assert known.cut == [(1, 2)]
    assert known.join(cuts=((1, 2, 2 * 4),)) == known, "older"
    assert known.join(cuts=((1, 2, 2 * 7),)).cut == []
    many = tuple((1, k, 2 * k + (k % 2)) for k in range(2, 3 * CUTS))
    assert known.join(cuts=many).cut == [(1, k) for k in range(3 * CUTS - 2 * CUTS + 1, 3 * CUTS, 2)]


@given(rumours, rumours, rumours)
def test_rumours_join_to_the_same_in_any_order(a: Rumours, b: Rumours, c: Rumours) -> None:
    def heard(*others: Rumours) -> Rumours:
        known = NONE
        for other in others:
            known = known.heard(other, Here(1000, 2000, 21))
        return known

    assert heard(a, b, c) == heard(c, b, a) == heard(a, b, c, a, b)
    assert heard(a) == a


@given(rumours, st.integers(0, 400), st.integers(1, 10))
def test_a_rumour_is_bounded_by_its_message_and_by_the_network(a: Rumours, number: int, peers: int) -> None:
    known = NONE.heard(a, Here(number, 2000, peers))
    assert known.broken <= number + FAR
    assert known.depth <= peers - 1
    assert known.over == a.over
