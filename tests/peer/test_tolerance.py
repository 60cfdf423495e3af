"""One peer that nothing stops, against a scripted world: a fake clock, and neighbours that say what the script says."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from test_exchange import NAMES, NEAR, OPENING, Script, numbers, says
from worlds import STUDY

from gossipfl.algorithms import DPSGD, ExactDiffusion
from gossipfl.algorithms.stability import NEARLY
from gossipfl.engine import Run
from gossipfl.errors import Departed
from gossipfl.peer import Exchange, Peer
from gossipfl.peer.exchange import StateTransferred
from gossipfl.peer.limits import Limits
from gossipfl.peer.neighbour import Health, Neighbour
from gossipfl.peer.patience import FACTOR, LOOPBACK, MOST, Delays, Patience
from gossipfl.peer.rumours import FAR, Rumours
from gossipfl.peer.wire import ATTEMPT, Header, Opening, decode, encode
from gossipfl.topology import Links, static

MINE = 7  # the number that Basel draws, again and again
CLE, ZUR = 1, 2
BEAR = Patience(suspect=1.0, down=4.0, dead=0.5, again=0.25, probe=1.0)


def end(script: Script, patience: Patience = BEAR) -> Exchange:
    """Basel's end of its edges to Cleveland and Zurich, which holds up for nobody."""
    made = Exchange(0, NAMES, STUDY, NEAR, script, 30.0, script.clock, patience=patience, draw=lambda: MINE)
    made.tolerate()
    return made


def tells(sender: int, number: int, **more: Any) -> list[bytes]:
    """A message of a session whose numbers both ends know. `used`, bit b: my message of exchange number - 1 - b was."""
    used = [number - 1 - back for back in range(min(number, 8)) if more.get("used", 0) >> back & 1]
    last = max(used, default=-1)
    said = {"mine": 100 + sender, "yours": MINE, "opens": OPENING} | more
    return says(sender, number, **(said | {"last": last, "used": sum(1 << last - one for one in used)}))


def swap(exchange: Exchange, number: int) -> list[int]:
    """Who was heard in this exchange."""
    messages = exchange.swap(number, [CLE, ZUR], [CLE, ZUR], b"own")
    return [message.header.sender for message in messages if message]


def sent_to(script: Script, peer: int) -> list[Header]:
    return [decode(frames[0]) for to, frames in script.sent if to == peer]


def test_a_message_counts_only_when_both_know_the_session() -> None:
    script = Script(
        (0.0, tells(CLE, 0, yours=0)), (0.0, tells(ZUR, 0)), (0.1, tells(CLE, 1)), (0.1, tells(ZUR, 1))
    )
    exchange = end(script)
    assert swap(exchange, 0) == [ZUR]
    assert swap(exchange, 1) == [CLE, ZUR]
    assert [header.yours for header in sent_to(script, CLE)] == [0, 101]
    assert [(header.last, header.used) for header in sent_to(script, ZUR)] == [(-1, 0), (0, 1)], (
        "Zurich learns that I used its first message"
    )


def test_who_has_no_connection_is_given_up_soon() -> None:
    script = Script(*((0.0, tells(ZUR, number)) for number in range(3)), (0.0, tells(CLE, 0)))
    exchange = end(script)
    assert swap(exchange, 0) == [CLE, ZUR]
    before = script.now
    script.cut = {CLE}
    assert swap(exchange, 1) == [ZUR]
    assert BEAR.dead <= script.now - before <= BEAR.dead + 0.2
    assert exchange.neighbours[CLE].health is Health.DOWN
    assert script.forgotten == [CLE], "what waits for it is thrown away"
    assert exchange.neighbours.rumours.broken == 1
    before = script.now
    assert swap(exchange, 2) == [ZUR]
    assert script.now == before, "nobody waits for it any more"


def test_who_speaks_but_cannot_be_reached_is_not_up_until_it_can() -> None:
    script = Script(*((0.0, tells(ZUR, number)) for number in range(5)), (0.0, tells(CLE, 0)))
    exchange = end(script)
    swap(exchange, 0)
    script.cut = {CLE}
    swap(exchange, 1)
    watch = exchange.neighbours[CLE]
    script.coming.append((script.now, tells(CLE, 2)))
    before = script.now
    swap(exchange, 2)
    assert (watch.health, script.now) == (Health.DOWN, before)
    swap(exchange, 3)
    assert script.now == before, "nobody waits"
    script.cut = set()
    script.coming.append((script.now, tells(CLE, 4)))
    swap(exchange, 4)
    assert watch.health is Health.UP


def test_who_hangs_is_not_awaited_then_given_up_then_up_again() -> None:
    script = Script(*((0.0, tells(ZUR, number)) for number in range(9)), (0.0, tells(CLE, 0)))
    exchange = end(script, BEAR._replace(suspect=0.5))
    swap(exchange, 0)
    watch, before = exchange.neighbours[CLE], script.now
    assert swap(exchange, 1) == [ZUR]
    assert 0.5 <= script.now - before <= 0.7
    assert watch.health is Health.SUSPECTED
    assert exchange.neighbours[CLE].edge.mine == MINE
    assert swap(exchange, 2) == [ZUR]
    script.now += 0.04
    for number in range(3, 6):
        swap(exchange, number)
    assert watch.health is Health.SUSPECTED
    for _ in range(200):  # the clock goes on by what is listened to, and a little for each turn
        script.now += 0.04
        exchange._elapse(0.05)
    swap(exchange, 6)
    assert watch.health is Health.DOWN
    script.coming.append((script.now, tells(CLE, 3)))
    swap(exchange, 7)
    assert watch.health is Health.UP
    script.coming.append((script.now, tells(CLE, 8)))
    assert swap(exchange, 8) == [CLE, ZUR]


def test_who_was_stopped_itself_blames_nobody() -> None:
    """Ten seconds pass between two looks, while everybody has long answered."""
    script = Script((0.0, tells(ZUR, 0)), (0.0, tells(CLE, 0)), (0.1, tells(ZUR, 1)))
    exchange = end(script)
    swap(exchange, 0)
    asked = 0

    def recv(timeout: float) -> list[bytes] | None:
        nonlocal asked
        asked += 1
        if asked == 3:
            script.now += 10.0  # stopped by a signal, in the middle of listening
            script.coming.append((script.now, tells(CLE, 1)))
        return Script.recv(script, timeout)

    script.recv = recv  # type: ignore[method-assign]
    assert swap(exchange, 1) == [CLE, ZUR]
    assert all(watch.health is Health.UP for watch in exchange.neighbours.values())


def test_a_message_that_seems_lost_is_said_again_ever_more_seldom() -> None:
    script = Script((0.0, tells(ZUR, 0)), (2.0, tells(CLE, 0)))
    exchange = end(script, BEAR._replace(suspect=1.0))
    assert swap(exchange, 0) == [CLE, ZUR]
    again = sent_to(script, CLE)
    assert [header.number for header in again] == [0] * 4, "at once, and after 0.25, 0.625 and 1.1875 s"
    assert len(sent_to(script, ZUR)) == 1
    assert exchange.outbox.resent == 3


def test_a_neighbour_that_is_one_ahead_is_asked_for_what_it_said_before() -> None:
    """Its message was lost: it sees that when I say mine again, and says its own again, once more."""
    script = Script((0.0, tells(ZUR, 0)), (0.0, tells(CLE, 1)), (0.1, tells(CLE, 0)))
    exchange = end(script)
    assert swap(exchange, 0) == [CLE, ZUR]
    assert [header.number for header in sent_to(script, CLE)] == [0, 0]
    assert script.now < 100.2


def test_a_neighbour_that_lacks_my_last_message_is_told_it_again_but_not_all_the_time() -> None:
    script = Script(
        *((0.0, tells(peer, 0)) for peer in (CLE, ZUR)),
        *((0.01 * k, tells(CLE, 0)) for k in range(20)),
        *((0.2, tells(peer, 1)) for peer in (CLE, ZUR)),
    )
    exchange = end(script)
    swap(exchange, 0)
    assert swap(exchange, 1) == [CLE, ZUR]
    told = [header.number for header in sent_to(script, CLE)]
    assert told == [0, 1, 0, 0], "at once, and after half of the time in which it may ask once more"


def test_a_neighbour_that_says_again_what_i_heard_is_told_mine_again() -> None:
    """It waits for me, whose message was lost, while I wait for somebody else."""
    script = Script((0.0, tells(CLE, 0)), (0.2, tells(CLE, 0)), (0.24, tells(ZUR, 0)))
    assert swap(end(script), 0) == [CLE, ZUR]
    assert [header.number for header in sent_to(script, CLE)] == [0, 0]
    assert len(sent_to(script, ZUR)) == 1


def test_who_used_mine_and_went_on_is_awaited_until_it_says_its_own_again() -> None:
    """However often that is lost, too; one that went on without mine, or twice, will not tell what I could use."""
    for used, further, heard in ((0b1, 1, [CLE, ZUR]), (0b0, 1, [CLE]), (0b1, 2, [CLE])):
        ahead = [(0.0, tells(ZUR, 1, used=used)), (0.1, tells(ZUR, further))]
        script = Script((0.0, tells(CLE, 0)), *ahead, (0.9, tells(ZUR, 0)))
        assert swap(end(script), 0) == heard


def test_who_says_again_what_comes_after_what_i_lack_is_asked_again() -> None:
    script = Script(
        (0.0, tells(CLE, 0)), *((0.2 * k, tells(ZUR, 1, used=1)) for k in range(3)), (0.41, tells(ZUR, 0))
    )
    exchange = end(script, BEAR._replace(again=0.3))
    assert swap(exchange, 0) == [CLE, ZUR]
    assert [header.number for header in sent_to(script, ZUR)] == [0] * 5, (
        "first, thrice asked, and as time passes"
    )


def test_a_neighbour_far_ahead_is_asked_once_and_followed() -> None:
    script = Script((0.0, tells(ZUR, 0)), (0.0, tells(CLE, 5)))
    exchange = end(script)
    assert swap(exchange, 0) == [ZUR]
    assert BEAR.again <= script.now - 100.0 <= BEAR.again + 0.06
    assert exchange.neighbours[CLE].reached == 5


@pytest.mark.parametrize("unknown", [{"yours": 0}, {"yours": MINE + 1}, {"mine": 0, "yours": 0}])
def test_who_does_not_name_my_number_is_not_followed(unknown: dict[str, int]) -> None:
    """A stranger who knows the study, but was told nothing by me, cannot make me skip all that is to be learned."""
    script = Script((0.0, tells(ZUR, 0)), (0.0, tells(CLE, 0)), (0.1, tells(CLE, 2**61, **unknown)))
    exchange = end(script)
    swap(exchange, 0)
    script.now = 100.2
    swap(exchange, 1)
    assert exchange.neighbours[CLE].reached == 0
    assert exchange.neighbours[CLE].spoke == 2**61


def test_goodbye_holds_nobody_up_and_is_no_absence() -> None:
    script = Script(
        (0.0, tells(ZUR, 0)),
        (0.0, tells(CLE, 0)),
        (0.0, tells(CLE, 1, payload=b"", leaving="done")),
        (0.0, tells(ZUR, 1)),
    )
    exchange = end(script)
    assert swap(exchange, 0) == [CLE, ZUR]
    assert swap(exchange, 1) == [ZUR]
    assert script.now == 100.0
    assert exchange.neighbours[CLE].health is Health.LEFT
    assert exchange.neighbours.whole(exchange.now, 60.0)
    count = len(sent_to(script, CLE))
    script.coming.append((script.now, tells(ZUR, 2)))
    swap(exchange, 2)
    assert len(sent_to(script, CLE)) == count, "nothing is sent to who has left"


@pytest.mark.parametrize("why", ["diverged", "failed", "settled", "done", "nonsense"])
def test_who_leaves_early_leaves_alone(why: str) -> None:
    """Whatever it says: this peer has not converged, nor come to its last exchange."""
    script = Script(
        *((0.0, tells(peer, 0, payload=numbers(3.0))) for peer in (CLE, ZUR)),
        (0.0, tells(CLE, 1, leaving=why, payload=b"")),
        *((when, tells(ZUR, k, used=1, payload=numbers(3.0))) for k, when in ((1, 0.1), (2, 0.95))),
    )
    exchange = end(script)
    exchange.begin(0, exchanges=100)
    peer = two_neighbours(exchange)
    run = peer.init(torch.ones(1, 1, dtype=torch.float64))
    for _ in range(3):
        run = peer.step(run)
        assert not peer.settled(torch.tensor([False]))
    assert float(run.state.x) == 2.0 + 0.25 * 1.0 + 0.25 * 0.75, "Zurich alone pulls in the last two rounds"
    assert exchange.neighbours.rumours.cut == [(0, CLE)], "its part is taken out"


def test_who_comes_and_goes_all_the_time_is_back_once_a_second_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    script = Script(
        *((0.0, tells(peer, 0)) for peer in (CLE, ZUR)),
        *((k / 100, tells(CLE, 1, **({"leaving": "failed"} if k % 2 else {}))) for k in range(350)),
    )
    exchange = end(script, BEAR._replace(suspect=9.0))
    for number in range(2):
        swap(exchange, number)
    assert 2 <= caplog.text.count("Cleveland is back") <= 4


def test_a_method_without_a_fallback_ends_and_names_who_left() -> None:
    script = Script((0.0, says(CLE, 0, b"", leaving="diverged", yours=MINE)), (0.0, tells(ZUR, 0)))
    exchange = Exchange(0, NAMES, STUDY, NEAR, script, 30.0, script.clock, draw=lambda: MINE)
    with pytest.raises(Departed, match=r"Cleveland left \(diverged\)"):
        swap(exchange, 0)


def test_who_is_all_alone_takes_its_time() -> None:
    """Rounds of somebody without neighbours do not run away from those of the others."""
    script = Script(
        *((0.05 * (1 + number), tells(peer, number)) for number in range(40) for peer in (CLE, ZUR))
    )
    exchange = end(script)
    for number in range(40):
        swap(exchange, number)
    script.cut = {CLE, ZUR}
    swap(exchange, 40)
    before = script.now
    for number in range(41, 61):
        assert swap(exchange, number) == []
    assert script.now - before > 20 * 0.025, "about as long as their exchanges took"


def test_who_was_never_together_with_anybody_does_not_run_ahead() -> None:
    """All have crashed, and the first that is back, from its checkpoint, waits for the others."""
    script = Script()
    exchange = end(script)
    script.cut = {CLE, ZUR}
    swap(exchange, 100)
    before = script.now
    for number in range(101, 111):
        assert swap(exchange, number) == []
    assert script.now - before >= 10 * BEAR.probe


def test_settled_is_believed_of_those_of_the_session_only_and_by_who_has_converged() -> None:
    """One whose inbound way is cut hears nobody, gives all up, and settles all by itself."""
    for yours, ready, believed in (
        (MINE, True, True),
        (MINE, False, False),
        (MINE + 1, True, False),
        (0, True, False),
    ):
        script = Script(
            *((0.0, tells(peer, 0)) for peer in (CLE, ZUR)),
            (0.1, tells(CLE, 1, yours=yours, leaving="settled", payload=b"")),
            (0.1, tells(ZUR, 1)),
        )
        exchange = end(script)
        assert swap(exchange, 0) == [CLE, ZUR]
        exchange.neighbours.ready = ready
        assert swap(exchange, 1) == [ZUR]
        assert exchange.neighbours.settled == believed
        assert exchange.neighbours[CLE].goodbye == "settled"


def test_a_goodbye_names_the_session() -> None:
    script = Script(*((0.0, tells(peer, 0)) for peer in (CLE, ZUR)))
    exchange = end(script)
    swap(exchange, 0)
    exchange.leave("settled")
    said = sent_to(script, ZUR)[-1]
    assert (said.leaving, said.mine, said.yours) == ("settled", MINE, 100 + ZUR)


def test_a_peer_that_leaves_takes_no_state_transfer() -> None:
    script = Script((0.2, says(CLE, 40, b"facts", transfer=True)))
    exchange = end(script)
    assert exchange.part(1.0) == set()


def test_who_repeats_the_last_exchange_of_agreeing_is_told_what_was_agreed() -> None:
    script = Script(
        *((0.0, tells(peer, 30)) for peer in (CLE, ZUR)), (0.1, says(CLE, 19)), (0.2, tells(ZUR, 31))
    )
    exchange = end(script)
    exchange.begin(20, lambda: b"facts")
    for number in (30, 31):
        swap(exchange, number)
    assert [header.transfer for header in sent_to(script, CLE)].count(True) == 1


def test_who_repeats_the_last_exchange_of_agreeing_though_it_has_mine_is_told_what_was_agreed() -> None:
    """Another neighbour of it may be gone, and it would wait for that one without end."""
    script = Script(*((0.1 * k, says(CLE, 19)) for k in range(1, 4)), (0.4, tells(CLE, 20)))
    exchange = end(script)
    exchange.begin(20, lambda: b"facts")
    exchange.number = 19
    exchange.swap(19, [CLE], [], b"mine")
    exchange.swap(20, [CLE], [CLE], b"mine")
    said = [(header.number, header.transfer) for header in sent_to(script, CLE)]
    assert (19, False) in said[2:], "first my message of that exchange again"
    assert (20, True) in said, "then the state"
    assert said.index((20, True)) > said.index((19, False), 1)


def test_who_is_suspected_before_anything_of_it_was_used_has_no_part_in_what_is_learned() -> None:
    script = Script(
        (0.0, tells(CLE, 20)), *((10.0, tells(peer, number)) for number in (21, 22) for peer in (ZUR, CLE))
    )
    exchange = end(script)
    exchange.begin(20, exchanges=1000)
    assert swap(exchange, 20) == [CLE]
    assert exchange.rumours.cut == [(0, ZUR)]
    swap(exchange, 21)
    assert swap(exchange, 22) == [CLE, ZUR]
    assert exchange.rumours.cut == []


def test_while_somebody_is_absent_nobody_is_whole() -> None:
    script = Script(*((0.0, tells(ZUR, number)) for number in range(3)), (0.0, tells(CLE, 0)))
    exchange = end(script)
    swap(exchange, 0)
    assert exchange.neighbours.whole(exchange.now, 60.0)
    script.cut = {CLE}
    swap(exchange, 1)
    assert not exchange.neighbours.whole(exchange.now, 60.0)
    assert exchange.neighbours.whole(exchange.now + 60.0, 60.0)
    assert exchange.neighbours.rumours.depth == len(NAMES) - 1, "words may have to go a longer way now"


def test_a_newcomer_is_told_what_was_agreed_and_not_more_often_than_needed() -> None:
    script = Script(
        *((0.0, says(CLE, 0, mine=5, opens=OPENING)) for _ in range(5)),
        *((0.01, tells(peer, 40)) for peer in (ZUR, CLE)),
    )
    exchange = end(script)
    exchange.begin(20, lambda: b"facts")
    swap(exchange, 40)
    hello = [frames for to, frames in script.sent if decode(frames[0]).transfer]
    assert len(hello) == 1
    assert hello[0][1] == b"facts"
    newcomer = Script((0.0, hello[0]))
    agreeing = Exchange(CLE, NAMES, STUDY, {0: OPENING}, newcomer, 30.0, newcomer.clock, draw=lambda: 5)
    with pytest.raises(StateTransferred) as told:
        agreeing.swap(0, [0], [0], b"own")
    assert (told.value.state, told.value.number) == (b"facts", 40)


@pytest.mark.parametrize("number", [0, ATTEMPT])
def test_who_agrees_alone_is_a_newcomer_whatever_its_attempt(number: int) -> None:
    newcomer = says(CLE, number, mine=5, opens=OPENING)
    exchange = end(Script((0.0, newcomer), *((0.01, tells(peer, 40)) for peer in (ZUR, CLE))))
    exchange.begin(20, lambda: b"facts")
    assert swap(exchange, 40) == [CLE, ZUR]
    assert exchange.neighbours[CLE].reached == 40
    assert [decode(f[0]).yours for to, f in exchange.transport.sent if decode(f[0]).transfer] == [5]


@pytest.mark.parametrize("bad", [(float("nan"),), (float("inf"),), (1e300,)])
def test_numbers_that_are_not_finite_count_as_lost_and_their_sender_hears_that(bad: tuple[float]) -> None:
    script = Script(
        *((0.0, tells(ZUR, number, payload=numbers(3.0), used=1)) for number in range(2)),
        (0.0, tells(CLE, 0, payload=numbers(*bad))), (0.0, tells(CLE, 1, payload=numbers(3.0))),
    )  # fmt: skip
    peer = two_neighbours(end(script))
    run = peer.step(peer.init(torch.ones(1, 1, dtype=torch.float64)))
    assert float(run.state.x) == 1.5, "Zurich's, with its weight"
    assert script.now == 100.0, "nobody waits"
    peer.step(run)
    cle, zur = (sent_to(script, to)[1] for to in (CLE, ZUR))
    assert [(header.last, header.used) for header in (cle, zur)] == [(-1, 0), (0, 1)]
    assert peer.exchange.neighbours.rumours.broken == 0 == peer.exchange.number - 2


def two_neighbours(exchange: Exchange) -> Peer:
    """D-PSGD without a gradient."""
    links = Links(np.array([0, 0, 1, 2]), np.array([1, 2, 0, 0]), np.full(4, 0.25))
    peer = Peer(exchange, DPSGD(0.0), Still(), static(links))
    peer.tolerate(60.0)
    return peer


class Still:
    """A problem without a gradient."""

    def grad(self, round: int) -> Any:
        return torch.zeros_like


def test_rumours_of_strangers_and_beyond_the_study_are_not_believed() -> None:
    far = Rumours(2**61, 20_000, True)
    for limits, forged, believed in (
        (Limits(), {}, Rumours(1 + FAR, 2, False)),
        (TIMED, {}, Rumours(1 + FAR, 2, True)),
        (TIMED, {"yours": 0}, Rumours(1)),  # it cannot be used
        (TIMED, {"mine": 9, "yours": MINE + 1}, Rumours(1)),
    ):
        script = Script(
            *((0.0, tells(peer, 0)) for peer in (CLE, ZUR)),
            (0.1, tells(CLE, 1, rumours=far, **forged)), (0.2, tells(ZUR, 1)), (0.2, tells(CLE, 1)),
        )  # fmt: skip
        exchange = Exchange(
            0, NAMES, STUDY, NEAR, script, 30.0, script.clock, patience=BEAR, draw=lambda: MINE, limits=limits
        )
        exchange.tolerate()
        swap(exchange, 0)
        swap(exchange, 1)
        assert exchange.neighbours.rumours == believed


TIMED = Limits(over=(0.0, 0.0))


def test_of_exchanges_aside_no_more_is_passed_on_than_others_believe() -> None:
    """A neighbour that is ahead, or says so, speaks of more of them than there were until my exchange."""
    script = Script(
        (0.0, tells(CLE, 60, rumours=Rumours(aside=40))), *((0.1, tells(peer, 30)) for peer in (CLE, ZUR))
    )
    exchange = end(script)
    exchange.begin(20, exchanges=1000)
    swap(exchange, 30)
    assert not exchange.neighbours[CLE].refused
    assert exchange.rumours.aside == 30 - 20


def test_the_time_is_not_up_before_most_of_it_has_passed_here(caplog: pytest.LogCaptureFixture) -> None:
    """After 8 of 10 seconds it is not, and who says so is named; shortly before the bound another clock may be faster."""
    for seconds, elapsed, believed, named in (
        (10.0, 7.0, False, True),
        (10.0, 8.5, False, False),
        (10.0, 9.0, True, False),
        (10.0, None, False, False),  # this peer came late
        (math.inf, 1e9, False, True),
    ):
        caplog.clear()
        script = Script(
            (0.0, tells(CLE, 1, rumours=Rumours(over=True))), (0.0, tells(ZUR, 1)), (0.0, tells(ZUR, 2))
        )
        exchange = Exchange(
            0,
            NAMES,
            STUDY,
            NEAR,
            script,
            30.0,
            script.clock,
            draw=lambda: MINE,
            limits=Limits(seconds=seconds),
        )
        exchange.tolerate()
        exchange.begin(1, exchanges=100, elapsed=elapsed)
        swap(exchange, 1)
        assert exchange.neighbours.rumours.over == believed
        assert ("Cleveland says that the time is up, and it is not" in caplog.text) == named
        assert exchange.refused == named
        if elapsed is None:
            script.coming.append((script.now, tells(ZUR, 2, rumours=Rumours(over=True))))
            script.coming.append((script.now, tells(CLE, 2)))
            script.coming = script.coming[1:]
            swap(exchange, 2)
            assert exchange.neighbours.rumours.over, "both neighbours say so"


@pytest.mark.parametrize(
    ("step", "heard"), [(0.02, 0.01), (0.01, 0.01), (0.006, 0.005), (9e-6, 0.0), (1e-300, 0.0)]
)
def test_the_agreed_step_is_halved_and_a_far_shorter_one_is_not_heard(step: float, heard: float) -> None:
    opens = OPENING.__class__(OPENING.weight, OPENING.graph, step)
    exchange = end(Script((0.0, tells(CLE, 40, opens=opens)), (0.0, tells(ZUR, 40))))
    exchange.begin(20, lambda: b"", step=0.01)
    swap(exchange, 40)
    assert (exchange.neighbours.step, exchange.neighbours.asker) == (heard, "Cleveland" * (heard > 0))
    assert [one.refused for one in exchange.neighbours.values()] == [int(not heard), 0]


def test_a_member_makes_all_begin_anew_ten_times_at_most_by_asking_for_shorter_steps() -> None:
    """Each request is a bit shorter than the last one, and in a session of its own."""
    exchange, heard = end(Script()), []
    exchange.begin(0, lambda: b"", step=0.01)
    one = exchange.neighbours[CLE]
    for k in range(2000):
        opens = Opening(1 / 3, b"topology", 0.01 * 0.995**k)
        exchange.neighbours.hear(one, Header(STUDY, CLE, 0, mine=k + 1, opens=opens), 0, -1, False, 0.0, 0.0)
        heard.append(exchange.neighbours.step)
    assert sorted(set(heard), reverse=True) == [0.01 * 2.0**-k for k in range(11)]
    assert all(step <= 0.01 * max(0.995**k, 2.0**-10) / NEARLY for k, step in enumerate(heard))


def test_what_only_one_end_used_is_given_back() -> None:
    """Exact diffusion's e is what has been pulled; Cleveland says that it did not use my message of exchange 1."""
    said = (8.0, 20.0, 30.0)
    used = {CLE: (0b0, 0b1, 0b10), ZUR: (0b0, 0b1, 0b11)}
    script = Script(
        *(
            (0.0, tells(peer, number, payload=numbers(said[number]), used=used[peer][number]))
            for number in range(3)
            for peer in (CLE, ZUR)
        )
    )
    links = Links(np.array([0, 0, 1, 2]), np.array([1, 2, 0, 0]), np.full(4, 0.25))
    peer = Peer(end(script), ExactDiffusion(0.1), None, static(links))
    peer.tolerate(60.0)
    runs: list[Run] = [peer.init(torch.zeros(1, 1, dtype=torch.float64))]
    for _ in range(3):
        runs.append(peer.step(runs[-1]))
    sent = [float(run.state.x + run.state.e) for run in runs[:3]]
    pulled = [0.5 * (theirs - mine) for theirs, mine in zip(said, sent, strict=True)]
    assert float(runs[2].state.e) == pulled[0] + pulled[1] != pulled[0], "as far as I know by then"
    assert float(runs[3].state.e) == pulled[0] + pulled[1] / 2 + pulled[2]


def test_who_keeps_no_accounts_remembers_nothing_of_exchanges() -> None:
    """D-PSGD has none, and may go on for ever."""
    rounds = 200
    script = Script(*((0.0, tells(CLE, number, payload=numbers(1.0), used=0b1)) for number in range(rounds)))
    both = np.array([0, 1]), np.array([1, 0]), np.array([0.5, 0.5])
    exchange = end(script)
    peer = Peer(exchange, DPSGD(0.1), None, static(Links(*both)))
    peer.tolerate(60.0)
    run = peer.init(torch.zeros(1, 1, dtype=torch.float64))
    for _ in range(rounds):
        run = peer.step(run)
    edge = exchange.neighbours[CLE].edge
    assert float(run.state.x) == 1.0
    assert len(edge.told) <= 1
    assert len(edge._open) <= 2


def test_lateness_makes_for_longer_patience() -> None:
    one = Neighbour("Cleveland", OPENING, LOOPBACK, lambda: MINE, 0.0)
    for _ in range(50):
        one.delays.late(0.001)
    assert one.delays.limit == LOOPBACK.suspect
    for _ in range(50):
        one.delays.late(3.0)
    assert 3.0 < one.delays.limit < 6.0
    one.become(Health.SUSPECTED, 10.0)
    assert not one.overdue(2.5 * one.delays.limit - 0.1)
    assert one.overdue(2.5 * one.delays.limit + 0.1)


def test_who_answers_later_each_time_is_not_awaited_for_ever() -> None:
    delays = Delays(LOOPBACK)
    for _ in range(100):
        delays.late(0.99 * delays.limit)
        delays.answered(0.99 * delays.limit)
    assert 5.0 < delays.limit <= MOST * LOOPBACK.suspect < 10.0
    assert delays.silent <= FACTOR * MOST * LOOPBACK.suspect


def test_a_long_way_makes_for_longer_patience_and_halts_do_not() -> None:
    delays = Delays(LOOPBACK)
    delays.late(0.1)
    assert (delays.again, delays.limit) == (LOOPBACK.again, LOOPBACK.suspect)
    for _ in range(9):
        delays.answered(0.4)
    assert delays.again == pytest.approx(0.3)
    assert delays.limit == pytest.approx(4.0)
    assert delays.unconnected == pytest.approx(1.2), "to open a connection takes some ways there and back"
    delays.answered(60.0)
    assert delays.trip <= 0.8, "it was not that far away for so long: something was lost"
    delays.answered(0.3)
    assert delays.trip == pytest.approx(0.3)


def test_the_way_there_and_back_is_told_by_who_made_use_of_my_message() -> None:
    script = Script(
        *((0.1, tells(peer, 0)) for peer in (CLE, ZUR)),
        (0.2, tells(CLE, 1, used=0b1)),
        (0.3, tells(ZUR, 1, used=0b0)),
    )
    exchange = end(script)
    for number in range(2):
        assert swap(exchange, number) == [CLE, ZUR]
    trips = [exchange.neighbours[peer].delays.trip for peer in (CLE, ZUR)]
    assert trips == [pytest.approx(0.2), 0.0]


@pytest.mark.parametrize("why", ["settled", "done", "interrupted"])
def test_what_a_neighbour_has_contributed_stays_if_it_learned_to_the_end(why: str) -> None:
    """Else my last round, without what only its model balances, would lead away from where all have arrived."""
    script = Script(
        *((0.0, tells(peer, number, used=number)) for number in range(2) for peer in (CLE, ZUR)),
        (0.0, tells(CLE, 2, payload=b"", leaving=why)),
        (0.1, tells(ZUR, 2, used=0b11)),
    )
    exchange = end(script)
    exchange.begin(0, exchanges=3)
    for number in range(3):
        swap(exchange, number)
    assert exchange.neighbours[CLE].edge.ended == (why == "interrupted")


def test_the_header_says_what_is_wrong_anywhere() -> None:
    """Trouble, a long way and the end of time are told on."""
    script = Script(
        (0.0, tells(CLE, 9, rumours=Rumours(8, 2, True))), (0.0, tells(ZUR, 9)), (0.0, tells(ZUR, 10))
    )
    exchange = Exchange(0, NAMES, STUDY, NEAR, script, 30.0, script.clock, draw=lambda: MINE, limits=TIMED)
    exchange.tolerate()
    swap(exchange, 9)
    script.coming.append((script.now, tells(CLE, 10)))
    swap(exchange, 10)
    said = sent_to(script, ZUR)[-1]
    assert said.rumours == Rumours(8, 2, True)
    far = Script((0.0, tells(CLE, 9, rumours=Rumours(2**61, 20_000))), (0.0, tells(ZUR, 9)))
    exchange = end(far)
    swap(exchange, 9)
    assert exchange.neighbours.rumours.broken < 100, "nobody can say that the far future is broken"
    assert exchange.neighbours.rumours.depth == len(NAMES) - 1, (
        "nor that a way is longer than through all peers"
    )


def test_encode_takes_little() -> None:
    """What sessions add to a message, of which there is one for each neighbour."""
    quiet = Header(
        STUDY, 3, 10_000, converged=b"\xff\x01", mine=2**62, yours=2**62, last=9_999, used=2**63 - 1
    )
    assert len(encode(quiet)) <= 64


def test_who_parts_waits_for_goodbyes_and_answers_whoever_lacks_its_last_message() -> None:
    script = Script(
        (0.0, tells(CLE, 0)), (0.0, tells(ZUR, 0)), (0.3, tells(ZUR, 0)), (0.4, tells(CLE, 1, leaving="settled")),
        (0.5, tells(ZUR, 1, leaving="settled")),
    )  # fmt: skip
    exchange = end(script)
    assert swap(exchange, 0) == [CLE, ZUR]
    exchange.leave("settled")
    before = len(sent_to(script, ZUR))
    assert exchange.part(1.0) == {CLE, ZUR}
    assert script.now == 100.5
    assert [header.number for header in sent_to(script, ZUR)[before:]] == [0]


def test_who_parts_waits_for_nobody_without_a_connection_and_for_nobody_for_long() -> None:
    script = Script((0.0, tells(CLE, 0)), (0.0, tells(ZUR, 0)))
    exchange = end(script)
    swap(exchange, 0)
    script.cut = {CLE}
    assert exchange.part(1.0) == {CLE}
    assert script.now == 101.0
    script.cut = {CLE, ZUR}
    assert exchange.part(1.0) == {CLE, ZUR}
    assert script.now == 101.0
