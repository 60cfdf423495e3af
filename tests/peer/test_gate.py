"""Who gets in: real sockets, with keys and without."""

import time

import pytest
import zmq
from zmq.utils import z85

from gossipfl.errors import BadMessage
from gossipfl.keys import fresh
from gossipfl.peer import Inbox, ZeroMQ
from gossipfl.peer.gate import LinkKeys
from gossipfl.peer.wire import Header, encode

ANY, SOON = "tcp://127.0.0.1:*", 5.0


@pytest.fixture
def opened():
    made = []
    yield made
    for transport in made:
        transport.close(0.0)


def member(opened, me, secrets, others, own=0, endpoint=ANY):
    """A peer that knows the public keys of `others`, by their secret ones, the new one first."""
    neighbours = {other: [secret.public.link for secret in secrets[other]] for other in others}
    opened.append(ZeroMQ(endpoint, 10**6, LinkKeys(secrets[me][own].link, neighbours)))
    return opened[-1]


def heard(transport, others=(), seconds=SOON):
    """The next message; meanwhile the others look after those who dial them."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for other in others:
            other.recv(0.0)
        if (frames := transport.recv(0.01)) is not None:
            return frames
    return None


def pair(opened, secrets):
    a, b = (member(opened, me, secrets, (1 - me,)) for me in (0, 1))
    a.connect({1: b.endpoint})
    b.connect({0: a.endpoint})
    return a, b


def secrets(*many):
    return {me: [fresh() for _ in range(count)] for me, count in enumerate(many or (1, 1))}


def test_neighbours_hear_each_other_and_know_who_speaks(opened):
    a, b = pair(opened, secrets())
    assert a.send(1, [b"head", b"tail"])
    assert heard(b, (a,)) == [b"head", b"tail"]
    assert b.sender == 0
    b.send(0, [b"back", b""])
    assert heard(a, (b,)) == [b"back", b""]
    assert a.sender == 1


def stranger(context, endpoint, secret=None, server=None):
    """A socket of somebody who is no neighbour, with keys or without."""
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.LINGER, 0)
    if secret:
        socket.curve_serverkey = z85.encode(server.public.link)
        socket.curve_secretkey, socket.curve_publickey = (
            z85.encode(secret.link),
            z85.encode(secret.public.link),
        )
    socket.connect(endpoint)
    return socket


@pytest.mark.parametrize("keyed", [False, True])
def test_a_stranger_is_not_heard(opened, keyed, caplog):
    known = secrets()
    a, b = pair(opened, known)
    with zmq.Context() as context:
        socket = stranger(context, b.endpoint, fresh() if keyed else None, known[1][0])
        socket.send(b"\x04\x00\x00\x00evil\x00\x00\x00\x00")
        a.send(1, [b"head", b""])
        assert heard(b, (a,)) == [b"head", b""]
        assert heard(b, (a,), 0.7) is None
        socket.close()
    assert ("has a key that the topology does not name" in caplog.text) is keyed


def test_who_is_added_later_gets_in_and_who_is_dropped_is_out_at_once(opened):
    known = secrets(1, 1, 1)
    a, b = pair(opened, known)
    late = member(opened, 2, known, (1,))
    late.connect({1: b.endpoint})
    late.send(1, [b"let me in", b""])
    assert heard(b, (a, late), 0.7) is None
    keys = {me: [known[me][0].public.link] for me in (0, 2)}
    b.connect({0: a.endpoint, 2: late.endpoint}, keys=keys)
    assert heard(b, (a, late)) == [b"let me in", b""]
    assert b.sender == 2
    a.send(1, [b"before", b""])
    assert heard(b, (a,)) == [b"before", b""]
    b.connect({2: late.endpoint}, keys={2: keys[2]})
    a.send(1, [b"after", b""])  # the connection still stands
    assert heard(b, (a,), 0.5) is None
    late.send(1, [b"still here", b""])
    assert heard(b, (late,)) == [b"still here", b""]


@pytest.mark.parametrize("presents", [0, 1])
def test_while_keys_are_exchanged_both_are_good(opened, presents):
    known = secrets(1, 2)
    a = member(opened, 0, known, (1,))
    b = member(opened, 1, known, (0,), own=presents)
    a.connect({1: b.endpoint})
    b.connect({0: a.endpoint})
    until = time.monotonic() + SOON
    while (frames := heard(b, (a,), 0.2)) is None:
        assert time.monotonic() < until
        a.recv(0.06)  # in silence it looks after its keys
        a.send(1, [b"hello", b""])
    assert frames == [b"hello", b""]


def test_a_member_cannot_speak_for_another():
    class Neighbours(dict):
        pass

    inbox = Inbox(b"12345678", Neighbours())
    with pytest.raises(BadMessage, match="speaks in the name of another peer") as refused:
        inbox.put([encode(Header(b"12345678", 7, 0)), b""], sender=5)
    assert refused.value.sender == 5
    assert inbox.refused == 1


def test_the_reason_is_known_where_keys_do_not_fit(opened):
    known = secrets()
    a = member(opened, 0, known, (1,))
    other = ZeroMQ(ANY, 100, LinkKeys(fresh().link, {0: [known[0][0].public.link]}))
    opened.append(other)
    a.connect({1: other.endpoint})
    until = time.monotonic() + SOON
    while not a.why(1):
        assert time.monotonic() < until
        a.recv(0.01)
        other.recv(0.0)
    assert a.why(1) == "it has another key than the topology says"
