"""Three institutions of which one opens no port: who is let in, and what a check finds before the start."""

import hashlib
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import zmq
from commands import gossipfl
from ports import free_ports
from safetensors.numpy import load_file
from test_keys_live import EXPERIMENT, NAMES, optimum
from zmq.utils import z85

from gossipfl.cli.confidential import confidential
from gossipfl.config.file import load
from gossipfl.experiment.learning.check import look
from gossipfl.experiment.learning.tables import own_table
from gossipfl.experiment.live.alone import endpoints, peer
from gossipfl.experiment.live.check import findings
from gossipfl.experiment.live.keyring import identity, link_keys
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.make import study
from gossipfl.keys import fresh, save

SOON = 100.0


@pytest.fixture
def sites(tmp_path):
    """A folder for each site, with its own files; wien has no endpoint. All rows, x (60, 3) and y (60,)."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 3))
    y = x @ [1.0, -2.0, 0.5] + 3 + rng.normal(size=60)
    keys = {name: fresh() for name in NAMES}
    lines = ['edges = [["oslo", "rome"], ["rome", "wien"], ["wien", "oslo"]]']
    for name, port, rows in zip(NAMES, free_ports(3), np.split(np.arange(60), 3), strict=True):
        home = tmp_path / name
        home.mkdir()
        (home / "e.toml").write_text(EXPERIMENT)
        save(name, (keys[name],), home / f"{name}.key")
        place = f'\nendpoint = "tcp://127.0.0.1:{port}"' if name != "wien" else ""
        lines += [f"[peers.{name}]", f'public_key = "{keys[name].public}"{place}']
        table = np.column_stack((x[rows], y[rows]))
        np.savetxt(home / f"{name}.csv", table, delimiter=",", header="a,b,c,y", comments="")
    for name in NAMES:
        (tmp_path / name / "sites.toml").write_text("\n".join(lines))
    return tmp_path, x, y, keys


def edit(file, old, new):
    """Replace a word of a file, as an editor does."""
    changed = file.with_name("new")
    changed.write_text(file.read_text().replace(old, new))
    changed.replace(file)


OWN_METHOD = """
class Mine:
    def __init__(self, step):
        self.step = step

    def round(self, s, grad, mix):
        return s._replace(x=mix(s.x - self.step * grad(s.x)))
"""


class Site:
    """A peer that lives in a thread; `said` is its terminal."""

    def __init__(self, folder: Path, name: str, *words: str) -> None:
        self.folder, self.name, self.said, self.report = folder / name, name, [], None
        made = study(load(self.folder / "e.toml", words))
        places = endpoints(made, name)

        def near(changed):
            return {other: place for other, place in endpoints(changed, name).items() if other != name}

        def tell(*what):
            self.said.append(" ".join(map(str, what)))

        reread = Reread(made, name, near, lambda warning: tell("warning", warning))
        self._live = lambda: peer(
            made, name, own_table(made, name, self.folder / f"{name}.csv"), self.folder / "run", places, tell,
            reread=reread, keys=link_keys(made, name, places), identity=identity(made, name),
        )  # fmt: skip
        (self.folder / "run").mkdir()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.report = self._live()

    def until(self, words: str) -> None:
        until = time.monotonic() + SOON
        while not any(words in line for line in self.said):
            assert time.monotonic() < until, (words, self.said)
            time.sleep(0.02)


@contextmanager
def strangers(places):
    """Raw sockets at each door: without keys, with an unknown key, and bytes that are no protocol at all."""
    with zmq.Context() as context:
        sockets = []
        for place, key in places.items():
            for secret in (None, fresh()):
                one = context.socket(zmq.DEALER)
                one.setsockopt(zmq.LINGER, 0)
                if secret:
                    one.curve_serverkey = z85.encode(key.public.link)
                    one.curve_secretkey = z85.encode(secret.link)
                    one.curve_publickey = z85.encode(secret.public.link)
                one.connect(place)
                with suppress(zmq.Again):  # it was refused already
                    one.send(b"\x08\0\0\0whatever\0\0\0\0", zmq.NOBLOCK)
                sockets.append(one)
            host, _, port = place.removeprefix("tcp://").rpartition(":")
            with socket.create_connection((host, int(port))) as raw:
                raw.sendall(b"\0" * 100_000)
        try:
            yield
        finally:
            for one in sockets:
                one.close()


def test_a_peer_that_is_refused_is_in_as_soon_as_its_key_is_added_and_strangers_change_nothing(sites):
    """Oslo and rome have a wrong key for wien at first. Nobody starts again; both wait, and say who knocks."""
    folder, x, y, keys = sites
    right, wrong = (str(key.public) for key in (keys["wien"], fresh()))
    for name in ("oslo", "rome"):
        edit(folder / name / "sites.toml", right, wrong)
    peers = [Site(folder, name) for name in NAMES]
    places = endpoints(study(load(folder / "wien" / "e.toml")), "wien")
    doors = {places[name]: keys[name] for name in ("oslo", "rome")}
    for name in ("oslo", "rome"):
        peers[NAMES.index(name)].until("has a key that the topology does not name")
        peers[NAMES.index(name)].until("wien dials us, and has not called yet")
    peers[2].until("oslo does not know the key of this peer")
    with strangers(doors):
        for name in ("oslo", "rome"):
            edit(folder / name / "sites.toml", wrong, right)
        began = time.monotonic()
        for one in peers:
            one.until("learning begins")
        assert time.monotonic() - began < 20.0  # 5 where the machine has nothing else to do
        for one in peers:
            one.thread.join()
    truth = optimum(x, y)
    for one in peers:
        assert one.report.stopped == "tolerance", one.said
        model = load_file(one.folder / "run" / "peers" / one.name / "model.safetensors")["x"]
        assert np.linalg.norm(model - truth) <= 1e-8 * np.linalg.norm(truth)


def test_a_key_that_is_revoked_while_all_wait_is_out_until_the_file_has_it_again(sites):
    folder, _, _, keys = sites
    peers = [Site(folder, name) for name in ("oslo", "rome")]
    peers[0].until("rome is there")
    file, line = folder / "oslo" / "sites.toml", f'public_key = "{keys["rome"].public}"'
    whole = file.read_text()
    edit(file, line, "")
    peers[0].until("has no public key for rome any more: messages under the old one are refused")
    peers.append(Site(folder, "wien"))
    log = folder / "oslo" / "run" / "log.jsonl"
    until = time.monotonic() + SOON
    while "rome sent a message under a key that the topology no longer names" not in log.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not any("learning begins" in line for one in peers for line in one.said)
    edit(file, file.read_text(), whole)
    for one in peers:
        one.until("learning begins")
    for one in peers:
        one.thread.join()
        assert one.report.stopped == "tolerance", one.said
    assert any("rome sent a message under a key" in one for one in peers[0].report.refusals)


def check(folder, name, *words, wait=SOON, **more):
    made = study(load(folder / name / "e.toml", words))
    return [*findings(made, name, folder / name / f"{name}.csv", None, None, wait, **more)]


def test_checks_answer_each_other_and_name_the_setting_that_differs(sites):
    folder, *_ = sites
    words = {"oslo": (), "rome": (), "wien": ("model.l2=0.2",)}
    found = {}
    threads = [
        threading.Thread(target=lambda name=name: found.update({name: check(folder, name, *words[name])}))
        for name in NAMES
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = {name: {one.sentence: one.code for one in found[name] if one.fine is not None} for name in NAMES}
    for name, other in (("oslo", "rome"), ("rome", "oslo")):
        assert told[name][f"{other} is reached and has the right key, and the same study"] == 0
        assert told[name]["wien dials us and has the right key, but another study: model.l2 differs"] == 3
    assert "port: none is needed: this peer dials its neighbours" in told["wien"]
    for other in ("oslo", "rome"):
        assert (
            told["wien"][f"{other} is reached and has the right key, but another study: model.l2 differs"]
            == 3
        )


def test_a_check_tells_what_is_wrong_one_by_one(sites):
    folder, _, _, keys = sites
    rows = folder / "oslo" / "oslo.csv"
    edit(rows, rows.read_text().splitlines()[3], "1.0,2.0,much,4.0")
    edit(folder / "oslo" / "sites.toml", str(keys["oslo"].public), str(fresh().public))
    first, second = check(folder, "oslo", wait=0.0)
    assert (first.fine, first.code, second.fine, second.code) == (False, 4, False, 3)
    assert "column 'c'" in first.sentence or "much" in first.sentence
    assert "names another public key than that of" in second.sentence
    edit(folder / "wien" / "sites.toml", "127.0.0.1", "no-such-host.invalid")
    found = check(folder, "wien", wait=6.0)
    assert [one.code for one in found if one.fine is False] == [5, 5]
    assert found[-1].sentence.startswith(
        ("oslo cannot be found: this machine cannot", "rome cannot be found")
    )


def test_a_check_beside_the_sites_own_peer_says_to_stop_it_and_looks_at_the_neighbours_all_the_same(sites):
    folder, _, _, keys = sites
    for name in ("oslo", "rome"):
        Site(folder, name, "peers.wait=4").until("listening")
    found = check(folder, "oslo")
    wrong, rome, wien = found[-3:]
    place = endpoints(study(load(folder / "oslo" / "e.toml")), "oslo")["oslo"]
    assert (
        wrong.sentence == f"port: {place} is in use: stop this site's peer first, or what else listens there"
    )
    assert (wrong.fine, wrong.code) == (False, 5)
    assert (rome.fine, rome.sentence[:15]) == (True, "rome is reached")
    assert wien == (None, "wien dials us: whether it is reached can be checked when the port is free", 0)
    edit(folder / "oslo" / "sites.toml", str(keys["rome"].public), str(fresh().public))
    found = check(folder, "oslo", wait=2.0)
    assert [one.code for one in found if one.fine is False] == [5, 3]
    assert "rome has another key at" in found[-2].sentence


def test_a_check_names_the_code_of_ones_own_that_will_run(sites):
    folder, *_ = sites
    file = folder / "mine.py"
    file.write_text(OWN_METHOD)
    found = check(
        folder, "oslo", f"algorithm.kind={file}:Mine", "algorithm.step=0.01", "stop.tolerance=0", wait=0.0
    )
    (said,) = [one.sentence for one in found if one.sentence.startswith("code: ")]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert said == (
        f"code: algorithm.kind runs code that is not of gossipfl: {file}:Mine; it runs on this machine with your rights: "
        f"read it (its hash begins with {digest[:16]})"
    )


def test_a_check_is_of_the_study_that_the_peer_will_start(sites, monkeypatch):
    """Its sums are secure by default, too: else a peer that already waits would see another study."""
    folder, *_ = sites
    found = []
    monkeypatch.setattr("gossipfl.experiment.live.check.findings", lambda made, *_: found.append(made) or [])
    home = folder / "oslo"
    assert gossipfl("peer", "check", home / "e.toml", "oslo", "--data", home / "oslo.csv").code == 0
    made, _ = confidential(study(load(home / "e.toml")))
    assert made.experiment.privacy.sums == "secure"
    assert found[0].settings == made.settings


@pytest.mark.parametrize(
    "words",
    [
        ("privacy.sums=secure",),
        (
            "privacy.sums=private", "privacy.epsilon=5", "algorithm.kind=adassp", "stop.tolerance=0", "data.standardise=gossip",
            "data.bounds={a=[-5,5],b=[-5,5],c=[-5,5],y=[-15,15]}",
        ),
    ],
)  # fmt: skip
def test_rows_of_one_site_can_be_checked_where_sums_are_not_plain(sites, words):
    folder, *_ = sites
    home = folder / "oslo"
    found = look(study(load(home / "e.toml", words)), home / "oslo.csv")
    assert found.refusal is None
    assert found.prepared is not None


def test_code_is_in_the_fingerprint_and_its_place_is_not(tmp_path):
    made = []
    for folder, text in (("here", "x = 1\n"), ("there", "x = 1\r\n"), ("other", "x = 2\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_bytes(text.encode())
        (tmp_path / folder / "e.toml").write_text(
            '[data]\nsource = "breast-cancer"\n[topology]\ngraph = "ring:3"\n[model]\nkind = "module"\n'
            'module = "m.py:make"\n[algorithm]\nkind = "d-psgd"\nstep = 0.1\n'
        )
        made.append(study(load(tmp_path / folder / "e.toml")))
    here, there, other = made
    assert here.fingerprint == there.fingerprint != other.fingerprint
    assert [name for name in here.settings if here.settings[name] != other.settings[name]] == ["model.module"]
    assert str(tmp_path) not in str(here.settings)
