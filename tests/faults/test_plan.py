"""Faults as data: what is wrong in them is said, and a plan of them keeps its laws, whatever is drawn."""

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipfl.config.fault import FaultSettings
from gossipfl.config.file import dump, load, parse
from gossipfl.errors import BadExperiment
from gossipfl.experiment.launch.simulate import simulate
from gossipfl.experiment.live.alone import unsuitable
from gossipfl.experiment.study.make import study
from gossipfl.faults import Due, Plan, plan
from gossipfl.topology import load as graph_of

GRAPHS = ["ring:8", "line:5", "star:6", "full:4", "torus:3x3", "er:12:0.4", "exp:8"]
RING = graph_of("ring:8")


def experiment(*faults, **changes):
    return {"data": {"source": "iris"}, "topology": {"graph": "ring:8"}, "faults": list(faults)} | changes


def planned(*faults, graph=RING, seed=0):
    return plan([FaultSettings.model_validate(fault) for fault in faults], graph, seed)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"do": "kill", "at": 1}, ["faults.0", "needs peers = "]),
        ({"do": "kill", "count": 1}, ["either at", "round"]),
        ({"do": "kill", "count": 1, "at": 1, "round": 2}, ["either at"]),
        ({"do": "kill", "count": 1, "peers": ["0"], "at": 1}, ["set either peers or count"]),
        ({"do": "kil", "count": 1, "at": 1}, ['faults.0.do = "kil"', 'did you mean "kill"?']),
        ({"do": "kill", "cuont": 1, "at": 1}, ["unknown key faults.0.cuont", "did you mean count?"]),
        ({"do": "kill", "count": 0, "at": 1}, ["faults.0.count = 0", "greater than 0"]),
        ({"do": "kill", "count": 1, "at": -1}, ["faults.0.at = -1", "greater than or equal to 0"]),
        ({"do": "heal", "lasts": 1, "at": 1}, ["lasts is not used"]),
        ({"do": "kill", "count": 1, "at": 1, "fresh": True}, ["lasts"]),
        ({"do": "loss", "at": 1}, ["needs amount"]),
        ({"do": "loss", "at": 1, "amount": 1.5}, ["probability"]),
        ({"do": "cut", "at": 1, "count": 2, "amount": 0.5}, ["amount is not used", "delay"]),
        ({"do": "random", "at": 1, "every": 1}, ["every and until"]),
        ({"do": "random", "at": 3, "every": 1, "until": 2}, ["must be later than the beginning, 3"]),
        ({"do": "random", "at": 1, "every": 1, "until": 2, "kinds": []}, ["kinds is empty"]),
        ({"do": "random", "at": 1, "every": 1, "until": 2, "count": 2}, ["draws its peers"]),
        ({"do": "kill", "round": 5, "count": 1, "lasts": 2.5}, ["whole number"]),
    ],
)
def test_what_is_wrong_in_a_fault_is_said(fault, words):
    with pytest.raises(BadExperiment) as caught:
        parse(experiment(fault))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ([{"do": "kill", "at": 1, "peers": ["9"]}], ["kill at 1 s", "no peer 9"]),
        ([{"do": "kill", "at": 1, "count": 8}], ["no 8 peers"]),
        ([{"do": "kill", "at": 1, "count": 9}], ["only 8 peers"]),
        (
            [{"do": "kill", "round": 4, "peers": ["0", "4"]}],
            ["kill in round 4", "would not be connected", "cut"],
        ),
        (
            [{"do": "kill", "at": 1, "peers": ["0"]}, {"do": "kill", "at": 2, "peers": ["0"]}],
            ["already dead at that time: 0"],
        ),
        ([{"do": "restart", "at": 1, "peers": ["0"]}], ["not dead at that time: 0"]),
        ([{"do": "continue", "at": 1}], ["no peer is stopped"]),
        ([{"do": "cut", "at": at, "peers": ["0", "1"]} for at in (1, 2)], ["cut off already"]),
        ([{"do": "stop", "at": 1, "count": 2}, {"do": "restart", "at": 2}], ["no peer is dead"]),
        ([{"do": "heal", "at": 1}], ["there is no such cut"]),
        ([{"do": "cut", "at": 1, "count": 8}], ["both of its sides"]),
        (
            [{"do": "kill", "at": 1, "count": 1}, {"do": "kill", "round": 3, "count": 1}],
            ["round for all of them"],
        ),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_runs(faults, words):
    with pytest.raises(BadExperiment) as caught:
        study(parse(experiment(*faults)))
    for word in words:
        assert word in str(caught.value)


def test_what_lasts_is_undone():
    made = planned(
        {"do": "kill", "at": 1, "peers": ["2"], "lasts": 3, "fresh": True},
        {"do": "stop", "at": 2, "peers": ["5"], "lasts": 1},
        {"do": "cut", "at": 2.5, "peers": ["0", "1"], "lasts": 2},
        {"do": "delay", "at": 5, "amount": 0.05, "jitter": 0.01, "peers": ["3"], "lasts": 1},
        {"do": "reset", "at": 7},
    )
    assert made == Plan(
        "seconds",
        (
            Due(1, "kill", (2,)),
            Due(2, "stop", (5,)),
            Due(2.5, "cut", (0, 1)),
            Due(3, "continue", (5,)),
            Due(4, "restart", (2,), fresh=True),
            Due(4.5, "heal", (0, 1)),
            Due(5, "delay", (3,), 0.05, 0.01),
            Due(6, "delay", (3,)),
            Due(7, "reset", tuple(range(8))),
        ),
    )
    assert made.proxied
    assert not made.unreliable


def test_what_was_undone_by_hand_or_done_anew_is_left_alone():
    assert [event[:3] for event in planned(
        {"do": "kill", "round": 1, "peers": ["2"], "lasts": 10},
        {"do": "restart", "round": 3},
        {"do": "kill", "round": 5, "peers": ["2"]},
        {"do": "loss", "round": 6, "amount": 0.1, "lasts": 10},
        {"do": "loss", "round": 8, "amount": 0.2, "peers": ["4"]},
    ).events] == [
        (1, "kill", (2,)), (3, "restart", (2,)), (5, "kill", (2,)), (6, "loss", tuple(range(8))), (8, "loss", (4,)),
        (16, "loss", (0, 1, 2, 3, 5, 6, 7)),
    ]  # fmt: skip


class World:
    """What a plan does to the peers, by the plainest means; says what it may not do."""

    def __init__(self, graph):
        self.graph = nx.relabel_nodes(graph, {name: me for me, name in enumerate(graph)})
        self.dead, self.stopped, self.cuts, self.amounts = set(), set(), [], {}

    def joined(self):
        rest = self.graph.subgraph(set(self.graph) - self.dead)
        return nx.is_strongly_connected(rest) if rest.is_directed() else nx.is_connected(rest)

    def take(self, event):
        peers = {*event.peers}
        assert peers <= set(self.graph)
        assert peers
        match event.do:
            case "kill":
                assert not peers & self.dead
                self.dead |= peers
                self.stopped -= peers
                assert self.joined()
            case "stop":
                assert not peers & (self.dead | self.stopped)
                self.stopped |= peers
            case "restart":
                assert peers <= self.dead
                self.dead -= peers
            case "continue":
                assert peers <= self.stopped
                self.stopped -= peers
            case "cut":
                assert peers < set(self.graph)
                self.cuts.append(event.peers)
            case "heal":
                self.cuts.remove(event.peers)
            case "delay" | "loss" | "duplicate":
                self.amounts |= {(event.do, peer): event.amount for peer in peers}
        assert set(self.graph) - self.dead - self.stopped, "nobody left"


ALL = ["kill", "kill", "stop", "cut", "delay", "loss", "duplicate", "reset"]
chaos = st.builds(
    lambda kinds, every, lasts, fresh, rounds: {
        "do": "random", "every": every, "until": 40, "lasts": lasts, "kinds": kinds, "fresh": fresh,
        "amount": 0.25, **({"round": 3} if rounds else {"at": 3}),
    },
    st.lists(st.sampled_from(ALL), min_size=1, max_size=8),
    st.integers(1, 5),
    st.integers(1, 30),
    st.booleans(),
    st.booleans(),
)  # fmt: skip


@given(st.lists(chaos, min_size=1, max_size=1), st.sampled_from(GRAPHS), st.integers(0, 2**40))
def test_random_faults_keep_the_laws_and_are_undone_in_the_end(faults, spec, seed):
    graph = graph_of(spec)
    made = planned(*faults, graph=graph, seed=seed)
    assert made == planned(*faults, graph=graph, seed=seed)
    times = [event.when for event in made.events]
    assert times == sorted(times)
    world = World(graph)
    for event in made.events:
        world.take(event)
        assert 3 <= event.when <= 40
        if made.unit == "rounds":
            assert event.when == int(event.when)
        if event.do == "restart" and event.when < 40:
            assert world.joined(), "a peer that comes back to nobody"
    assert not world.dead
    assert not world.stopped
    assert not world.cuts
    assert not any(world.amounts.values())


@given(st.sampled_from(GRAPHS[:-1]), st.integers(1, 4), st.integers(0, 2**40))
def test_drawn_kills_leave_the_others_connected(spec, count, seed):
    graph = graph_of(spec)
    count = min(count, len(graph) - 1)
    event, *others = planned({"do": "kill", "at": 1, "count": count}, graph=graph, seed=seed).events
    assert not others
    assert len(event.peers) == count
    World(graph).take(event)


def test_chance_reaches_everybody_and_every_kind():
    fault = {"do": "random", "at": 0, "every": 1, "until": 600, "kinds": ALL, "lasts": 4, "fresh": True}
    made = planned(fault)
    assert {event.do for event in made.events} == {*ALL, "restart", "continue", "heal"}
    for kind in ("kill", "stop", "cut", "delay", "loss", "reset"):
        assert {peer for event in made.events if event.do == kind for peer in event.peers} == {*range(8)}
    assert {event.fresh for event in made.events if event.do == "restart"} == {True, False}
    assert made != planned(fault, seed=1)


def test_a_study_is_the_same_whatever_goes_wrong_in_it():
    converged, ill = study(parse(experiment())), study(parse(experiment({"do": "kill", "at": 1, "count": 2})))
    assert converged.fingerprint == ill.fingerprint
    assert converged.faults == Plan()
    assert ill.faults.events


def test_faults_are_read_from_a_file_written_and_read_again(tmp_path):
    file = tmp_path / "e.toml"
    file.write_text(
        '[data]\nsource = "iris"\n[[faults]]\ndo = "kill"\nat = 2\ncount = 1\n'
        '[[faults]]\ndo = "random"\nat = 3.0\nevery = 1\nuntil = 9\n'
    )
    e = load(file)
    assert [fault.do for fault in e.faults] == ["kill", "random"]
    file.write_text(dump(e))
    assert load(file) == e
    assert load(file, ["faults=[]"]).faults == ()


def test_one_peer_by_hand_has_nobody_to_do_it():
    with pytest.raises(BadExperiment, match="launcher"):
        unsuitable(parse(experiment({"do": "kill", "at": 1, "count": 1})))


def test_a_method_that_knows_no_neighbours_is_refused():
    with pytest.raises(BadExperiment, match="leave out \\[\\[faults"):
        study(parse(experiment({"do": "kill", "at": 1, "count": 1}, algorithm={"kind": "local"})))


def test_gossip_learning_has_faults_of_its_own_in_simulated_time(tmp_path):
    raw = experiment({"do": "kill", "round": 1, "count": 1}, algorithm={"kind": "gossip-learning"})
    raw |= {"data": {"source": "breast_cancer"}, "model": {"kind": "svm", "l2": 0.01}}
    with pytest.raises(BadExperiment, match=r"gossip\.online"):
        list(simulate(parse(raw), tmp_path))
