"""Real peers with keys, as their owners start them: they learn the optimum, and nobody else is heard."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from ports import free_ports
from safetensors.numpy import load_file

from gossipfl.keys import fresh, save

CODE = "import sys; from gossipfl.cli import main; sys.exit(main(sys.argv[1:]))"
NAMES = ["oslo", "rome", "wien"]
EXPERIMENT = """
[data]
source = "rows.csv"
target = "y"
test = 0.0
standardise = "none"
[topology]
graph = "sites.toml"
[model]
kind = "linear"
l2 = 0.1
[algorithm]
kind = "newton"
[stop]
rounds = 60
tolerance = 1e-12
"""


@pytest.fixture
def sites(tmp_path):
    """The files of three institutions; all rows, x (60, 3) and y (60,)."""
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 3))
    y = x @ [1.0, -2.0, 0.5] + 3 + rng.normal(size=60)
    lines = ['edges = [["oslo", "rome"], ["rome", "wien"], ["wien", "oslo"]]']
    for name, port, rows in zip(NAMES, free_ports(3), np.split(np.arange(60), 3), strict=True):
        key = fresh()
        save(name, (key,), tmp_path / f"{name}.key")
        lines += [f"[peers.{name}]", f'endpoint = "tcp://127.0.0.1:{port}"', f'public_key = "{key.public}"']
        table = np.column_stack((x[rows], y[rows]))
        np.savetxt(tmp_path / f"{name}.csv", table, delimiter=",", header="a,b,c,y", comments="")
    (tmp_path / "sites.toml").write_text("\n".join(lines))
    return tmp_path, x, y


def start(folder, name, *words):
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
        f"runs/{name}",
    ]
    return subprocess.Popen(
        [*command, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def optimum(x, y):
    """Of mean r^2/2 + l2/2 |w|^2, the free intercept last."""
    z = np.column_stack((x, np.ones(len(y))))
    return np.linalg.solve(z.T @ z / len(y) + np.diag([0.1, 0.1, 0.1, 0]), z.T @ y / len(y))


@pytest.mark.slow
def test_three_institutions_with_keys_reach_the_optimum_of_all_rows(sites):
    folder, x, y = sites
    peers = [start(folder, name) for name in NAMES]
    said = [peer.communicate(timeout=200)[0] for peer in peers]
    assert [peer.returncode for peer in peers] == [0, 0, 0], said
    assert all("(encrypted links)" in one for one in said)
    truth = optimum(x, y)
    for name in NAMES:
        model = load_file(folder / "runs" / name / "peers" / name / "model.safetensors")["x"]
        assert np.linalg.norm(model - truth) <= 1e-10 * np.linalg.norm(truth)


@pytest.mark.slow
def test_who_has_the_name_of_a_peer_but_not_its_key_is_not_heard(sites):
    """Another wien, with a key of its own: the two others go on waiting for the real one, and say that it knocks."""
    folder, _, _ = sites
    impostor = fresh()
    (folder / "false").mkdir()
    save("wien", (impostor,), folder / "false" / "wien.key")
    text = (folder / "sites.toml").read_text()
    real = text.split('public_key = "')[-1].rstrip('"')
    (folder / "false" / "sites.toml").write_text(text.replace(real, str(impostor.public)))
    for file in ("e.toml", "wien.csv"):
        (folder / "false" / file).write_text((folder / file).read_text())
    patient = "-s", "peers.wait=100"
    peers = [
        start(home, name, *patient)
        for home, name in ((folder, "oslo"), (folder, "rome"), (folder / "false", "wien"))
    ]
    for peer in peers[:2]:
        assert any("has a key that the topology does not name" in line for line in peer.stdout)
    for peer in peers:
        peer.send_signal(signal.SIGINT)
    said = [peer.communicate(timeout=200)[0] for peer in peers]
    assert not any("learning begins" in one for one in said)
    assert not [*folder.rglob("model.safetensors")]


@pytest.mark.slow
def test_a_launcher_makes_keys_and_throws_them_away(tmp_path):
    words = ["-s", "topology.graph=ring:4", "-s", "peers.security=keys", "-s", "stop.rounds=200"]
    done = subprocess.run(
        [sys.executable, "-c", CODE, "demo", "--out", str(tmp_path / "run")], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0
    again = [sys.executable, "-c", CODE, "run", str(tmp_path / "run" / "config.toml"), *words, "--out"]
    done = subprocess.run([*again, str(tmp_path / "keys")], capture_output=True, text=True, check=False)
    assert "hold one model" in done.stdout, done.stdout + done.stderr
    assert not [*(tmp_path / "keys").rglob("*.key")]
