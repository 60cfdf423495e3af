"""The bytes of a gossip message, and the refusal of invalid ones."""

import msgspec
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from gossipfl.errors import BadMessage
from gossipfl.gossip.letters import ASKS, CARRIES
from gossipfl.peer.letter import MAX_AGE, Letter, enclosed, opened, write
from gossipfl.peer.wire import MAX_EXCHANGE, MAX_HEADER, VERSION, Header, encode

STUDY = b"gossip!!"
NOW = bytes([VERSION])
LIKE = torch.zeros(1, 3, dtype=torch.float64)
MODEL = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
letters = st.builds(
    Letter,
    study=st.binary(min_size=8, max_size=8),
    sender=st.integers(0, 2**31 - 1),
    number=st.integers(0, MAX_EXCHANGE - 1),
    age=st.integers(0, MAX_AGE - 1),
    kind=st.sampled_from([CARRIES, ASKS, CARRIES | ASKS]),
)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats() | st.booleans() | st.none()
strings = st.binary(max_size=12) | st.text(max_size=20) | st.just(STUDY)
almost = st.lists(numbers | strings | st.just([[]]), max_size=9).map(msgspec.msgpack.encode).map(NOW.__add__)
flips = letters.map(encode).flatmap(
    lambda frame: st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)).map(
        lambda flip: frame[: flip[0]] + bytes([flip[1]]) + frame[flip[0] + 1 :]
    )
)
payloads = (
    st.binary(max_size=30)
    | st.binary(min_size=24, max_size=24)
    | st.just(write(Letter(STUDY, 1, 0), MODEL)[1])
)


def read(frames, like):
    """All parts of a message."""
    letter = opened(frames)
    return letter, enclosed(letter, frames[1], like)


@given(letters)
def test_round_trip(letter):
    got, model = read(write(letter, MODEL if letter.kind & CARRIES else None), LIKE)
    assert got == letter
    assert (model is not None) == bool(letter.kind & CARRIES)
    if model:
        assert torch.equal(model.w, MODEL)
        assert model.age.tolist() == [letter.age]


@given(
    st.lists(almost | flips | st.binary(max_size=80), max_size=3)
    | st.tuples(almost | flips, payloads).map(list)
)
@example([NOW + b"\x91" * 4000, b""])
@example([NOW + b"\xdd\xff\xff\xff\xff", b""])
@example([encode(Letter(STUDY, 1, 0, leaving="failed")), b"x" * 24])
@example([NOW + b"\x95\xc4\x08" + STUDY + b"\x00\x00\xc4\x00\xa4\xff\xfe\xfd\xfc", b""])
def test_any_bytes_are_a_letter_in_bounds_or_a_bad_message(frames):
    try:
        letter, model = read(frames, LIKE)
    except BadMessage:
        return
    assert 0 <= letter.age < MAX_AGE
    assert letter.kind in {CARRIES, ASKS, CARRIES | ASKS}
    assert 0 <= letter.sender < 2**31
    assert 0 <= letter.number < MAX_EXCHANGE
    assert (model is not None) == (bool(letter.kind & CARRIES) and not letter.leaving)
    assert model is None or (model.w.shape == LIKE.shape and bool(model.w.isfinite().all()))


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([], "a message under a key that the topology no longer names"),
        (write(Letter(STUDY, 1, 0), MODEL)[:1], "1 frames"),
        ([b"\0" * (MAX_HEADER + 1), b""], "4097"),
        (write(Letter(STUDY, 1, 0), MODEL[:, :2]), "sent 16 bytes; there should be 24"),
        (write(Letter(STUDY, 1, 0, kind=ASKS), MODEL), "sent 24 bytes; there should be 0"),
        (write(Letter(STUDY, 1, 0), MODEL / 0), "not finite"),
        (write(Letter(STUDY, 1, 0), 0 * MODEL + 1e300), "far too large"),
        (write(Letter(STUDY, 1, 0, age=-1), MODEL), "a header that cannot be read"),
        (write(Letter(STUDY, 1, 0, age=MAX_AGE), MODEL), "a header that cannot be read"),
        (write(Letter(STUDY, 1, 0, kind=0), None), "a header that cannot be read"),
        (write(Letter(STUDY, 1, 0, kind=4), None), "a header that cannot be read"),
    ],
)  # fmt: skip
def test_each_refusal_says_why(frames, why):
    with pytest.raises(BadMessage, match=why):
        read(frames, LIKE)


def test_a_lock_step_message_of_the_same_length_is_read_as_a_model_of_age_0():
    """The two kinds of learning agree on different things before, so the fingerprint of a study separates them."""
    letter, _ = read([encode(Header(STUDY, 1, 5)), write(Letter(STUDY, 1, 5), MODEL)[1]], LIKE)
    assert letter == Letter(STUDY, 1, 5)
