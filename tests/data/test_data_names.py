"""Natural order is total and by value; each value has one text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipfl.data.names import did_you_mean, listed, natural, number, text

WORDS = st.text(alphabet="ab01289.-+e²٣ ", max_size=8)


def test_numbers_by_value_then_words_with_numbers_by_value():
    ordered = ["-10", "-1", "0", "0.5", "2", "10", "1e3", "a", "b2", "b10", "b10a"]
    backwards = ordered[::-1]
    assert sorted(backwards, key=natural) == ordered


@given(st.lists(WORDS, unique=True))
def test_the_order_is_total(words):
    assert len({natural(w) for w in words}) == len(words)
    backwards = words[::-1]
    assert sorted(words, key=natural) == sorted(backwards, key=natural)


@given(st.floats() | st.integers() | st.booleans() | WORDS)
def test_text_is_stable(value):
    assert text(text(value)) == text(value)


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_number_has_one_text_however_it_is_written(number):
    assert text(number) == text(float(number)) == text(f" {number}.0 ") == str(number)


def test_text_of_the_rest():
    assert [text(v) for v in (True, "true", -0.0, 2.5, "2.50", "1e+05")] == [
        "TRUE",
        "TRUE",
        "0",
        "2.5",
        "2.5",
        "100000",
    ]


@pytest.mark.parametrize("word", ["red ", " a\n", "007", "1E2", "900000000000000001", "1e+400", "٣"])
def test_what_a_float_would_change_stays_as_it_is_written(word):
    assert text(word) == word
    assert number(word) is None


def test_did_you_mean_names_the_nearest_or_all():
    assert did_you_mean("irs", ["iris", "wine"]) == "; did you mean 'iris'?"
    assert did_you_mean("qqq", ["b10", "b9"]) == "; use one of 'b9', 'b10'"
    assert did_you_mean("qqq", []) == ""
    assert listed(["a", "b", "c"], most=2) == "'a', 'b' and 1 more"
