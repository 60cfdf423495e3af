"""One peer's end of its edges against a scripted world, with a clock that moves when the script says so."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from worlds import STUDY

from gossipfl.algorithms import DPSGD, Consensus
from gossipfl.errors import BadMessage, Departed, NetworkError
from gossipfl.mixing import Mixing, Union
from gossipfl.mixing.union import to_row, too_long
from gossipfl.mixing.words import Words
from gossipfl.models import Linear
from gossipfl.models.losses import Squared
from gossipfl.peer import Exchange, Peer
from gossipfl.peer.exchange import BegunAnew, StateTransferred
from gossipfl.peer.inbox import AHEAD
from gossipfl.peer.wire import ATTEMPT, Header, Opening, decode, encode
from gossipfl.topology import Links, static

WAIT = 30.0
NAMES = dict(enumerate(["Basel", "Cleveland", "Zurich"]))
OPENING = Opening(1 / 3, b"topology")
NEAR = dict.fromkeys([1, 2], OPENING)


class Script:
    """A `Transport` and a clock: each message has the time at which it comes; silence lets the time pass."""

    def __init__(self, *messages: tuple[float, list[bytes]], full: Iterable[int] = ()) -> None:
        self.now = 100.0
        self.coming = [(100.0 + after, frames) for after, frames in messages]
        self.sent: list[tuple[int, list[bytes]]] = []
        self.full = set(full)
        self.closed = 0
        self.cut: set[int] = set()
        self.forgotten: list[int] = []

    sender = None  # links have no keys

    def clock(self) -> float:
        return self.now

    def send(self, to: int, frames: list[bytes]) -> bool:
        if to not in self.full:
            self.sent.append((to, frames))
        return to not in self.full

    def recv(self, timeout: float) -> list[bytes] | None:
        assert timeout >= 0
        if not self.coming or self.coming[0][0] > self.now + timeout:
            self.now += timeout
            return None
        when, frames = self.coming.pop(0)
        self.now = max(self.now, when)
        return frames

    def lost(self) -> set[int]:
        return self.cut

    def why(self, peer: int) -> str:
        return "refuses connections" if peer in self.cut else ""

    def forget(self, to: int) -> None:
        self.forgotten.append(to)

    def close(self) -> None:
        self.closed += 1


def says(
    sender: int, number: int = 0, payload: bytes = b"pay", study: bytes = STUDY, **more: Any
) -> list[bytes]:
    return [encode(Header(study, sender, number, **more)), payload]


def exchange(script: Script) -> Exchange:
    """Basel's, with both others as neighbours."""
    return Exchange(0, NAMES, STUDY, NEAR, script, WAIT, script.clock, draw=lambda: 7)


def swap(end: Exchange, number: int = 0, payload: bytes = b"own") -> list[bytes]:
    return [message.payload for message in end.swap(number, [1, 2], [1, 2], payload, b"\1")]


def test_all_answer() -> None:
    script = Script((3.0, says(2, payload=b"zur")), (5.0, says(1, payload=b"cle")))
    end = exchange(script)
    assert swap(end) == [b"cle", b"zur"], "in the order that was asked for"
    assert script.now == 105.0
    header = Header(STUDY, 0, 0, converged=b"\1", mine=7, opens=OPENING)
    assert [(to, decode(frames[0]), frames[1]) for to, frames in script.sent[:2]] == [
        (1, header, b"own"),
        (2, header, b"own"),
    ]
    assert (end.number, end.outbox.messages, end.outbox.bytes) == (1, 2, 2 * (len(encode(header)) + 3))


def test_silent_neighbours_are_named_after_exactly_the_wait() -> None:
    script = Script((3.0, says(2)))
    with pytest.raises(
        NetworkError, match=r"no answer from Cleveland for 30 s .*exchange 0.*are they running"
    ) as caught:
        swap(exchange(script))
    assert "Zurich" not in str(caught.value)
    assert script.now == 100.0 + WAIT
    script = Script()
    with pytest.raises(NetworkError, match="Basel: no answer from Cleveland, Zurich for 30 s"):
        swap(exchange(script))
    assert script.now == 100.0 + WAIT


def test_a_neighbour_that_was_there_may_be_silent_for_longer_and_one_that_waits_for_others_says_so() -> None:
    """Zurich repeats its message of exchange 1 for two minutes, because it waits for somebody else."""
    again = [(k * 0.8, says(2, 0)) for k in range(2, 150)]
    script = Script((0.1, says(1)), (0.1, says(2)), (0.2, says(1, 1)), *again)
    end = exchange(script)
    swap(end)
    with pytest.raises(
        NetworkError, match=r"no answer from Zurich for 60 s.*Zurich was there, and says nothing any more"
    ):
        swap(end, 1)
    assert script.now == pytest.approx(100 + 149 * 0.8 + 60, abs=2)


@pytest.mark.parametrize(("number", "waits"), [(3, 600), (2, 1000)])
def test_who_only_repeats_itself_ends_the_wait_once_all_were_there(number: int, waits: float) -> None:
    """Before, it may itself wait for one that is started much later."""
    both = [(0.0, says(peer, k)) for k in range(number) for peer in (1, 2)]
    again = [(k, says(2, number - 1)) for k in range(1, 1000)]
    script = Script(*both, (0.0, says(1, number)), *again)
    end = exchange(script)
    for k in range(number):
        swap(end, k)
    with pytest.raises(NetworkError, match="no answer from Zurich"):
        swap(end, number)
    assert script.now == pytest.approx(100 + waits + 60 * (number < 3), abs=2)


def test_who_lacks_an_earlier_message_than_the_last_gets_it_again() -> None:
    """Along a tree a peer sends twice before it needs an answer: its first message may be the one that was lost."""
    script = Script(
        (0.1, says(1)),
        (0.1, says(2)),
        (0.2, says(1, 1)),
        (0.3, says(1, 2)),
        (1.0, says(2)),
        (3.0, says(2, 2)),
    )
    end = exchange(script)
    swap(end)
    end.swap(1, [2], [], b"up")
    script.sent.clear()
    swap(end, 2)
    assert [decode(frames[0]).number for to, frames in script.sent if to == 2].count(0) == 1


def test_who_starts_by_hand_waits_without_end() -> None:
    script = Script((2.0, says(2)), (1e4, says(1)))
    end = Exchange(0, NAMES, STUDY, NEAR, script, float("inf"), script.clock)
    assert swap(end) == [b"pay", b"pay"]


def test_who_is_not_there_finds_one_message_however_late_it_comes() -> None:
    """More of them would fill its queue, and then the next exchange would be refused."""
    script = Script((2.0, says(2)), (1e4, says(1)))
    script.cut = {1}
    end = Exchange(0, NAMES, STUDY, NEAR, script, float("inf"), script.clock)
    assert swap(end) == [b"pay", b"pay"]
    assert [to for to, _ in script.sent].count(1) == 1


def test_who_has_gone_on_and_asks_again_hears_that_i_am_there() -> None:
    heard = []
    for again in (0, 1):
        script = Script((0.1, says(1)), (0.2, says(1, 1)), *[(5.0, says(1, 1))] * again)
        with pytest.raises(NetworkError, match="no answer from Zurich"):
            swap(exchange(script))
        heard.append(sum(to == 1 for to, _ in script.sent))
    assert heard[1] == heard[0] + 1


def test_who_is_missing_and_why_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    script = Script((4.5, says(2)), (9.0, says(1)))
    script.cut = {1}
    end = exchange(script)
    assert swap(end) == [b"pay", b"pay"]
    with pytest.raises(NetworkError):
        swap(end, 1)
    told = [record.getMessage() for record in caplog.records if record.name.endswith("waiting")]
    assert told == [
        "Cleveland refuses connections; Zurich is not there yet",
        "Cleveland refuses connections; Zurich is there",
        "all neighbours are there",
        "Cleveland refuses connections; Zurich is there",  # it reaches me, and hears nothing of me
    ]


@pytest.mark.parametrize("last", [10.0, 29.9, 1000.0])
def test_junk_does_not_extend_the_deadline(last: float) -> None:
    junk = [
        [],
        [b"junk", b""],
        says(1, study=b"another!"),
        says(7),
        says(1, 9999),
        says(1, payload=b"long!"),
    ]
    script = Script((0.0, says(2)), *((last * k / 700, junk[k % len(junk)]) for k in range(700)))
    end = exchange(script)
    with pytest.raises(NetworkError, match="no answer from Cleveland for 30 s"):
        swap(end)
    assert 100 + WAIT <= script.now <= 100 + WAIT + 2
    assert end.inbox.refused > 0


def test_who_sent_what_is_refused_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Messages call peers by a hash of their names, which tells nobody anything."""
    junk = (says(1, study=b"another!"), says(7), [b"junk", b""])
    script = Script(*((2.0 * k, frames) for k, frames in enumerate(junk)), (5.0, says(1)), (5.0, says(2)))
    swap(exchange(script))
    refused = [record.getMessage() for record in caplog.records if record.name.endswith("exchange")]
    assert refused[:2] == [
        "refused a message: Cleveland takes part in another study",
        "refused a message: peer 7 is not my neighbour",
    ]
    assert refused[2].startswith("refused a message: a header that cannot be read")


def test_whoever_sends_what_cannot_be_read_is_named_by_its_key_and_counted() -> None:
    """Also in gossip learning, which has no exchanges."""
    end = exchange(Script())
    for frames in ([b"junk", b""], [b"one"], [b"\xff" * 9999, b""], []):
        with pytest.raises(BadMessage) as refused:
            end.inbox.put(frames, sender=1)
        assert refused.value.sender == 1
        assert refused.value.told({1: "Cleveland"}).startswith("Cleveland sent a ")
    assert end.refused == 4
    end.refuse(BadMessage("takes part in another study", 1))
    assert (end.refused, end.refusals) == (5, ("Cleveland takes part in another study (1 refusals)",))


def test_refused_messages_are_told_at_most_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    script = Script(*((k / 1000, says(7)) for k in range(2500)), (2.5, says(1)), (2.5, says(2)))
    end = exchange(script)
    swap(end)
    assert end.inbox.refused == 2500
    told = [record.getMessage() for record in caplog.records if record.name.endswith("exchange")]
    assert 2 <= len(told) <= 3
    assert told[0] == "refused a message: peer 7 is not my neighbour"
    assert re.fullmatch(r".*neighbour \(\d+ others since the last line\)", told[1])


def test_goodbye() -> None:
    script = Script((1.0, says(2)), (2.0, says(1, leaving="diverged", payload=b"", yours=7)))
    with pytest.raises(Departed, match=r"neighbour Cleveland left \(diverged\)") as caught:
        swap(exchange(script))
    assert (caught.value.neighbour, caught.value.reason) == ("Cleveland", "diverged")
    assert script.now == 102.0


def test_goodbye_after_its_last_word_counts_only_when_more_is_awaited() -> None:
    script = Script((1.0, says(1)), (1.0, says(1, leaving="failed", payload=b"", yours=7)), (2.0, says(2)))
    end = exchange(script)
    assert swap(end) == [b"pay", b"pay"]
    with pytest.raises(Departed, match="Cleveland"):
        swap(end, 1)
    assert script.now == 102.0, "known already: nothing to wait for"


def test_a_goodbye_is_said_again_to_who_could_not_believe_it() -> None:
    script = Script((0.5, says(1, mine=5, opens=OPENING)))
    end = exchange(script)
    end.leave("failed")
    end.part(1.0)
    goodbyes = [(to, header.yours) for to, frames in script.sent if (header := decode(frames[0])).leaving]
    assert goodbyes == [(1, 0), (2, 0), (1, 5)]


def test_who_is_not_awaited_may_leave() -> None:
    script = Script((1.0, says(1, leaving="failed", payload=b"", yours=7)), (2.0, says(2)))
    assert len(exchange(script).swap(0, [2], [2], b"own")) == 1


def test_a_neighbour_of_another_study_is_named() -> None:
    script = Script((1.0, says(1, study=b"another!")), (2.0, says(2)))
    with pytest.raises(
        NetworkError, match=r"no answer from Cleveland.*Cleveland was heard, but it runs another experiment"
    ):
        swap(exchange(script))


@pytest.mark.parametrize("early", [False, True])
def test_a_neighbour_with_another_length_is_named(early: bool) -> None:
    script = Script((1.0, says(1, payload=b"")), (2.0, says(2)))
    end = exchange(script)
    if early:
        script.coming[:0] = [
            (100.0, says(1, payload=b"0th")),
            (100.0, says(1, 1, b"longer")),
            (100.0, says(2)),
        ]
        script.coming[3:] = [(102.0, says(2, 1))]
        swap(end)
    with pytest.raises(
        NetworkError, match="Cleveland was heard, but its messages have another length than mine"
    ):
        swap(end, int(early))


def test_early_messages_are_kept() -> None:
    script = Script((1.0, says(1, 0)), (1.0, says(1, 1, b"two")), (2.0, says(2, 0)), (3.0, says(2, 1)))
    end = exchange(script)
    swap(end)
    assert script.now == 102.0
    assert swap(end, 1) == [b"two", b"pay"]
    assert script.now == 103.0


@pytest.mark.parametrize("ahead", [2, AHEAD, 3 * AHEAD])
def test_a_neighbour_may_be_as_far_ahead_as_the_inbox_reaches(ahead: int) -> None:
    script = Script(
        *((0.0, says(1, number)) for number in range(ahead)),
        *((1.0 + number, says(2, number)) for number in range(ahead)),
    )
    end = Exchange(0, NAMES, STUDY, NEAR, script, WAIT, script.clock, ahead)
    for number in range(ahead):
        swap(end, number)
    assert end.inbox.refused == 0


def test_a_neighbour_may_take_many_local_steps_before_its_next_exchange() -> None:
    """Exchanges are then far apart, and a neighbour that is one ahead speaks of a far one."""
    far = 10 * AHEAD
    script = Script((0.0, says(1, 0)), (0.0, says(1, far, b"two")), (1.0, says(2, 0)), (1.0, says(2, far)))
    end = exchange(script)
    swap(end)
    assert swap(end, far) == [b"two", b"pay"]
    assert end.inbox.refused == 0


def test_a_full_queue_is_named() -> None:
    with pytest.raises(NetworkError, match="neighbour Zurich takes no more messages"):
        swap(exchange(Script(full=[2])))


def test_nobody_to_talk_to() -> None:
    script = Script()
    assert exchange(script).swap(0, [], [], b"own") == []
    assert (script.now, script.sent) == (100.0, [])


def test_leaving_tells_every_neighbour_that_can_be_told() -> None:
    script = Script(full=[1])
    end = exchange(script)
    end.neighbours[2].edge.yours = 5
    end.leave("failed")
    [(to, frames)] = script.sent
    assert (to, decode(frames[0]).leaving, frames[1]) == (2, "failed", b"")
    other = Script((0.0, frames))
    heard = Exchange(2, NAMES, STUDY, {0: OPENING}, other, WAIT, other.clock, draw=lambda: 5)
    with pytest.raises(Departed, match="Basel left"):
        heard.swap(0, [0], [0], b"own")


def numbers(*values: float) -> bytes:
    return torch.tensor(values, dtype=torch.float64).numpy().tobytes()


def basel(script: Script, mixing: Mixing = Mixing()) -> Peer:
    links = Links(np.array([0, 0, 1, 2]), np.array([1, 2, 0, 0]), np.full(4, 0.25))
    return Peer(exchange(script), Consensus(), None, static(links), mixing)


def test_a_peer_mixes_what_it_hears() -> None:
    peer = basel(Script((0.0, says(1, payload=numbers(4.0, 0.0))), (0.0, says(2, payload=numbers(0.0, 8.0)))))
    run = peer.step(peer.init(torch.tensor([[2.0, 2.0]], dtype=torch.float64)))
    assert run.state.x.tolist() == [[2.0, 3.0]]
    assert peer.disagreement(run).tolist() == [(40 / 8) ** 0.5]


BAD = (0.0, says(1, payload=numbers(1.0, float("nan"))))
GOOD = (0.0, says(2, payload=numbers(1.0, 1.0)))


def test_finite_numbers_are_used_however_large() -> None:
    peer = basel(Script((0.0, says(1, payload=numbers(1.0, 1e308))), GOOD))
    assert peer.step(peer.init(torch.zeros(1, 2, dtype=torch.float64))).state.x.isfinite().all()


@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_numbers_that_are_not_finite_count_as_lost_and_are_asked_for_again(bad: float) -> None:
    again = 1.0, says(1, payload=numbers(5.0, 1.0))
    peer = basel(Script((0.0, says(1, payload=numbers(1.0, bad))), GOOD, again))
    run = peer.step(peer.init(torch.ones(1, 2, dtype=torch.float64)))
    assert run.state.x.tolist() == [[2.0, 1.0]]
    assert peer.exchange.inbox.refused == 1
    assert peer.exchange.outbox.resent > 0


def test_who_sends_nothing_else_is_named_in_the_end() -> None:
    script = Script(GOOD, *(((k + 1.0), BAD[1]) for k in range(100)))
    peer = basel(script)
    with pytest.raises(NetworkError, match="Cleveland was heard, but it sent numbers that are not finite"):
        peer.step(peer.init(torch.zeros(1, 2, dtype=torch.float64)))
    assert 160.0 <= script.now <= 161.0


FOREIGN = [
    b"\xff\xfe\xfd\xfc\xfb\xfa",  # no UTF-8
    b"\xc3\n\xa9\0\0\0",  # torn
    b'\0"a"\0\0',
    b"a\0\0\0\0\0",  # no JSON
    b"[[[[[[",
    b'{"a":1',
    b"12\0\0\0\0",  # no word
    b'["a"]\0',
    b'"3"\n\n\0',
    b'"3"\0\0\0',  # no word of this study
]


@pytest.mark.parametrize("payload", FOREIGN)
def test_words_that_no_peer_says_count_as_lost_and_are_asked_for_again(payload: bytes) -> None:
    def read(word: str) -> None:
        if word not in ("a", "b"):
            raise ValueError(f"no letter: {word}")

    mixing = Mixing(Union(), Words(read))
    own = to_row(['"a"'], len(payload))[None]
    good, again = (to_row([f'"{word}"'], len(payload)).numpy().tobytes() for word in "ab")
    peer = basel(
        Script((0.0, says(1, payload=payload)), (0.0, says(2, payload=good)), (1.0, says(1, payload=again))),
        mixing,
    )
    run = peer.step(peer.init(own))
    assert too_long(run.state.x[0]), "both words have seven bytes"
    assert peer.exchange.inbox.refused == 1
    assert peer.exchange.outbox.resent > 0


def test_who_was_interrupted_while_all_agree_may_come_back() -> None:
    script = Script(
        (0.0, says(2)),
        (1.0, says(1, leaving="interrupted", payload=b"", yours=7)),
        (9.0, says(1, payload=b"pay")),
    )
    assert swap(exchange(script), payload=b"own")[0] == b"pay"


KNOWN = {"mine": 5, "yours": 7, "opens": OPENING}  # all nonces of Basel are 7


@pytest.mark.parametrize("yours", [0, 8])
def test_nobody_who_does_not_know_my_nonce_ends_an_agreement(yours: int) -> None:
    """Neither by a state transfer, nor by a goodbye of a session, nor by a new attempt to agree."""
    forged = (
        says(1, 40, b"state", transfer=True, yours=yours),
        says(1, 0, b"", leaving="failed", mine=6, yours=yours),
        says(1, ATTEMPT, b"own", mine=6, yours=yours, opens=OPENING),
        says(1, 0, b"own", mine=6, yours=yours, opens=OPENING),
    )
    script = Script(
        (0.0, says(1, **KNOWN)), (0.0, says(2)),
        *((1.0, frames) for frames in forged), (2.0, says(1, 1, **KNOWN)), (2.0, says(2, 1)),
    )  # fmt: skip
    end = exchange(script)
    swap(end)
    assert swap(end, 1) == [b"pay", b"pay"]


def test_a_state_transfer_that_cannot_be_used_is_refused() -> None:
    def unpack(payload: bytes) -> str:
        if payload == b"bad":
            raise BadMessage("no valid message to a newcomer")
        return payload.decode()

    script = Script(
        *((k, says(1, 40, what, transfer=True, yours=7)) for k, what in enumerate([b"bad", b"state"]))
    )
    end = Exchange(0, NAMES, STUDY, NEAR, script, WAIT, script.clock, draw=lambda: 7, unpack=unpack)
    with pytest.raises(StateTransferred) as told:
        swap(end)
    assert (told.value.state, told.value.number, end.inbox.refused) == ("state", 40, 1)


def test_all_agree_again_when_a_neighbour_began_again() -> None:
    """It had heard me before, and now has another nonce. Who hears of the new attempt takes part in it."""
    script = Script(
        (0.0, says(1, **KNOWN)), (0.0, says(2)), (1.0, says(1, 0, **KNOWN | {"mine": 6})),
        (2.0, says(2, ATTEMPT)), (2.0, says(1, ATTEMPT, **KNOWN | {"mine": 6})),
    )  # fmt: skip
    end = exchange(script)
    swap(end)
    with pytest.raises(BegunAnew):
        swap(end, 1)
    assert (end.number, script.now) == (ATTEMPT, 101.0)
    assert swap(end, end.number) == [b"pay", b"pay"]
    further = Script((0.0, says(1, **KNOWN)), (1.0, says(1, 3 * ATTEMPT, **KNOWN)))
    end = exchange(further)
    with pytest.raises(BegunAnew):
        swap(end)
    assert end.number == 3 * ATTEMPT


def test_a_diverged_peer_infects_nobody() -> None:
    script = Script()
    peer = basel(script)
    run = peer.step(peer.init(torch.tensor([[float("inf"), 0.0]], dtype=torch.float64)))
    assert not run.state.x.isfinite().all()
    assert script.sent == []


@pytest.mark.parametrize(("value", "known"), [(1.0, True), (1e200, False), (float("inf"), False)])
def test_a_peer_knows_that_its_model_is_finite_where_its_squares_can_be_summed(
    value: float, known: bool
) -> None:
    """The learning loop looks itself where the peer does not know."""
    links = Links(np.array([0, 0, 1, 2]), np.array([1, 2, 0, 0]), np.full(4, 0.25))
    rows = [(np.ones((1, 1)), np.ones(1))]
    own = Linear(rows, Squared(), intercept=False, batch=1)
    script = Script((0.0, says(1, payload=numbers(value))), (0.0, says(2, payload=numbers(value))))
    peer = Peer(exchange(script), DPSGD(0.0), own, static(links))
    run = peer.step(peer.init(torch.tensor([[value]], dtype=torch.float64)))
    assert bool(run.state.x.isfinite().all()) is bool(np.isfinite(value))
    assert run.finite is known


def test_a_neighbour_with_other_keys_of_secure_sums_stops_all() -> None:
    """Somebody has told the two different ones. A stranger, who does not know my nonce, stops nobody."""
    other = says(1, yours=7, roster=b"another!")
    basel = exchange(Script((0.1, says(1, yours=8, roster=b"another!")), (0.2, other), (0.3, says(2))))
    basel.outbox.roster = b"12345678"
    with pytest.raises(NetworkError, match="Cleveland has other keys of secure sums than Basel"):
        basel.swap(0, [1, 2], [1, 2], b"pay")
    assert all(decode(frames[0]).roster == b"12345678" for _, frames in basel.transport.sent)  # type: ignore[attr-defined]
