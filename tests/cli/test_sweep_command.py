"""Sweeps as a user runs them: compare, continue after Ctrl-C, look at one run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from commands import gossipfl, small
from test_interrupt import CODE


def test_a_sweep_compares_and_continues(tmp_path: Path) -> None:
    file, out = small(tmp_path), tmp_path / "sweep"
    words = [
        "sweep",
        file,
        "-s",
        "algorithm=d-psgd,exact-diffusion",
        "-s",
        "stop.tolerance=0",
        "-s",
        "rounds=30",
    ]
    said = gossipfl(*words, "--repeat", 2, "--jobs", 2, "--out", out)
    assert said.code == 0, said
    assert f"sweep folder {out}: 4 runs, 2 at a time" in said.out
    assert "[4/4] " in said.out
    assert "±" in said.out
    assert "2 by rounds" in said.out
    assert (out / "plot.svg").read_text().startswith("<?xml")
    told = gossipfl(*words, "--repeat", 2, "--out", out, "--format", "json").json
    assert [row["settings"] for row in told["rows"]] == [
        {"algorithm.kind": "d-psgd"},
        {"algorithm.kind": "exact-diffusion"},
    ]
    run = out / told["rows"][0]["runs"][1]["folder"]
    assert "30 rounds" in gossipfl("results", "show", run).out
    assert len(gossipfl("results", "ls", out, "--format", "json").json["runs"]) == 4


def test_gossip_learning_is_compared_by_the_error_of_each_peers_own_model(tmp_path: Path) -> None:
    words = [
        "-s",
        "algorithm=gossip-learning,d-psgd",
        "-s",
        "delay=[0,0],[1,5]",
        "-s",
        "stop.tolerance=0",
        "-s",
        "rounds=30",
    ]
    said = gossipfl("sweep", small(tmp_path), *words, "--out", tmp_path / "sweep")
    assert said.code == 0, said
    assert "own error" in said.out
    told = gossipfl("sweep", small(tmp_path), *words, "--out", tmp_path / "sweep", "--format", "json").json
    errors = [row["mean"].get("error") for row in told["rows"]]
    assert [error is not None for error in errors] == [True, True, False, False]
    models = [row["mean"]["loss"] for row in told["rows"]]
    assert models[0] != models[1]
    assert models[2] == models[3], "delays have no effect on D-PSGD"


def test_runs_that_fail_are_reported_at_the_end(tmp_path: Path) -> None:
    said = gossipfl(
        "sweep", small(tmp_path), "-s", "algorithm=d2,d-psgd", "-s", "rounds=3", "--out", tmp_path / "s", "-q"
    )
    assert said.code == 3
    assert "✗ d2: d2 needs every eigenvalue" in said.out
    assert "[1/2]" not in said.out
    said = gossipfl(
        "sweep", small(tmp_path), "-s", "algorithm=d-psgd", "-s", "rounds=3", "--out", tmp_path / "s", "-q"
    )
    assert said.code == 6, "the tolerance is not met"
    said = gossipfl("sweep", small(tmp_path), "-s", "algoritm=d2", "--format", "json")
    assert (said.code, said.json["exit_code"]) == (3, 3)


def test_ctrl_c_keeps_finished_runs(tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    words = [
        "sweep",
        str(small(tmp_path)),
        "-s",
        "rounds=20,100000000",
        "-s",
        "tolerance=0",
        "--out",
        str(out),
        "-j",
        "1",
    ]
    with subprocess.Popen(
        [sys.executable, "-u", "-c", CODE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("[1/2]"))
        os.killpg(process.pid, signal.SIGINT)
        said, err = process.communicate(timeout=200)
    assert process.returncode == 130, (said, err)
    assert "Traceback" not in err
    assert f"to continue, repeat the command with --out {out}" in " ".join(said.split())
    assert len(list(out.glob("20*/summary.json"))) == 1
    assert (out / "results.csv").is_file()
