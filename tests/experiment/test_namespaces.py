"""A cable between two machines is pulled and put back: both halves go on by themselves, and end at the optimum of all.

The machines are network namespaces, eight peers in each, the cable a veth pair whose one end is taken down. Ridge regression,
sorted by target: each peer holds a slice of it in a file of its own, and nobody starts or watches them but their own command.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.datasets import load_diabetes
from typer.testing import CliRunner

from gossipfl import topology
from gossipfl.cli.app import app
from gossipfl.errors import BadExperiment
from gossipfl.keys import fresh, save
from gossipfl.runs.status import statuses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

NAMES = [str(peer) for peer in range(16)]
SIDES = (NAMES[:8], NAMES[8:])
HOSTS = ("10.213.71.1", "10.213.71.2")
PORT, CUT, SECONDS, L2 = 5501, 10.0, 50.0, 1.0
EXPERIMENT = f"""
name = "cable"
[data]
source = "rows"
target = "target"
test = 0.0
[topology]
graph = "peers.toml"
[model]
kind = "linear"
l2 = {L2}
[algorithm]
kind = "exact-diffusion"
[stop]
rounds = {2**40}
seconds = {SECONDS}
[peers]
wait = 120
"""


def ip(words):
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {words}: {done.stderr.strip()}")


class Cable:
    """Two namespaces, `rooms`, whose interfaces "cable" are the ends of one link, and the processes within them."""

    def __init__(self):
        self.rooms = [f"gossipfl-{os.getpid()}-{side}" for side in (0, 1)]
        self.processes = {}
        self._undo = ExitStack()

    def __enter__(self):
        a, b = self.rooms
        with ExitStack() as undo:
            for room in self.rooms:
                ip(f"netns add {room}")
                undo.callback(ip, f"netns delete {room}")
            ip(f"-n {a} link add cable type veth peer cable netns {b}")
            for room, host in zip(self.rooms, HOSTS, strict=True):
                ip(f"-n {room} address add {host}/24 dev cable")
                for device in ("lo", "cable"):
                    ip(f"-n {room} link set {device} up")
            undo.callback(self._end)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_):
        self._undo.close()

    def start(self, side, name, folder):
        code = "import sys; from gossipfl.cli import main; sys.exit(main())"
        words = ["peer", "cable.toml", name, "--data", f"rows/{name}.csv", "--out", f"runs/{name}"]
        with (folder / f"{name}.txt").open("w") as said:
            self.processes[name] = subprocess.Popen(
                ["ip", "netns", "exec", self.rooms[side], sys.executable, "-c", code, *words],
                cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=said, stderr=said,
            )  # fmt: skip

    def pull(self):
        ip(f"-n {self.rooms[0]} link set cable down")

    def put_back(self):
        ip(f"-n {self.rooms[0]} link set cable up")

    def _end(self):
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()


@pytest.fixture
def cable():
    if os.geteuid():
        pytest.skip("only root may make network namespaces")
    if not shutil.which("ip"):
        pytest.skip("there is no ip (of iproute2) to make network namespaces with")
    with ExitStack() as stack:
        try:
            made = stack.enter_context(Cable())
        except OSError as error:
            pytest.skip(f"this machine gives no network namespaces: {error}")
        yield made


def write(folder):
    """The experiment, the topology and each peer's rows; all rows, sorted by target: x (442, 10), y (442,)."""
    (folder / "cable.toml").write_text(EXPERIMENT)
    graph = topology.load("torus:4x4")
    lines = [f"edges = {[[*edge] for edge in graph.edges]}"]
    for side, host in zip(SIDES, HOSTS, strict=True):
        for name in side:
            key = fresh()
            save(name, (key,), folder / f"{name}.key")
            place = f'endpoint = "tcp://{host}:{PORT + int(name)}"'
            lines.append(f'[peers.{name}]\n{place}\npublic_key = "{key.public}"')
    (folder / "peers.toml").write_text("\n".join(lines))
    (folder / "rows").mkdir()
    rows = load_diabetes(as_frame=True).frame.sort_values("target", kind="stable")
    for name, part in zip(NAMES, np.array_split(np.arange(len(rows)), len(NAMES)), strict=True):
        rows.iloc[part].to_csv(folder / "rows" / f"{name}.csv", index=False)
    return graph, rows.drop(columns="target").to_numpy(), rows["target"].to_numpy()


def optimum(x, y):
    """Of mean r^2/2 + l2/2 |w|^2, the features to mean 0 and deviation 1; the free intercept last."""
    z = (x - x.mean(0)) / x.std(0)  # so that w and the intercept part
    w = np.linalg.solve(z.T @ z / len(y) + L2 * np.eye(z.shape[1]), z.T @ (y - y.mean()) / len(y))
    return np.append(w, y.mean())


def model(folder, name):
    return load_file(folder / "runs" / name / "peers" / name / "model.safetensors")["x"]


def watch(cable, folder, enough, least=0.0):
    """Look at what all peers say they see, until it is enough, and for so many seconds at least."""
    began = time.monotonic()
    while True:
        gone = [name for name, process in cable.processes.items() if process.poll() is not None]
        assert not gone, (folder / f"{gone[0]}.txt").read_text()
        seen = {name: sight for name in NAMES if (sight := look(folder / "runs" / name))}
        if time.monotonic() - began >= least and len(seen) == len(NAMES) and enough(seen):
            return seen
        time.sleep(0.1)


def look(folder):
    """The last line of metrics in a run folder, if there is one yet."""
    try:
        seen = statuses(folder)[0]
        return seen if seen.neighbours else None
    except BadExperiment:
        return None


def parted(neighbour):
    return neighbour["state"] in ("suspected", "down")


def test_halves_whose_cable_is_pulled_go_on_and_end_at_the_optimum_of_all(cable, tmp_path):
    graph, x, y = write(tmp_path)
    across = [pair for a, b in graph.edges if (a in SIDES[0]) != (b in SIDES[0]) for pair in ((a, b), (b, a))]
    for side, names in enumerate(SIDES):
        for name in names:
            cable.start(side, name, tmp_path)
    before = watch(cable, tmp_path, lambda seen: True)

    assert not any(before[a].neighbours[b]["state"] == "down" for a, b in across)
    cable.pull()
    during = watch(cable, tmp_path, lambda seen: all(parted(seen[a].neighbours[b]) for a, b in across), CUT)
    one, other = across[0]
    told = CliRunner().invoke(app, ["peer", "status", str(tmp_path / "runs" / one), "--format", "json"])
    cable.put_back()
    assert parted(json.loads(told.stdout)["peers"][one]["neighbours"][other])
    assert all(during[name].round > before[name].round for name in NAMES), "each half goes on"

    ends = {name: process.wait() for name, process in cable.processes.items()}
    assert ends == dict.fromkeys(NAMES, 0), [
        (tmp_path / f"{name}.txt").read_text() for name in NAMES if ends[name]
    ]
    best = optimum(x, y)
    apart = {name: np.linalg.norm(model(tmp_path, name) - best) / np.linalg.norm(best) for name in NAMES}
    assert max(apart.values()) <= 1e-8, apart
    for name in NAMES:
        summary = json.loads((tmp_path / "runs" / name / "peers" / name / "summary.json").read_text())
        assert summary["stopped"] == "seconds"
