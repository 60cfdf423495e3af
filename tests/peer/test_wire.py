"""The bytes of a message and the inbox that takes them in, against whatever a stranger may send."""

from contextlib import suppress
from itertools import product

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from worlds import STUDY, met

from gossipfl.errors import BadMessage
from gossipfl.peer.inbox import AHEAD, Inbox, Late
from gossipfl.peer.limits import Limits
from gossipfl.peer.neighbour import Message
from gossipfl.peer.rumours import CUTS, MASK, Rumours
from gossipfl.peer.wire import (
    FALLBACK,
    MAX_EXCHANGE,
    MAX_HEADER,
    MAX_NONCE,
    VERSION,
    Header,
    OtherVersion,
    decode,
    encode,
)

ME_AT, SIZE = 10, 16
NOW = bytes([VERSION])
headers = st.builds(
    Header,
    study=st.binary(min_size=8, max_size=8),
    sender=st.integers(0, 2**31 - 1),
    number=st.integers(0, MAX_EXCHANGE - 1),
    converged=st.binary(max_size=MASK),
    leaving=st.text("abcdefghijklmnopqrstuvwxyz", max_size=16),
    mine=st.integers(0, MAX_NONCE - 1),
    yours=st.integers(0, MAX_NONCE - 1),
    last=st.integers(-1, MAX_EXCHANGE - 1),
    used=st.integers(0, MAX_NONCE - 1),
    rumours=st.builds(
        Rumours,
        broken=st.integers(0, MAX_EXCHANGE - 1),
        depth=st.integers(0, 20_000),
        over=st.booleans(),
    ),
    transfer=st.booleans(),
)
# MessagePack of nearly the right shape: what random bytes would hardly ever hit
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats() | st.booleans() | st.none()
strings = st.binary(max_size=12) | st.text(max_size=20) | st.just(STUDY)
almost = st.lists(numbers | strings | st.just([[]]), max_size=14).map(msgspec.msgpack.encode).map(NOW.__add__)
# well-formed, and from somebody who knows the study: an honest message of exchange 10 but for its length
near = st.builds(
    Header,
    study=st.sampled_from([STUDY, b"another!"]),
    sender=st.integers(0, 3),
    number=st.integers(0, 2 * AHEAD),
    converged=st.binary(max_size=3),
    leaving=st.sampled_from(["", "", "failed"]),
).map(encode)
hostile = (
    st.binary(max_size=80)
    | st.binary(max_size=80).map(NOW.__add__)
    | almost
    | headers.map(encode).flatmap(
        lambda frame: st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)).map(
            lambda flip: frame[: flip[0]] + bytes([flip[1]]) + frame[flip[0] + 1 :]
        )
    )
)


@given(headers)
def test_round_trip(header: Header) -> None:
    assert decode(encode(header)) == header


def test_longest_honest_header_fits() -> None:
    longest = Header(
        STUDY,
        2**31 - 1,
        MAX_EXCHANGE - 1,
        converged=b"x" * (MASK),
        leaving="y" * 16,
        mine=MAX_NONCE - 1,
        yours=MAX_NONCE - 1,
        last=MAX_EXCHANGE - 1,
        used=MAX_NONCE - 1,
        rumours=Rumours(
            MAX_EXCHANGE - 1, 24_575, True, tuple((2**31 - 1, k, 2**63 - 1) for k in range(CUTS))
        ),
        transfer=True,
    )
    assert len(encode(longest)) <= MAX_HEADER
    assert decode(encode(longest)) == longest


@given(hostile)
@example(b"")
@example(NOW + b"\x91" * 4000)  # arrays in arrays
@example(NOW + b"\x93\xc4\x08" + STUDY + b"\x00\xcf" + b"\xff" * 8)  # the largest number there is
@example(NOW + b"\x95\xc4\x08" + STUDY + b"\x00\x00\xc4\x00\xa4\xff\xfe\xfd\xfc")  # no UTF-8
@example(NOW + b"\xdd\xff\xff\xff\xff")  # four thousand million fields
@example(NOW + b"\xc6\xff\xff\xff\xff")
@example(NOW)
@example(b"\x00" * (MAX_HEADER + 1))
def test_any_bytes_are_a_header_in_bounds_or_a_bad_message(frame: bytes) -> None:
    try:
        header = decode(frame)
    except BadMessage:
        return
    assert len(header.study) == 8
    assert 0 <= header.sender < 2**31
    assert 0 <= header.number < MAX_EXCHANGE
    assert len(header.converged) <= MASK
    assert len(header.leaving) <= 16
    assert decode(encode(header)) == header


@given(headers, st.data())
def test_a_header_cut_short_is_a_bad_message(header: Header, data: st.DataObject) -> None:
    frame = encode(header)
    with pytest.raises(BadMessage, match="a header that cannot be read"):
        decode(frame[: data.draw(st.integers(0, len(frame) - 1))])


def test_a_header_with_something_behind_it_is_a_bad_message() -> None:
    with pytest.raises(BadMessage):
        decode(encode(Header(STUDY, 1, 2)) + b"\x00")


@pytest.mark.parametrize("sender", [1, None])
@pytest.mark.parametrize(("first", "named"), [(VERSION + 1, VERSION + 1), (0x9D, 1)])
def test_another_version_is_refused_in_one_sentence(sender: int | None, first: int, named: int) -> None:
    """Version 1 began with the array itself, 0x9d. Whose message it is only the key of the connection says."""
    known = met(1)
    box = Inbox(STUDY, known)
    frame = bytes([first]) + encode(Header(STUDY, 1, 0))[1:]
    with pytest.raises(
        OtherVersion, match=rf"runs another version of gossipfl \(its protocol is version {named}, mine"
    ):
        box.put([frame, b""], sender)
    assert box.refused == 1
    assert ("install the same at both" in known[1].strange) is (sender is not None)


def honest(
    sender: int, number: int, size: int = SIZE, study: bytes = STUDY, leaving: str = ""
) -> list[bytes]:
    return [encode(Header(study, sender, number, leaving=leaving)), bytes([number % 256]) * size]


def inbox() -> Inbox:
    """Peer 0's, with neighbours 1 and 2, at exchange 10 of 16 bytes."""
    made = Inbox(STUDY, met(1, 2))
    made.advance(ME_AT, SIZE)
    return made


def kept(box: Inbox) -> list[Message]:
    return [message for one in box._neighbours.values() for message in one.early.values()]


garbage = st.lists(hostile, max_size=4) | st.tuples(hostile | near, st.binary(max_size=SIZE - 1)).map(list)


@given(st.lists(garbage, max_size=8))
def test_hostile_messages_leave_the_honest_ones_unharmed(messages: list[list[bytes]]) -> None:
    box = inbox()
    expected = [honest(1, ME_AT), honest(2, ME_AT)]
    refused = 0
    for k, frames in enumerate(messages):
        if k == len(messages) // 2:
            box.put(expected[0])
        try:
            box.put(frames)
        except BadMessage:
            refused += 1
    if not messages:
        box.put(expected[0])
    assert box.refused + box.late == refused
    box.put(expected[1])
    assert box.missing([2, 1]) == []
    assert [[encode(m.header), m.payload] for m in box.take([2, 1])] == [expected[1], expected[0]]


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([], "a message under a key that the topology no longer names"),
        (honest(1, ME_AT)[:1], "of 1 frames"),
        ([*honest(1, ME_AT), b""], "of 3 frames"),
        ([b"\0" * (MAX_HEADER + 1), b""], "a header of 4097 bytes; at most 4096"),
        (honest(3, ME_AT), "peer 3 is not my neighbour"),
        (honest(0, ME_AT), "peer 0 is not my neighbour"),
        (honest(1, ME_AT, study=b"another!"), "peer 1 takes part in another study"),
        (honest(1, ME_AT, study=b"another!", leaving="failed"), "another study"),
        (honest(1, ME_AT - 1), "peer 1 speaks of exchange 9, and I am at 10"),
        (honest(1, ME_AT, size=SIZE - 1), "peer 1 sent 15 bytes; this exchange has 16"),
        (honest(1, ME_AT, size=0), "sent 0 bytes"),
        (honest(2, ME_AT), "peer 2 speaks twice of exchange 10"),
    ],
)
def test_each_refusal_says_why_counts_and_changes_nothing(frames: list[bytes], why: str) -> None:
    box = inbox()
    box.put(honest(2, ME_AT))
    before = kept(box)
    with pytest.raises(BadMessage, match=why):
        box.put(frames)
    assert kept(box) == before
    assert box.refused + box.late == 1
    assert box.missing([1, 2]) == [1]


def test_a_flood_fills_no_memory() -> None:
    """Of a neighbour 64 messages are kept; what is more, older, doubled or not ours is gone at once."""
    box = inbox()
    for sender, number in product(range(40), range(0, 400)):
        for _ in range(2):
            with suppress(BadMessage):
                box.put(honest(sender, number))
    assert len(kept(box)) == 2 * AHEAD
    assert box.missing([1, 2]) == []
    box.advance(ME_AT + AHEAD, SIZE)
    assert kept(box) == []


@pytest.mark.parametrize("size", [SIZE, 1000])
def test_later_messages_fill_their_room_and_no_more(size: int) -> None:
    """Of 64 large messages of each neighbour only the nearest are kept, and of the next exchange one, whatever their length."""
    box = Inbox(STUDY, met(1, 2), limits=Limits(room=3000))
    box.advance(ME_AT, size)
    for number in (ME_AT + 9, ME_AT + 8, ME_AT + 2, ME_AT + 7, ME_AT + 1):
        with suppress(BadMessage):
            box.put(honest(1, number, size=1000))
    with pytest.raises(BadMessage, match=r"peer 1 sends 1,000 bytes of a later exchange: there is no room"):
        box.put(honest(1, ME_AT + 30, size=1000))
    with pytest.raises(BadMessage, match="no room"):
        box.put(honest(2, ME_AT + 1, size=3001))
    box.put(honest(1, ME_AT + 3, size=size))
    assert sorted(one.header.number - ME_AT for one in kept(box)) == [1, 2, 3, *[7] * (size == 1000)]


def test_an_exchange_that_the_study_does_not_have_is_refused() -> None:
    box = Inbox(STUDY, met(1, 2), limits=Limits(last=20))
    box.put(honest(1, 20))
    with pytest.raises(BadMessage, match="peer 1 speaks of exchange 21, which this study does not have"):
        box.put(honest(1, 21))


def test_who_does_not_know_my_nonce_keeps_no_place_from_one_that_does() -> None:
    """On open links a stranger can fill all exchanges to come in a neighbour's name."""
    known = met(1, 2)
    box, mine = Inbox(STUDY, known, ahead=1), known[1].edge.mine  # the place is the last one, too
    box.advance(ME_AT, SIZE)
    box.put([encode(Header(STUDY, 1, ME_AT + 1, yours=mine + 1)), b"strange"])
    box.put([encode(Header(STUDY, 1, ME_AT + 1, yours=mine)), b"own"])
    for yours in (mine, mine + 1):
        with pytest.raises(Late, match="speaks twice"):
            box.put([encode(Header(STUDY, 1, ME_AT + 1, yours=yours)), b"again"])
    assert [message.payload for message in kept(box)] == [b"own"]
    assert (box.refused, box.late) == (0, 3)


@given(st.permutations(range(ME_AT, ME_AT + 9)))
def test_of_too_many_messages_the_nearest_are_kept(order: list[int]) -> None:
    box = Inbox(STUDY, met(1, 2), ahead=4)
    box.advance(ME_AT, SIZE)
    box.put(honest(1, MAX_EXCHANGE - 1))
    for number in order:
        with suppress(BadMessage):
            box.put(honest(1, number))
    assert sorted(message.header.number for message in kept(box)) == [*range(ME_AT, ME_AT + 4)]
    assert box.refused + box.late == 6
    with pytest.raises(BadMessage, match="peer 1 speaks of exchange 99, and I am at 10"):
        box.put(honest(1, 99))


@given(st.permutations([(peer, number) for peer in (1, 2) for number in range(ME_AT, ME_AT + 6)]))
def test_messages_may_come_in_any_order(order: list[tuple[int, int]]) -> None:
    box = inbox()
    for sender, number in order:
        box.put(honest(sender, number))
    for number in range(ME_AT, ME_AT + 6):
        box.advance(number, SIZE)
        assert box.missing([1, 2]) == []
        assert [(m.header.sender, m.header.number, m.payload[0]) for m in box.take([2, 1])] == [
            (2, number, number),
            (1, number, number),
        ]
    assert kept(box) == []


def test_an_early_message_of_another_length_is_refused_when_its_turn_comes() -> None:
    """Later exchanges may have other lengths, so that nobody can judge before."""
    box = inbox()
    box.put(honest(1, ME_AT + 1, size=8))
    box.put(honest(2, ME_AT + 1, size=24))
    box.advance(ME_AT + 1, 24)
    assert box.missing([1, 2]) == [1]
    assert box.refused == 1
    assert "another length" in box._neighbours[1].strange


@pytest.mark.parametrize("early", [0, 1])
def test_a_message_of_the_other_method_is_refused_whatever_its_length(early: int) -> None:
    box = inbox()
    message = [encode(Header(STUDY, 1, ME_AT + early, method=FALLBACK)), bytes(SIZE)]
    if early:
        box.put(message)
        box.advance(ME_AT + 1, SIZE)
    else:
        with pytest.raises(Late):
            box.put(message)
    assert box.missing([1]) == [1]
    box.advance(ME_AT + 2, SIZE, method=FALLBACK)
    box.put([encode(Header(STUDY, 1, ME_AT + 2, method=FALLBACK)), bytes(SIZE)])
    assert box.missing([1]) == []


def test_taking_what_is_not_there_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        inbox().take([1])
