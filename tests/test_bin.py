"""The scripts of a checkout are executable, well formed and thin. These tests install nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted([*(p for p in (ROOT / "bin").iterdir() if p.suffix != ".sh"), ROOT / ".ci" / "run"])
THIN = {"run-peers": "run", "simulate": "simulate", "start-peer": "peer", "make-topology": "topology make"}


def checkout(tmp_path: Path, installed: bool) -> Path:
    """A checkout with the scripts only, whose .venv prints the commands that it should run."""
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "gossipfl"):
        (programs / name).write_text('#!/bin/sh\necho "$(basename $0) $*"\n')
        (programs / name).chmod(0o755)
    if installed:
        files = [str(tmp_path / name) for name in ("pyproject.toml", "constraints.txt")]
        sums = subprocess.run(["cksum", *files], capture_output=True, text=True, check=True).stdout
        (tmp_path / ".venv" / "installed").write_text(sums)
    return tmp_path


def call(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / "bin" / "_env.sh"], ids=lambda p: p.name)
def test_a_script_is_well_formed(script: Path) -> None:
    assert os.access(script, os.X_OK) == (script.suffix != ".sh")
    assert call("bash", "-n", script).stderr == ""
    if shutil.which("shellcheck"):
        assert call("shellcheck", "-x", "-e", "SC1091", "-s", "bash", script).stdout == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_a_script_begins_with_its_purpose(script: Path) -> None:
    first, second = script.read_text().splitlines()[:2]
    assert first == "#!/usr/bin/env bash"
    assert second.startswith("# ")


@pytest.mark.parametrize("name", THIN)
def test_a_thin_script_is_a_command(name: str, tmp_path: Path) -> None:
    root = checkout(tmp_path, installed=True)
    (tmp_path / "link").symlink_to(root / "bin" / name)
    for script in (root / "bin" / name, tmp_path / "link"):
        said = call(script, "a file", "--help")
        assert (said.stdout, said.stderr) == (f"gossipfl {THIN[name]} a file --help\n", "")


def test_a_second_call_does_not_install_again(tmp_path: Path) -> None:
    root = checkout(tmp_path, installed=False)
    first = call(root / "bin" / "gossipfl", "--version")
    assert "installing" in first.stderr
    assert first.stdout == "gossipfl --version\n"
    assert call(root / "bin" / "gossipfl", "--version").stderr == ""
    (root / "constraints.txt").write_text("torch==2.13.0\n")
    assert "installing" in call(root / "bin" / "gossipfl").stderr


def test_only_the_test_script_installs_the_test_libraries(tmp_path: Path) -> None:
    root = checkout(tmp_path, installed=True)
    checks = call(root / "bin" / "test", "--all", "tests/topology", OMP_NUM_THREADS="1")
    assert "installing" in checks.stderr
    assert checks.stdout.splitlines()[-1] == "python -m pytest -n 2 --dist worksteal -m  tests/topology"
    assert call(root / "bin" / "test").stderr == ""
    assert call(root / "bin" / "gossipfl").stderr == ""


def test_an_old_python_is_refused_with_a_message(tmp_path: Path) -> None:
    root = checkout(tmp_path, installed=False)
    shutil.rmtree(root / ".venv")
    said = call(root / "bin" / "gossipfl", PYTHON="/bin/false")
    assert said.returncode == 1
    assert "Python 3.11" in said.stderr
    assert "Traceback" not in said.stderr
    assert not (root / ".venv").exists()


@pytest.mark.skipif(not shutil.which("flock"), reason="needs flock to run one installation at a time")
def test_two_at_once_install_once(tmp_path: Path) -> None:
    root = checkout(tmp_path, installed=False)
    started = [
        subprocess.Popen([root / "bin" / "gossipfl"], stdout=-1, stderr=-1, text=True) for _ in range(4)
    ]
    said = [process.communicate() for process in started]
    assert sum("installing" in error for _, error in said) == 1
    assert {out for out, _ in said} == {"gossipfl \n"}
