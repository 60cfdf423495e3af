"""One live peer against a simple twin and a scripted world, without sockets or clocks."""

from collections import defaultdict
from copy import deepcopy

import numpy as np
import pytest
import torch
from gossip_worlds import SVM, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from test_gossip_twin import CONTROL, CREATE, MEAN, creates
from test_letter import STUDY, read
from twin import ARRIVE, WAKE, Note, Twin

from gossipfl import topology
from gossipfl.errors import BadExperiment, BadMessage
from gossipfl.gossip import LOST, MISSED, RECEIVED, SENT, GossipLearning, Network, Shards
from gossipfl.gossip.letters import ASKS, CARRIES
from gossipfl.peer import Gossiper
from gossipfl.peer.letter import Letter, write
from gossipfl.peer.wire import Header, decode, encode, gossips

PEERS, TICKS = 4, 100
LETTERS = gossips(STUDY)


class LiveTwin(Twin):
    """`Twin`, with one event at a time, on request. The time of a peer is the number of its events."""

    def __init__(self, *args, **more):
        self.out, self.due, self.moments = [], defaultdict(int), defaultdict(int)
        super().__init__(*args, **more)

    def plan(self, tick, what, i, note=None):
        if what == ARRIVE:
            self.out.append((i, note))
        elif what == WAKE:
            self.due[i] += tick - self.now

    def happens(self, i, do, *what):
        self.now = self.moments[i]
        do(i, *what)
        self.moments[i] += 1

    def answer(self, i, to):
        one = self.peers[i]
        one.tally[0] += 1
        self.out.append((to, Note(0, i, 0, True, False, one.age, list(one.w))))


def gossiper(me=0, learning=None, links=None, peers=PEERS, seed=0, **more):
    shard = Shards.of([rows(peers, one_hot=True, seed=seed)[me]], torch.float64)
    return Gossiper(
        me, range(peers), learning or GossipLearning(SVM), shard, STUDY, links, seed, TICKS, **more
    )


def told(posts):
    """The messages of the live peers in the form of the twin."""
    made = []
    for to, frames in posts:
        letter, model = read(frames, torch.zeros(1, 5, dtype=torch.float64))
        assert letter.study == LETTERS
        made.append((to, letter.sender, letter.kind, letter.age, model and model.w[0].tolist()))
    return made


def noted(out):
    return [
        (to, n.sender, CARRIES * n.carries | ASKS * n.asks, n.age, n.w if n.carries else None)
        for to, n in out
    ]


@settings(max_examples=25)
@given(
    st.integers(0, 2**40), creates, st.sampled_from([*CONTROL]), st.sampled_from(["push", "pull", "push-pull"]),
    st.sampled_from([None, "ring:4", "star:4"]), st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from(["wake", "hear", "hear", "learn", "lose"]), st.integers(0, 63)), max_size=60),
)  # fmt: skip
def test_live_peers_are_the_dumb_twin_whatever_is_delivered_when(
    seed, create, control, exchange, where, steps, script
):
    order, weigh, own = create
    made = CREATE[order](own=own) if order == "walk" else CREATE[order](MEAN[weigh], own)
    exchange = exchange if control == "proactive" else "push"
    learning = GossipLearning(SVM, made, CONTROL[control](4, 2), exchange, steps=steps, cache=2)
    links = where and topology.WEIGHTS["metropolis"](topology.load(where))
    live = [gossiper(i, learning, links, seed=seed) for i in range(PEERS)]
    plain = [
        [
            ([*map(float, x), 1.0], float(y))
            for x, y in zip(*rows(PEERS, one_hot=True, seed=seed)[i], strict=True)
        ]
        for i in range(PEERS)
    ]
    settings_ = ((control, 4, 2), exchange, Network(), links, seed, TICKS)
    twin = LiveTwin(plain, create, *settings_, steps=steps, cache=2, l2=SVM.l2)
    way, waiting = [], [{} for _ in range(PEERS)]  # in transit, and waiting at busy peers
    for what, which in script:
        twin.out, posts, i = [], [], which % PEERS
        if what == "wake":
            posts = live[i].woke(live[i].due)
            twin.happens(i, twin.wake)
        elif what == "learn" and waiting[i]:
            posts = live[i].learned()
            twin.happens(i, twin.hear, waiting[i].pop(next(iter(waiting[i]))))
        elif what in {"hear", "lose"} and way:
            (i, frames), note = way.pop(which % len(way))
            if what == "lose":
                live[note.sender].undelivered()
                continue
            posts = live[i].heard(frames)
            if note.carries:
                waiting[i][note.sender] = Note(0, note.sender, 0, True, False, note.age, note.w)
            if note.asks:
                twin.answer(i, note.sender)
        assert told(posts) == noted(twin.out)
        way += [(post, note) for post, (_, note) in zip(posts, twin.out, strict=True)]
        for peer, (mine, one) in enumerate(zip(live, twin.peers, strict=True)):
            assert mine.run.models[0].tolist() == one.cache
            assert mine.run.last[0].tolist() == one.last
            assert (int(mine.run.ages[0]), int(mine.run.tokens[0])) == (one.age, one.tokens)
            assert int(mine.run.tally[0, SENT]) == one.tally[0]
            assert mine.due == twin.due[peer]
            assert mine.waiting == len(waiting[peer])


def says(sender, value=1.0, study=LETTERS, **more):
    model = torch.full((1, 5), float(value), dtype=torch.float64)
    return write(Letter(study, sender, 0, **more), model if more.get("kind", CARRIES) & CARRIES else None)


def test_while_it_is_busy_only_the_newest_model_of_each_neighbour_waits():
    peer = gossiper()
    for k in range(1000):
        for sender in (3, 1):
            assert peer.heard(says(sender, k, age=k)) == []
    assert peer.waiting == 2
    assert peer.run.tally[0].tolist() == [0, 0, 2, 1998]
    peer.learned()
    assert peer.run.last.tolist() == [[999.0] * 5]
    peer.learned()
    assert peer.waiting == 0
    with pytest.raises(KeyError):
        peer.learned()


def test_who_asks_is_answered_at_once_with_what_is_held():
    peer = gossiper()
    [(to, frames)] = peer.heard(says(2, 7, kind=CARRIES | ASKS))
    letter, model = read(frames, peer.run.x)
    assert (to, letter.sender, letter.kind) == (2, 0, CARRIES)
    assert not model.w.any()
    assert peer.heard(says(1, kind=ASKS))[0][0] == 1
    assert peer.waiting == 1
    assert peer.bytes_sent == 2 * sum(map(len, frames))


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (says(0), "peer 0 is not my neighbour"),
        (says(4), "peer 4 is not my neighbour"),
        (says(1, study=b"another!"), "another study"),
        (says(1, study=b"another!", leaving="failed"), "there should be 0|another study"),
        (says(1, float("nan")), "not finite"),
        ([b"junk", b""], "a header that cannot be read"),
    ],
)
def test_a_refused_message_is_counted_and_changes_nothing(frames, why):
    peer = gossiper()
    before = deepcopy(peer.run[1:9])
    with pytest.raises(BadMessage, match=why):
        peer.heard(frames)
    assert peer.refused == 1
    assert (peer.waiting, peer.gone, peer.run.tick) == (0, {}, 0)
    assert all(map(np.array_equal, before, peer.run[1:9]))
    assert not peer.run.tally.any()


def test_nobody_writes_to_who_has_gone_until_it_is_back():
    peer, other = gossiper(0, peers=2), gossiper(1, peers=2)
    [(to, goodbye)] = other.leave("interrupted")
    assert to == 0
    assert peer.heard(goodbye) == []
    assert peer.gone == {1: "interrupted"}
    assert peer.woke(peer.due) == []
    assert peer.run.tally[0, [SENT, LOST]].tolist() == [1, 1]
    [(_, frames)] = other.woke(other.due)
    peer.heard(frames)
    assert peer.gone == {}
    assert [to for to, _ in peer.woke(peer.due)] == [1]
    peer.undelivered()
    assert peer.run.tally[0].tolist() == [2, 2, 1, 0]


def test_a_neighbour_that_went_before_it_gossiped_is_gone_too():
    peer = gossiper()
    assert peer.heard([encode(Header(STUDY, 1, 7, leaving="failed")), b""]) == []
    assert (peer.gone, peer.refused) == ({1: "failed"}, 0)
    assert {to for to, _ in peer.leave("rounds")} == {2, 3}


def test_messages_are_lost_as_often_as_told_by_coins_of_the_seed():
    def lives(seed, loss=0.3):
        peer = gossiper(seed=seed, loss=loss)
        posts = [len(peer.woke(peer.due)) for _ in range(500)]
        answers = [len(peer.heard(says(1, kind=ASKS))) for _ in range(500)]
        sent, lost, *_ = peer.run.tally[0].tolist()
        assert (sent, lost) == (1000, 1000 - sum(posts) - sum(answers))
        assert peer.bytes_sent > gossiper().run.x.numel() * 8 * 1000, "lost messages count too"
        return posts + answers, lost

    assert abs(lives(0)[1] - 300) < 4.5 * 210**0.5
    assert lives(0) == lives(0)
    assert lives(0)[0] != lives(1)[0]
    assert lives(0, loss=0.0)[1] == 0


def test_on_links_only_neighbours_are_heard_and_told():
    links = topology.WEIGHTS["metropolis"](topology.load("ring:6"))
    peer = gossiper(2, links=links, peers=6)
    assert set(peer.neighbours) == {1, 3}
    assert {to for _ in range(20) for to, _ in peer.woke(peer.due)} == {1, 3}
    directed = topology.WEIGHTS["push"](topology.load("one-peer-exp:4"))
    assert set(gossiper(2, links=directed).neighbours) == {0, 1, 3}, (
        "peers that send to it, and peers that answer it"
    )


def test_wake_ups_that_it_was_too_busy_for_are_left_out():
    peer = gossiper()
    peer.woke(50 * TICKS)
    assert peer.due == 50 * TICKS
    peer.woke(50 * TICKS)
    assert 50 * TICKS < peer.due < 52 * TICKS


def test_a_flood_of_anything_leaves_the_counts_whole():
    peer = gossiper()
    for sender in range(-1, 300):
        try:
            peer.heard(says(sender, kind=1 + sender % 3))
        except BadMessage:
            continue
    assert peer.waiting <= 3
    assert peer.refused == 298
    assert int(peer.run.tally[0, RECEIVED] + peer.run.tally[0, MISSED]) == 3


def test_it_has_one_shard():
    with pytest.raises(BadExperiment, match="Peer 0 has 2 shards"):
        Gossiper(0, range(2), GossipLearning(SVM), Shards.of(rows(2)), STUDY)


def test_a_newcomer_is_told_what_was_agreed_once_in_a_cycle():
    peer = gossiper(0, peers=3)
    peer.begin(11, lambda: b"facts")
    asks = [encode(Header(STUDY, 1, 0)), b"so many columns"]
    ((to, frames),) = peer.heard(asks)
    assert to == 1
    assert decode(frames[0]) == Header(STUDY, 0, 0, transfer=True)
    assert frames[1] == b"facts"
    assert peer.heard(asks) == [], "it repeats this message"
    assert len(peer.heard([encode(Header(STUDY, 2, 3)), b""])) == 1
    peer.woke(2 * TICKS)
    assert len(peer.heard(asks)) == 1
    peer.woke(4 * TICKS)
    assert peer.heard([encode(Header(STUDY, 1, 11)), b""]) == [], "it has agreed with me and is only slow"
    assert len(peer.heard([encode(Header(STUDY, 1, 10)), b""])) == 1
    assert peer.refused == 0
