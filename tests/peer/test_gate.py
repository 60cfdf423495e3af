"""Who gets in: real sockets, with keys and without."""

import errno
import socket as tcp
import struct
import threading
import time
from contextlib import suppress

import pytest
import zmq
from ports import free_ports
from tap import Tap
from zmq.utils import z85

from gossipfl.errors import BadMessage, NetworkError
from gossipfl.keys import fresh
from gossipfl.peer import Inbox, ZeroMQ
from gossipfl.peer.gate import LinkKeys
from gossipfl.peer.reach import unreachable
from gossipfl.peer.wire import Header, encode

ANY, SOON = "tcp://127.0.0.1:*", 100.0


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
    socket = context.socket(zmq.DEALER)
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
    assert heard(b, (a, late)) == [b"let me in", b""], "it has waited"
    assert b.sender == 2
    a.send(1, [b"before", b""])
    assert heard(b, (a,)) == [b"before", b""]
    b.connect({2: late.endpoint}, keys={2: keys[2]})
    a.send(1, [b"after", b""])  # the connection still stands
    assert heard(b, (a,)) == []
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


def trio(opened, known, endpoint=ANY):
    """Peer 1 listens; 0 and 2 have no endpoint, and dial it."""
    keys = {me: [known[me][0].public.link] for me in known}
    opened.append(ZeroMQ(endpoint, 10**6, LinkKeys(known[1][0].link, {me: keys[me] for me in (0, 2)})))
    listener, diallers = opened[-1], {}
    listener.connect({0: "", 2: ""})
    for me in (0, 2):
        opened.append(ZeroMQ("", 10**6, LinkKeys(known[me][0].link, {1: keys[1]})))
        diallers[me] = opened[-1]
        diallers[me].connect({1: listener.endpoint})
    return listener, diallers


def test_a_peer_without_an_endpoint_hears_over_the_connections_that_it_dials(opened):
    listener, diallers = trio(opened, secrets(1, 1, 1))
    for me in diallers:  # what waits goes off when the neighbour has called
        assert listener.send(me, [b"for", bytes([me])])
    assert listener.why(0) == "dials us, and has not called yet"
    for me, dialler in diallers.items():
        others = [listener, *diallers.values()]
        assert heard(dialler, others[:1]) == [b"for", bytes([me])]
        assert dialler.sender == 1
        assert dialler.send(1, [b"from", bytes([me])])
        assert heard(listener, ()) == [b"from", bytes([me])]
        assert listener.sender == me
    assert listener.lost() == set()


def test_who_says_hello_and_closes_at_once_ends_nobody_and_what_waits_for_it_goes_on_waiting(opened):
    known = secrets(1, 1, 1)
    listener, diallers = trio(opened, known)
    for k in range(3):
        listener.send(0, [b"waits", bytes([k])])
    hasty = diallers[0]
    until = time.monotonic() + SOON
    while hasty.lost() or not hasty._lines[1].there:  # then the hello is sent
        assert time.monotonic() < until
        listener._gate.serve(0.0)
    assert listener._door.socket.poll(1000 * SOON)
    hasty.close(1.0)
    time.sleep(0.1)  # the connection has ended before its hello is read
    wait_for(lambda: listener.recv(0.01) is None and not listener._door.socket.poll(0), listener)
    assert listener.why(0) == "dials us, and has not called yet"
    again = ZeroMQ("", 10**6, LinkKeys(known[0][0].link, {1: [known[1][0].public.link]}))
    opened.append(again)
    again.connect({1: listener.endpoint})
    assert [heard(again, (listener,)) for _ in range(3)] == [[b"waits", bytes([k])] for k in range(3)]


def test_either_end_of_a_dialled_connection_may_begin_again(opened):
    known = secrets(1, 1, 1)
    listener, diallers = trio(opened, known)
    listener.send(0, [b"first", b""])
    assert heard(diallers[0], (listener,)) == [b"first", b""]
    diallers[0].close(0.0)
    wait_for(lambda: 0 in listener.lost(), listener)
    again = ZeroMQ("", 10**6, LinkKeys(known[0][0].link, {1: [known[1][0].public.link]}))
    opened.append(again)
    again.connect({1: listener.endpoint})
    wait_for(lambda: 0 not in listener.lost(), listener, again)
    listener.send(0, [b"second", b""])
    assert heard(again, (listener,)) == [b"second", b""]
    place = listener.endpoint
    listener.close(0.0)
    wait_for(lambda: 1 in again.lost(), again)
    again.send(1, [b"waits", b""])
    successor = member(opened, 1, known, (0, 2), endpoint=place)
    successor.connect({0: "", 2: ""})
    assert heard(successor, (again,)) == [b"waits", b""]
    successor.send(0, [b"third", b""])
    assert heard(again, (successor,)) == [b"third", b""]
    successor.forget(0)
    again.close(0.0)
    wait_for(lambda: 0 in successor.lost(), successor)
    assert not successor.send(0, [b"nobody", b""]), "nothing waits any more"


def test_a_neighbour_without_a_key_is_refused_by_name_and_gets_nothing_until_it_has_one_again(opened):
    """At an end that it dials, and at one that dials it; both connections stand."""
    known = secrets(1, 1, 1)
    listener, diallers = trio(opened, known)
    a, b = pair(opened, known)
    for one, other, to in ((listener, diallers[0], 0), (b, a, 0), (a, b, 1)):
        one.send(to, [b"hello", b""])
        assert heard(other, (one,)) == [b"hello", b""]
    listener.connect({0: "", 2: ""}, keys={0: [], 2: [known[2][0].public.link]})
    b.connect({0: a.endpoint}, keys={0: []})
    for one, other in ((listener, diallers[0]), (b, a)):
        other.send(1, [b"old key", b""])
        assert heard(one) == [], "it is not read, and counts as refused"
        assert one.sender == 0
        assert one.send(0, [b"secret", b""]), "it waits"
        assert heard(one, (), 0.1) is None
        assert heard(other, (one,), 0.2) is None
        assert 0 in one.lost()
        assert one.why(0).startswith("has no public key in the topology any more")
    with pytest.raises(BadMessage, match="under a key that the topology no longer names") as refused:
        Inbox(b"12345678", {}).put([], sender=0)
    assert refused.value.told({0: "oslo"}).startswith("oslo sent a message under a key")
    b.forget(0)
    assert not b.send(0, [b"nobody", b""]), "nothing waits any more"
    keys = {me: [known[me][0].public.link] for me in known}
    b.connect({0: a.endpoint}, keys={0: keys[0]})
    wait_for(lambda: b.send(0, [b"again", b""]) and a.recv(0.05) == [b"again", b""], b)
    listener.connect({0: "", 2: ""}, keys={0: keys[0], 2: keys[2]})
    diallers[0].send(1, [b"back", b""])
    assert heard(listener) == [b"back", b""]
    assert heard(diallers[0], (listener,)) == [b"secret", b""]


def test_a_key_that_is_revoked_is_neither_heard_nor_answered_over_the_connection_that_stands(opened):
    known = secrets(1, 1, 1)
    listener, diallers = trio(opened, known)
    for me in diallers:
        listener.send(me, [b"hello", b""])
        assert heard(diallers[me], (listener,)) == [b"hello", b""]
    new = fresh()
    keys = {0: [new.public.link], 2: [known[2][0].public.link]}
    listener.connect({0: "", 2: ""}, keys=keys)
    diallers[0].send(1, [b"old key", b""])
    diallers[2].send(1, [b"same key", b""])
    assert sorted([heard(listener), heard(listener)]) == [[], [b"same key", b""]]
    listener.send(0, [b"secret", b""])
    assert heard(listener, (), 0.2) is None
    assert heard(diallers[0], (listener,), 0.2) is None
    opened.append(ZeroMQ("", 10**6, LinkKeys(new.link, {1: [known[1][0].public.link]})))
    opened[-1].connect({1: listener.endpoint})
    assert heard(opened[-1], (listener,)) == [b"secret", b""], "it has waited for the new key"
    # A dialler whose topology names another key for the listener hangs up at once, too.
    diallers[2].connect({1: listener.endpoint}, keys={1: [fresh().public.link]})
    listener.send(2, [b"to whom", b""])
    assert heard(diallers[2], (listener,), 0.3) is None
    wait_for(lambda: "has another key" in diallers[2].why(1), listener, diallers[2])


def wait_for(true, *transports):
    """Until something is true, while these peers look after their connections."""
    until = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < until
        for transport in transports:
            transport.recv(0.01)


@pytest.mark.parametrize("curve", [False, True])
def test_a_tap_finds_the_parameters_without_keys_and_none_with_them(opened, curve):
    parameters = [(k + 0.1234) ** 0.5 for k in range(58)]
    known = secrets()
    if curve:
        a, b = (member(opened, me, known, (1 - me,)) for me in (0, 1))
    else:
        a, b = (ZeroMQ(ANY, 10**6) for _ in range(2))
        opened += [a, b]
    tap = Tap(b.endpoint)
    a.connect({1: tap.endpoint})
    a.send(1, [b"head", struct.pack("<58d", *parameters)])
    frames = heard(b, (a,) if curve else ())
    assert struct.unpack("<58d", frames[1]) == tuple(parameters)
    found = [x for x in parameters if struct.pack("<d", x) in tap.sent or struct.pack("<f", x) in tap.sent]
    assert found == ([] if curve else parameters)
    if curve:  # captured frames say nothing to anybody, not even to their receiver
        threading.Thread(target=tap.replay, daemon=True).start()
        assert heard(b, (a,), 1.0) is None
        a.send(1, [b"still", b"heard"])
        assert heard(b, (a,)) == [b"still", b"heard"]
    tap.close()


def test_who_takes_a_stopped_peers_port_hears_nothing_and_is_named(opened):
    known = secrets()
    a, b = pair(opened, known)
    a.send(1, [b"to the real one", b""])
    assert heard(b, (a,)) == [b"to the real one", b""]
    place = b.endpoint
    b.close(0.0)
    wait_for(lambda: 1 in a.lost(), a)  # what is written into a connection that ends is lost
    thief = ZeroMQ(place, 10**6, LinkKeys(fresh().link, {0: [known[0][0].public.link]}))
    opened.append(thief)
    thief.connect({0: a.endpoint})
    a.send(1, [b"secret", b""])
    thief.send(0, [b"forged", b""])
    assert heard(a, (thief,), 0.5) is None
    wait_for(lambda: a.why(1) == f"has another key at {place} than the topology says", a, thief)
    assert heard(thief, (a,), 0.3) is None
    thief.close(0.0)
    opened.append(member(opened, 1, known, (0,), endpoint=place))
    assert heard(opened[-1], (a,)) == [b"secret", b""], "it waits for the real one"


@pytest.mark.parametrize("curve", [False, True])
def test_why_nobody_answers(opened, curve):
    """A port that nobody listens at, a host without a name, another program, a peer that hangs, other links."""
    keys = LinkKeys(fresh().link, {me: [fresh().public.link] for me in range(5)}) if curve else None
    peer = ZeroMQ(ANY, 100, keys)
    other = ZeroMQ(ANY, 100, None if curve else LinkKeys(fresh().link, {}))
    opened += [peer, other]
    with tcp.socket() as closed, tcp.socket() as silent, tcp.socket() as web:
        for one, port in zip((closed, silent, web), free_ports(3), strict=True):
            one.bind(("127.0.0.1", port))
        places = [f"127.0.0.1:{one.getsockname()[1]}" for one in (closed, silent, web)]
        closed.close()
        silent.listen()
        web.listen()
        said = [
            f"refuses connections at {places[0]}: nobody listens there",
            f"says nothing at {places[1]}",
            f"is not at {places[2]}: another program listens there",
            "cannot be found: this machine cannot resolve the host name no-such-host.invalid",
            f"has {'open' if curve else 'encrypted'} links, and those of this peer are",
        ]
        ends = [f"tcp://{place}" for place in (*places, "no-such-host.invalid:5501")]
        peer.connect(dict(enumerate([*ends, other.endpoint])))

        def answer():
            while True:
                try:
                    connection, _ = web.accept()
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n".ljust(100))
                    connection.close()
                except OSError:
                    return

        threading.Thread(target=answer, daemon=True).start()
        wait_for(lambda: all(map(peer.why, range(5))), peer, other)
        for me, words in enumerate(said):
            assert peer.why(me).startswith(words)
        web.shutdown(tcp.SHUT_RDWR)


def test_a_name_that_has_an_ipv6_address_only_is_told_with_the_address_to_write(monkeypatch):
    found = [(tcp.AF_INET6, tcp.SOCK_STREAM, 6, "", ("2001:db8::7", 7001, 0, 0))]
    monkeypatch.setattr(tcp, "getaddrinfo", lambda *_: found)
    assert "write [2001:db8::7]:7001" in unreachable("tcp://oslo.example.org:7001", keyed=True)


def test_who_has_too_many_open_files_is_told_what_to_do_and_dials_again_later(opened, monkeypatch):
    known = secrets()
    a, b = (member(opened, me, known, (1 - me,)) for me in (0, 1))
    b.connect({0: a.endpoint}, keys={0: [fresh().public.link]})  # it refuses a
    a.connect({1: b.endpoint})
    a.send(1, [b"waits", b""])
    wait_for(lambda: "does not know the key" in a.why(1), a, b)

    def full(*_):
        raise zmq.ZMQError(errno.EMFILE)

    line = a._lines[1]
    with monkeypatch.context() as limit:
        limit.setattr(a._context, "socket", full, raising=False)
        with pytest.raises(
            NetworkError, match=r"cannot open another connection.*Let this process have more open files"
        ):
            a.connect(
                {1: b.endpoint, 2: ANY.replace("*", "5501")},
                keys={1: [known[1][0].public.link], 2: [fresh().public.link]},
            )
        line.dialled = 0.0
        a._look = 0.0
        a.recv(0.0)
        assert a._lines[1] is line, "it stays, and what waits with it"
    b.connect({0: a.endpoint}, keys={0: [known[0][0].public.link]})
    assert heard(b, (a,)) == [b"waits", b""]


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
    wait_for(lambda: a.why(1), a, other)
    assert a.why(1) == f"has another key at {other.endpoint} than the topology says"


def test_commands_of_a_stranger_without_keys_reach_nobody(opened):
    """libzmq 4.3.5 can be made to abort by pings between messages; with keys no stranger gets so far as to send any."""
    a, b = pair(opened, secrets())
    host, port = b.endpoint.removeprefix("tcp://").rsplit(":", 1)
    greeting = b"\xff" + bytes(8) + b"\x7f\3\1" + b"NULL".ljust(20, b"\0") + bytes(32)
    ready = b"\4\x1d\5READY\x0bSocket-Type\0\0\0\6DEALER"
    said = b""
    with tcp.create_connection((host, int(port)), timeout=SOON) as raw:
        raw.sendall(greeting + ready + (b"\0\3abc" + b"\4\5\4PING" + b"\4\7\4PING\0\1") * 1000)
        raw.settimeout(0.3)
        with suppress(ConnectionError, TimeoutError):
            while more := raw.recv(4096):
                said += more
    assert b"PONG" not in said
    a.send(1, [b"head", b""])
    assert heard(b, (a,)) == [b"head", b""]
    assert heard(b, (a,), 0.2) is None
