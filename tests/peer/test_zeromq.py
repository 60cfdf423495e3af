"""Real sockets: what they promise as a `Transport`. Everything waits for an event, nothing sleeps."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from gossipfl.errors import NetworkError
from gossipfl.peer import ZeroMQ
from gossipfl.peer.zeromq import _join, _split

ANY = "tcp://127.0.0.1:*"
SOON = 100.0


@pytest.fixture
def opened() -> Iterator[list[ZeroMQ]]:
    """Transports that are closed at the end, whatever happens."""
    made: list[ZeroMQ] = []
    yield made
    for transport in made:
        transport.close(linger=0.0)


@pytest.fixture(params=["tcp", "ipc"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where somebody will listen, free at present."""
    if request.param == "tcp":
        probe = ZeroMQ(ANY, 100)
        probe.close()
        yield probe.endpoint
        return
    with tempfile.TemporaryDirectory(prefix="g") as folder:
        yield f"ipc://{folder}/socket"


def listening(opened: list[ZeroMQ], endpoint: str = ANY, largest: int = 10**6) -> ZeroMQ:
    opened.append(ZeroMQ(endpoint, largest))
    return opened[-1]


def test_ipv6(opened: list[ZeroMQ]) -> None:
    try:
        a, b = (listening(opened, "tcp://[::1]:*") for _ in range(2))
    except NetworkError:
        pytest.skip("this machine has no IPv6")
    assert a.endpoint.startswith("tcp://[::1]:")
    a.connect({1: b.endpoint})
    assert a.send(1, [b"head", b""])
    assert b.recv(SOON) == [b"head", b""]


def test_a_port_in_use(opened: list[ZeroMQ]) -> None:
    taken = listening(opened).endpoint
    with pytest.raises(
        NetworkError,
        match=rf"cannot listen on {taken}: Address already in use.*give this peer another endpoint",
    ):
        ZeroMQ(taken, 100)


@pytest.mark.parametrize("elsewhere", ["tcp://192.0.2.1:5501", "tcp://no-such-host.invalid:5501"])
def test_an_address_that_this_machine_does_not_have(elsewhere: str) -> None:
    with pytest.raises(NetworkError, match=rf"cannot listen on {elsewhere}: .*no such address") as refused:
        ZeroMQ(elsewhere, 100)
    assert "using it" not in str(refused.value)


@pytest.mark.parametrize(
    "bad", ["", "nonsense", "tcp://", "http://h:80", "tcp://127.0.0.1:99999", "tcp://no such host:1"]
)
def test_what_is_no_endpoint_cannot_be_listened_on(bad: str) -> None:
    with pytest.raises(NetworkError, match=r"cannot listen on|not an endpoint: write tcp://host:port"):
        ZeroMQ(bad, 100)


@pytest.mark.parametrize("bad", ["", "nonsense", "tcp://", "http://localhost:80", "tcp://127.0.0.1:0"])
def test_what_is_no_endpoint_cannot_be_connected_to(opened: list[ZeroMQ], bad: str) -> None:
    with pytest.raises(NetworkError, match=r"not an endpoint: write tcp://host:port"):
        listening(opened).connect({1: bad})


@pytest.mark.parametrize("bad", ["tcp://*:5501", "tcp://127.0.0.1:*", "ipc://", "ipc://" + "x" * 200])
def test_where_nobody_can_connect_to_is_found_out_before_anything_is_lost(
    opened: list[ZeroMQ], bad: str
) -> None:
    a, b = ZeroMQ(ANY, 100), ZeroMQ(ANY, 100)
    opened += [a, b]
    a.connect({1: b.endpoint})
    with pytest.raises(NetworkError, match=r"not an endpoint|others cannot connect"):
        a.connect({1: b.endpoint, 2: bad})
    assert not a.send(2, [b"head", b"tail"]), "there is no such neighbour"
    assert a.send(1, [b"head", b"tail"]), "and the other one is as it was"
    assert b.recv(SOON) == [b"head", b"tail"]


def test_who_starts_first_does_not_matter(opened: list[ZeroMQ], endpoint: str) -> None:
    """Connected and sent to before anybody listens there."""
    early = listening(opened)
    early.connect({1: endpoint})
    assert early.send(1, [b"head", b"body"])
    late = listening(opened, endpoint)
    assert late.recv(SOON) == [b"head", b"body"]
    late.connect({0: early.endpoint})
    assert late.send(0, [b"", b"answer"])
    assert early.recv(SOON) == [b"", b"answer"]


def test_silence(opened: list[ZeroMQ]) -> None:
    peer = listening(opened)
    assert peer.recv(0.0) is None
    assert peer.recv(0.001) is None


def test_nothing_is_lost_on_close(opened: list[ZeroMQ], endpoint: str) -> None:
    """A peer that is done closes right after its last message, even one to a neighbour that starts later."""
    sender = ZeroMQ(ANY, 10**6)
    sender.connect({1: endpoint})
    large = b"x" * 300_000
    for k in range(50):
        assert sender.send(1, [bytes([k]), large])
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(sender.close)
        receiver = listening(opened, endpoint)
        got = [receiver.recv(SOON) for _ in range(50)]
        closing.result(SOON)
    assert got == [[bytes([k]), large] for k in range(50)]
    sender.close()


def test_the_order_of_each_sender_is_kept(opened: list[ZeroMQ]) -> None:
    receiver = listening(opened)
    senders = [listening(opened) for _ in range(3)]

    def send(k: int) -> None:
        senders[k].connect({0: receiver.endpoint})
        for count in range(100):
            assert senders[k].send(0, [bytes([k]), bytes([count])])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(send, range(3)))
    got = [receiver.recv(SOON) for _ in range(300)]
    for k in range(3):
        assert [frames[1][0] for frames in got if frames and frames[0] == bytes([k])] == list(range(100))


def test_too_large_a_frame_does_not_arrive_and_kills_nothing(opened: list[ZeroMQ]) -> None:
    """The connection is cut; another sender's stays, and the sender's own comes back."""
    receiver = listening(opened, largest=1000)
    rude, polite = listening(opened), listening(opened)
    for peer in (rude, polite):
        peer.connect({0: receiver.endpoint})
        assert peer.send(0, [b"hello", b"x" * 987])
        assert receiver.recv(SOON) == [b"hello", b"x" * 987], (
            "as large as allowed, with 4 bytes for each length"
        )
    assert rude.send(0, [b"large", b"x" * 988])
    assert polite.send(0, [b"polite", b""])
    assert receiver.recv(SOON) == [b"polite", b""]
    for _ in range(50):  # what is written into a connection that is being cut is lost: say it again
        assert rude.send(0, [b"sorry", b""])
        got = receiver.recv(0.2)
        if got:
            break
    assert got == [b"sorry", b""]


def test_a_neighbour_that_never_listens_fills_its_queue_only(opened: list[ZeroMQ], endpoint: str) -> None:
    peer, other = listening(opened), listening(opened)
    peer.connect({1: endpoint, 2: other.endpoint})
    sent = 0
    while peer.send(1, [b"", b""]):
        sent += 1
        assert sent < 10_000
    assert sent > 64, "more than an inbox looks ahead"
    assert peer.send(2, [b"to", b"other"])
    assert other.recv(SOON) == [b"to", b"other"]


def test_a_conversation_of_two_threads(opened: list[ZeroMQ]) -> None:
    pair = [listening(opened), listening(opened)]

    def talk(me: int) -> list[bytes]:
        pair[me].connect({1 - me: pair[1 - me].endpoint})
        heard = []
        for k in range(200):
            assert pair[me].send(1 - me, [b"", b"%d says %d" % (me, k)])
            frames = pair[me].recv(SOON)
            assert frames
            heard.append(frames[1])
        return heard

    with ThreadPoolExecutor(2) as pool:
        heard = list(pool.map(talk, range(2)))
    assert heard == [[b"%d says %d" % (1 - me, k) for k in range(200)] for me in range(2)]


def test_close_lets_go_of_everything() -> None:
    peer = ZeroMQ(ANY, 100)
    peer.connect({1: "tcp://127.0.0.1:9"})
    peer.close(linger=0.0)
    peer.close()
    again = zmq.Context()
    with again.socket(zmq.PULL) as socket:
        socket.bind(peer.endpoint)
    again.term()


@given(st.tuples(st.binary(max_size=20), st.binary(max_size=20)))
def test_frames_survive_being_joined(frames: tuple[bytes, bytes]) -> None:
    assert _split(_join(*frames)) == [*frames]


@given(st.binary(max_size=60))
def test_any_bytes_are_frames_or_one_that_is_refused(message: bytes) -> None:
    frames = _split(message)
    assert frames == [message] or _join(*frames) == message


@pytest.mark.parametrize(
    "joined", [b"", bytes(4), bytes(12), b"\1\0\0\0x" + bytes(5), b"\xff" * 8, bytes(2**26)]
)
def test_what_is_not_exactly_two_frames_is_one_that_is_refused_at_once(joined: bytes) -> None:
    """64 MiB of zeros are 16 million empty frames."""
    assert _split(joined) == [joined]


def test_a_message_that_no_peer_accepts_is_not_sent(opened: list[ZeroMQ]) -> None:
    peer = listening(opened, largest=1000)
    peer.connect({1: listening(opened).endpoint})
    assert peer.send(1, [b"head", bytes(1000 - 4 - 8)])
    with pytest.raises(
        NetworkError, match="has 1,001 bytes, and the peers of this study accept at most 1,000"
    ):
        peer.send(1, [b"head", bytes(1000 - 4 - 8 + 1)])
