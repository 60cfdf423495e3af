"""Peers that the topology file gains and loses while all learn: the model becomes that of whoever is there."""

import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from ports import free_ports
from safetensors.numpy import load_file

from gossipfl.config.file import parse
from gossipfl.experiment.learning.tables import own_table
from gossipfl.experiment.live.alone import endpoints, peer
from gossipfl.experiment.live.following import called, openings
from gossipfl.experiment.live.keyring import signature_keys
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.make import study
from gossipfl.keys import fresh
from gossipfl.peer.gate import LinkKeys
from gossipfl.peer.wire import ident
from gossipfl.runs.events import Progress
from gossipfl.secrecy.start import Identity

L2 = 0.05
RING = [["a", "b"], ["b", "c"], ["c", "d"], ["d", "a"]]
JOINED = [*RING, ["new", "a"], ["new", "c"]]


class Site:
    """One peer in a thread of its own, which reads the topology file anew."""

    def __init__(self, world: "World", name: str) -> None:
        self.name, self.folder = name, world.folder / f"run-{name}"
        self.learns = threading.Event()
        self.warnings: list[str] = []
        self.news: list[str] = []  # how it begins, and who comes and goes
        self.said = threading.Condition()
        made = study(parse(world.raw))
        self.folder.mkdir()
        table, places = own_table(made, name, world.folder / f"{name}.csv"), endpoints(made, name)

        def tell(what: str, told: object) -> None:
            if isinstance(told, Progress):
                self.learns.set()
            elif what == "warning":
                self.warnings.append(str(told))
            elif what in ("learning", "news"):
                self.news.append(str(told))
            with self.said:
                self.said.notify_all()

        def around(now):
            return {other: place for other, place in endpoints(now, name).items() if other != name}

        self.reread = Reread(made, name, around, lambda words: tell("warning", words))

        def live() -> None:
            self.report = peer(made, name, table, self.folder, places, tell, reread=self.reread)

        self.thread = threading.Thread(target=live)
        self.thread.start()

    def says(self, words: str) -> bool:
        """Waits until it does."""
        with self.said:
            return self.said.wait_for(lambda: any(words in said for said in [*self.news, *self.warnings]), 60)

    @property
    def model(self):
        return load_file(self.folder / "peers" / self.name / "model.safetensors")["x"]


class World:
    """Ridge regression of rows that differ from peer to peer; those of "new" are large, and bear a short step only."""

    def __init__(self, folder: Path, kind: str, seconds: float) -> None:
        self.folder, rng = folder, np.random.default_rng(0)
        names = ["a", "b", "c", "d", "new"]
        self.rows, self.ports = {}, dict(zip(names, free_ports(5), strict=True))
        for k, name in enumerate(names):
            x = rng.normal(size=(40, 3)) * (3 if name == "new" else 1) + k / 4
            y = x @ [1, -2, 0.5] + 0.3 * k + 0.2 * rng.normal(size=40)
            self.rows[name] = x, y
            np.savetxt(folder / f"{name}.csv", np.c_[x, y], delimiter=",", header="p,q,r,y", comments="")
        self.raw = {
            "data": {"source": str(folder / "a.csv"), "target": "y", "test": 0.0, "standardise": "none"},
            "topology": {"graph": str(folder / "sites.toml")},
            "model": {"kind": "linear", "l2": L2},
            "algorithm": {"kind": kind},
            "stop": {"rounds": 2**40, "seconds": seconds},
            "peers": {"report": 5},
        }

    def connect(self, edges: list[list[str]]) -> None:
        """The topology file says so from here on."""
        peers = dict.fromkeys(name for edge in edges for name in edge)
        places = "".join(f"[peers.{n}]\nendpoint = 'tcp://127.0.0.1:{self.ports[n]}'\n" for n in peers)
        partial = self.folder / "partial"
        partial.write_text(f"edges = {json.dumps(edges)}\n{places}")
        partial.replace(self.folder / "sites.toml")

    def distance(self, model, names) -> float:
        """From the ridge regression of all rows of these peers, in closed form."""
        x, y = (np.concatenate(parts) for parts in zip(*(self.rows[name] for name in names), strict=True))
        x = np.c_[x, np.ones(len(x))]
        best = np.linalg.solve(x.T @ x / len(x) + L2 * np.diag([1, 1, 1, 0]), x.T @ y / len(x))
        return float(np.linalg.norm(model - best) / np.linalg.norm(best))


@pytest.mark.parametrize(
    ("kind", "seconds", "channel", "near"),
    [
        pytest.param("exact-diffusion", 15.0, {}, 1e-8, marks=pytest.mark.slow),
        pytest.param("auto", 12.0, {}, 1e-8, marks=pytest.mark.slow),
        # slow by nature, so that a busy machine must not decide
        pytest.param("beer", 60.0, {"compress": "top-k", "keep": 0.5}, 1e-5, marks=pytest.mark.slow),
    ],
    ids=["exact-diffusion", "newton", "beer"],
)
def test_a_peer_that_the_file_gains_joins_and_the_step_is_agreed_anew(kind, seconds, channel, near, tmp_path):
    world = World(tmp_path, kind, seconds)
    world.raw["channel"] = channel
    world.connect(RING)
    sites = [Site(world, name) for name in "abcd"]
    for site in sites:
        assert site.learns.wait(200)
    world.connect(JOINED)
    (sites[0].folder / "topology.json").symlink_to("/dev/full")
    sites.append(Site(world, "new"))
    for site in sites:
        site.thread.join()
        assert (site.report.error, site.report.stopped) == ("", "seconds")
        assert world.distance(site.model, world.rows) <= near
        file = site.folder / "topology.json"
        assert site.name not in "bcd" or '"new"' in file.read_text()
        full = f"cannot write {file}: No space left on device"
        assert site.warnings.count(full) == (site.name == "a"), "and nothing else is lost"
    assert len({site.report.rounds for site in sites}) == 1
    for site in sites[:-1]:
        assert site.news[0] == "all peers have agreed: learning begins"
        assert site.news.count("the topology file has changed: gained new") == 1
        # more than once where a busy machine keeps it waiting, and it is given up for a while
        assert ("new is there" in site.news) == (site.name in "ac"), "its neighbours hear of it"
    late = re.fullmatch(r"the others are learning already: joins in round (\d+)", sites[-1].news[0])
    assert late is not None
    assert int(late[1]) > 0


@pytest.mark.slow
def test_a_peer_that_the_file_moves_says_so_and_is_down_until_it_is_where_the_file_says(tmp_path):
    world = World(tmp_path, "exact-diffusion", seconds=12.0)
    world.connect(RING)
    sites = [Site(world, name) for name in "abcd"]
    for site in sites:
        assert site.learns.wait(200)
    there, world.ports["d"] = world.ports["d"], *free_ports(1)
    world.connect(RING)
    assert sites[3].says("still listens on its old endpoint")
    for site in (sites[0], sites[2]):
        assert site.says("d is given up: no connection")
        assert "the topology file has changed: moved d" in site.news
    world.ports["d"] = there
    world.connect(RING)
    for site in sites:
        site.thread.join()
        assert (site.report.error, site.report.stopped) == ("", "seconds")
        assert world.distance(site.model, "abcd") <= 1e-8
        if site.name in "ac":
            away = site.news.index("d is given up: no connection")
            again = site.news.index("the topology file has changed: moved d", away)
            assert "d is back" not in site.news[away:again]
            assert "d is back" in site.news[again:]
    assert sum("still listens on its old endpoint" in words for words in sites[3].warnings) == 1


@pytest.mark.slow
def test_a_peer_that_the_file_loses_leaves_and_its_part_with_it(tmp_path):
    world = World(tmp_path, "exact-diffusion", seconds=13.0)
    world.connect(JOINED)
    sites = [Site(world, name) for name in world.rows]
    for site in sites:
        assert site.learns.wait(200)
    world.connect(RING)
    for site in sites:
        site.thread.join()
    *others, new = sites
    assert (new.report.error, new.report.stopped, new.report.exit_code) == ("", "dropped", 0)
    assert "no longer names new" in new.report.why
    for site in others:
        assert (site.report.error, site.report.stopped) == ("", "seconds")
        assert world.distance(site.model, "abcd") <= 1e-8
        assert "the topology file has changed: lost new" in site.news


def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_of_once(tmp_path):
    world = World(tmp_path, "exact-diffusion", seconds=1.0)
    world.connect(RING)
    made, told = study(parse(world.raw)), []
    reread = Reread(made, "a", lambda now: {b: endpoints(now, "a")[b] for b in now.graph["a"]}, told.append)
    assert reread() is None, "it is the same"
    reread.ask()
    assert reread() is None, "it still is, and somebody asked"
    for wrong, words in (("edges = [", "cannot be read"), (None, "connected")):
        if wrong:
            (tmp_path / "sites.toml").write_text(wrong)
        else:
            world.connect([["a", "b"], ["c", "d"]])
        reread.ask()
        assert reread() is None
        assert re.search(f"cannot use the changed .*sites.toml.*{words}", told.pop())
        assert reread.study is made
    world.connect(JOINED)
    reread.ask()
    change = reread()
    assert change is not None
    assert set(change.endpoints) == {"b", "d", "new"}
    reread.ask()
    assert reread() is None
    assert not told
    text = (tmp_path / "sites.toml").read_text()
    for wrong, words in (
        (text.replace(f"tcp://127.0.0.1:{world.ports['b']}", "b"), "not an endpoint"),
        (text.replace(str(world.ports["new"]), str(world.ports["b"])), "b and new cannot both"),
    ):
        (tmp_path / "sites.toml").write_text(wrong)
        reread.ask()
        assert reread() is None
        assert re.search(f"cannot use the changed .*sites.toml.*{words}", told.pop())


def test_a_changed_key_is_a_change_of_keys_only(tmp_path):
    world = World(tmp_path, "exact-diffusion", seconds=1.0)
    world.connect(RING)
    told, keys, text = [], [fresh().public for _ in range(5)], (tmp_path / "sites.toml").read_text()

    def name(*keys):
        changed = text
        for site, key in zip("abcd", keys, strict=True):
            changed = changed.replace(f"[peers.{site}]", f'[peers.{site}]\npublic_key = "{key}"')
        (tmp_path / "sites.toml").write_text(changed)

    def reading():
        around = lambda now: {b: endpoints(now, "a")[b] for b in now.graph["a"]}  # noqa: E731
        return Reread(study(parse(world.raw)), "a", around, told.append)

    reread = reading()
    name(*keys[:4])
    reread.ask()
    assert reread() is None
    assert "cannot change between open and encrypted" in told.pop()
    reread = reading()
    name(keys[0], keys[4], *keys[2:4])
    reread.ask()
    change = reread()
    assert change is not None
    assert not change.rewired
    assert change.keys == {ident("b"): [keys[4].link], ident("d"): [keys[3].link]}
    reread.ask()
    assert reread() is None
    assert not told


class Keyed:
    """The topology file of four peers with keys, as "a" reads it while it learns."""

    def __init__(self, folder):
        self.world, self.secrets, self.told = World(folder, "exact-diffusion", seconds=1.0), {}, []
        self.secrets = {name: fresh() for name in "abcd"}
        self.write(RING)
        made = study(parse(self.world.raw))
        around = lambda now: {b: endpoints(now, "a")[b] for b in now.graph["a"]}  # noqa: E731
        self.reread = Reread(made, "a", around, self.told.append)
        self.reread.own = LinkKeys(self.secrets["a"].link, {})
        self.reread.identity = Identity(b"", signature_keys(made))

    def write(self, edges, peers="abcd", **keys):
        """The file has these links and peers, and these lines of keys in place of the peers' own."""
        lines = [f"edges = {json.dumps(edges)}"]
        for name in peers:
            lines += [f"[peers.{name}]", f"endpoint = 'tcp://127.0.0.1:{self.world.ports[name]}'"]
            if key := keys.get(name, self.secrets[name].public):
                lines += [f"public_key = '{key}'"]
        (self.world.folder / "sites.toml").write_text("\n".join(lines))

    def changes(self, links=True):
        self.reread.ask()
        return self.reread(links=links)


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("how", ["the line of the key", "the peer", "the peer that links others"])
def test_a_revoked_key_counts_no_more_even_where_the_file_cannot_be_used(tmp_path, how, learns, secure):
    """Where sums are secure no peer can be taken out, and while all agree nobody's links change."""
    file = Keyed(tmp_path)
    if secure:
        file.reread.refuse("with secure sums no peer can be added or removed")
    if how == "the line of the key":
        file.write(RING, b="")
    else:
        file.write([["a", "d"]] if how == "the peer that links others" else [["a", "d"], ["d", "c"]], "acd")
    change = file.changes(learns)
    d = {ident("d"): [file.secrets["d"].public.link]}
    if how == "the peer" and learns and not secure:
        assert (change.rewired, change.keys, set(change.endpoints)) == (True, d, {"d"})
    else:
        assert (change.rewired, change.keys) == (False, {ident("b"): []} | d)
        assert set(change.endpoints) == {"b", "d"}, "the links are as before"
        assert "has no public key for b any more: messages under the old one are refused" in file.told[-1]
    assert file.reread.identity.public["b"] == []
    assert file.changes(learns) is None
    file.write(RING)
    assert file.changes().keys == {ident(name): [file.secrets[name].public.link] for name in "bd"}


def test_who_presents_a_key_that_the_file_no_longer_names_is_told_to_start_again(tmp_path):
    file, new = Keyed(tmp_path), fresh().public
    file.write(RING, a=f"{new} {file.secrets['a'].public}")
    assert file.changes() is not None, "it has the others' new keys of signatures"
    assert not file.told
    file.write(RING, a=str(new))
    file.changes()
    (warning,) = file.told
    assert "no longer names the key that this peer presents: start it again with the same --out" in warning


def test_links_that_weigh_more_one_way_are_not_followed(tmp_path):
    """On a ring all shares are alike, elsewhere not: push-sum's peers could not go on without each other there."""
    world = World(tmp_path, "push-diging", seconds=1.0)
    world.raw["topology"]["weights"] = "push"
    world.connect(RING)
    made, told = study(parse(world.raw)), []
    reread = Reread(made, "a", lambda now: {b: endpoints(now, "a")[b] for b in now.graph["a"]}, told.append)
    world.connect(JOINED)
    reread.ask()
    assert reread() is None
    assert re.search("cannot use the changed .*sites.toml.*equal weights in both", told.pop())


@pytest.mark.parametrize("kind", ["gossip-learning", "push-pull"])
def test_who_cannot_follow_the_file_says_so(kind, tmp_path):
    world = World(tmp_path, kind, seconds=2.5)
    world.connect(RING)
    if kind == "gossip-learning":
        world.raw["algorithm"]["step"] = 0.05
    else:  # along links that lead one way only
        file = tmp_path / "sites.toml"
        file.write_text("directed = true\n" + file.read_text())
    sites = [Site(world, name) for name in "abcd"]
    for site in sites:
        assert site.learns.wait(200)
    world.connect(JOINED)
    for site in sites:
        site.thread.join()
        assert (site.report.error, site.report.stopped) == ("", "seconds")
        assert [
            f'algorithm "{kind}" cannot continue on other links' in warning for warning in site.warnings
        ] == [True]
        assert not (site.folder / "topology.json").exists()


def test_a_file_that_changed_before_it_was_watched_is_noticed(tmp_path):
    world = World(tmp_path, "exact-diffusion", seconds=1.0)
    world.connect(RING)
    made = study(parse(world.raw))
    world.connect(JOINED)
    reread = Reread(made, "a", lambda now: {b: endpoints(now, "a")[b] for b in now.graph["a"]}, print)
    reread.ask()
    assert reread() is not None


def test_ends_know_each_other_by_name_and_bring_their_weights(tmp_path):
    world = World(tmp_path, "auto", seconds=1.0)
    world.connect(RING)
    before = study(parse(world.raw))
    world.connect(JOINED)
    after = study(parse(world.raw))
    assert before.fingerprint == after.fingerprint
    assert before.wiring != after.wiring
    assert called(before).items() <= called(after).items()
    b = [openings(made, made.names.index("b")) for made in (before, after)]
    assert [{round(1 / end.weight) for end in ends.values()} for ends in b] == [{3}, {4}]
    assert b[0].keys() == b[1].keys()
