"""Commands in surroundings that make trouble: a long temporary folder, odd paths, an output without the sign of success."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from commands import SMALL

COMMAND = [sys.executable, "-c", "import sys; from gossipfl.cli import main; sys.exit(main())"]


def experiment(folder: Path) -> Path:
    folder.mkdir()
    rows = "\n".join(f"{k % 7},{(k * k) % 11},{'yes' if k % 3 else 'no'}" for k in range(60))
    (folder / "rows.csv").write_text(f"a,b,y\n{rows}\n")
    (folder / "e.toml").write_text(SMALL)
    return folder / "e.toml"


def ends(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=200
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_in_odd_surroundings(tmp_path):
    folder = tmp_path / "stü dy [2024] {x}"
    file = experiment(folder)
    (temporary := tmp_path / ("t" * 120)).mkdir()
    done = ends(
        folder, "run", file.name, "-s", "peers.transport=ipc", TMPDIR=str(temporary), PYTHONIOENCODING="ascii", LC_ALL="C",
        HOME="/proc/none", XDG_CACHE_HOME="/proc/none",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "the 4 peers hold one model" in done.stdout


def test_json_is_json_whatever_the_output_can_hold(tmp_path):
    folder = tmp_path / "stüdy"
    done = ends(
        folder,
        "simulate",
        experiment(folder).name,
        "--format",
        "json",
        "--out",
        str(folder / "rün"),
        PYTHONIOENCODING="ascii",
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["folder"] == str(folder / "rün")


@pytest.mark.slow
def test_a_second_federation_on_the_same_ports_says_so_in_one_sentence(tmp_path):
    folder = tmp_path / "a"
    file = experiment(folder)
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    places = [
        f"[peers.{k}]\nendpoint = 'tcp://127.0.0.1:{s.getsockname()[1]}'\n" for k, s in enumerate(taken)
    ]
    (folder / "ring.toml").write_text("edges = [['0','1'],['1','2'],['2','3'],['3','0']]\n" + "".join(places))
    done = ends(folder, "run", file.name, "-s", "topology.graph=ring.toml")
    for one in taken:
        one.close()
    assert done.returncode == 5
    assert "cannot listen on tcp://127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
