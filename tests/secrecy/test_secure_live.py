"""Secure sums of real peers: the simulator's bits, and what happens when a peer is gone or comes back."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ports import free_ports
from runs import carry_out, models, settings
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression

from gossipfl.keys import fresh, load, save
from gossipfl.topology.public_key import written

CODE = "import sys; from gossipfl.cli import main; sys.exit(main(sys.argv[1:]))"
NAMES = ["oslo", "rome", "wien"]
LINE = [["oslo", "rome"], ["rome", "wien"]]
EXPERIMENT = """
[data]
source = "rows.csv"
target = "y"
test = 0.0
[topology]
graph = "sites.toml"
[model]
kind = "logistic"
l2 = 0.1
[algorithm]
kind = "newton"
[stop]
rounds = 1000
absent = ABSENT
[privacy]
on_leave = "LEAVE"
"""


@pytest.mark.slow
def test_sixteen_peers_have_the_simulators_bits(tmp_path: Path) -> None:
    raw = settings(
        reference=True, privacy__sums="secure", algorithm__kind="newton", topology__graph="ring:16", model__l2=1e-3,
        stop__rounds=500, stop__tolerance=1e-8, data__partition={"scheme": "sorted"}, peers__security="keys",
    )  # fmt: skip
    found = {}
    for engine in ("simulator", "peers"):
        summary, _ = carry_out(engine, raw, tmp_path / engine)
        assert summary["stopped"] == "tolerance"
        assert summary["distance_to_optimum"] <= 1e-10
        assert summary["rounds"] <= 13 * 15
        found[engine] = models(tmp_path / engine, [str(i) for i in range(16)])
    assert torch.equal(found["simulator"], found["peers"])


def write(
    folder: Path, names: list[str], edges: list[list[str]], absent: int, on_leave: str = "wait"
) -> None:
    """The files of institutions with keys."""
    rng = np.random.default_rng(2)
    lines = [f"edges = {json.dumps(edges)}"]
    for name, port in zip(names, free_ports(len(names)), strict=True):
        key = fresh()
        save(name, (key,), folder / f"{name}.key")
        lines += [f"[peers.{name}]", f'endpoint = "tcp://127.0.0.1:{port}"', f'public_key = "{key.public}"']
        x = rng.normal(size=(60, 3))
        table = np.column_stack((x, x @ [1.0, -2.0, 0.5] + rng.normal(size=60) > 0))
        np.savetxt(folder / f"{name}.csv", table, delimiter=",", header="a,b,c,y", comments="")
    (folder / "sites.toml").write_text("\n".join(lines))
    text = EXPERIMENT.replace("ABSENT", str(absent)).replace("LEAVE", on_leave)
    (folder / "e.toml").write_text(text)


class Started:
    """A peer as its owner starts it."""

    def __init__(self, folder: Path, name: str, again: str = "") -> None:
        self.folder = folder / f"runs/{name}{again}"
        command = [
            sys.executable,
            "-c",
            CODE,
            "peer",
            "e.toml",
            name,
            "--data",
            f"{name}.csv",
            "--out",
            str(self.folder),
        ]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout
        self.lines: Iterator[str] = iter(self.process.stdout)

    def until(self, words: str) -> str:
        """The first line with these words."""
        said = []
        for line in self.lines:
            said.append(line)
            if words in line:
                return line
        raise AssertionError("".join(said))

    def ended(self) -> tuple[int, str]:
        with self.process:
            return self.process.wait(200), "".join(self.lines)


@pytest.mark.slow
@pytest.mark.parametrize("rotates", [False, True], ids=["same", "other-long-term-keys"])
def test_a_peer_that_returns_draws_new_keys_and_the_others_wait(rotates: bool, tmp_path: Path) -> None:
    """With keys sums are secure by default. When all have agreed again, the cycle repeats, and nothing is lost; a peer may
    have rotated its long-term keys meanwhile, in the middle of a sum."""
    sites = tmp_path
    write(sites, NAMES, LINE, 50)
    peers = [Started(sites, name) for name in NAMES]
    for peer in peers:
        assert "secure sums" in peer.until("secure sums")
    peers[2].until("round")
    peers[2].process.send_signal(signal.SIGSTOP)  # a sum cannot end without it
    peers[1].process.kill()
    assert peers[1].ended()[0] == -signal.SIGKILL
    if rotates:
        _, (old,) = load(sites / "rome.key")
        save("rome", (new := fresh(), old), sites / "rome.key", replace=True)
        file = sites / "sites.toml"  # peers read it again, also while they wait
        file.write_text(file.read_text().replace(str(old.public), written((new.public, old.public))))
    peers[1] = Started(sites, NAMES[1], "-again")
    peers[1].until("listens")
    peers[2].process.send_signal(signal.SIGCONT)
    for peer in peers:
        peer.until("all peers have agreed: learning begins")
    ends = [peer.ended() for peer in peers]
    assert [code for code, _ in ends] == [0] * 3, ends
    found = [json.loads((peer.folder / "model.json").read_text()) for peer in peers]
    assert all(model == found[0] for model in found)


@pytest.mark.slow
def test_a_peer_that_stays_away_ends_all(tmp_path: Path) -> None:
    """All stop with the last model, and exit code 5."""
    sites = tmp_path
    write(sites, NAMES, LINE, 1)
    peers = [Started(sites, name) for name in NAMES]
    peers[2].until("round")
    peers[2].process.kill()
    assert peers[2].ended()[0] == -signal.SIGKILL
    for peer in peers[:2]:
        code, said = peer.ended()
        assert code == 5, said
        assert (peer.folder / "model.json").exists(), said


@pytest.mark.slow
@pytest.mark.parametrize(("on_leave", "pods"), [("disclose", 1), ("pods", 3)])
def test_the_others_go_on(on_leave: str, pods: int, tmp_path: Path) -> None:
    """Without the peer that is gone, or without its pod: at the optimum of the rows that are left, by keys of these peers."""
    names = [f"p{i}" for i in range(4 if pods == 1 else 6)]
    edges = [[a, b] for i, a in enumerate(names) for b in names[i + 1 :]]
    write(tmp_path, names, edges, 1, on_leave)
    peers = [Started(tmp_path, name) for name in names]
    peers[-1].until("round")
    peers[-1].process.kill()
    assert peers[-1].ended()[0] == -signal.SIGKILL
    left = peers[:-pods]
    ends = [peer.ended() for peer in peers[:-1]]
    assert [code for code, _ in ends] == [0] * len(left) + [5] * (pods - 1), ends
    assert all("leave" in said for _, said in ends[len(left) :])
    found = [json.loads((peer.folder / "model.json").read_text()) for peer in left]
    assert all(model == found[0] for model in found)
    frames = [pd.read_csv(tmp_path / f"{name}.csv") for name in names[: len(left)]]
    rows = pd.concat(frames)
    x = (rows[["a", "b", "c"]] - rows[["a", "b", "c"]].mean()) / rows[["a", "b", "c"]].std(ddof=0)
    truth = LogisticRegression(C=1 / (0.1 * len(rows)), tol=1e-12, max_iter=1000).fit(x, rows["y"])
    summary = json.loads((left[0].folder / "peers" / names[0] / "summary.json").read_text())
    assert summary["without"] == names[-pods:]
    model = load_file(left[0].folder / "peers" / names[0] / "model.safetensors")["x"]
    assert np.allclose(model, np.append(truth.coef_, truth.intercept_), atol=1e-6)


PRIVATE = """
sums = "private"
epsilon = 20.0
"""


@pytest.mark.slow
def test_a_private_peer_that_returns_spends_no_more_than_its_budget(tmp_path: Path) -> None:
    """All agree again and go on at the model that they had; each sum is paid for anew, until the budget ends learning."""
    write(tmp_path, NAMES, LINE, 50)
    text = (tmp_path / "e.toml").read_text() + PRIVATE
    text = text.replace("test = 0.0", 'test = 0.0\nstandardise = "none"\nclasses = ["0", "1"]')
    (tmp_path / "e.toml").write_text(text.replace('kind = "newton"', 'kind = "dp-gd"'))
    peers = [Started(tmp_path, name) for name in NAMES]
    peers[2].until("round")
    peers[2].process.send_signal(signal.SIGSTOP)
    peers[1].process.kill()
    peers[1].ended()
    peers[1] = Started(tmp_path, NAMES[1])
    peers[1].until("listens")
    peers[2].process.send_signal(signal.SIGCONT)
    ends = [peer.ended() for peer in peers]
    assert [code for code, _ in ends] == [0] * 3, ends
    assert "all peers have agreed: learning begins again" in ends[0][1]
    for peer, name, (_, said) in zip(peers, NAMES, ends, strict=True):
        kept = json.loads((peer.folder / "peers" / name / "budget.json").read_text())
        assert kept["spent"] <= 20.0
        assert kept["sums"] >= 10  # those before it was away count
        assert "another sum would cost more than is left of epsilon = 20" in said
    found = [json.loads((peer.folder / "model.json").read_text()) for peer in peers]
    assert all(model == found[0] for model in found)
