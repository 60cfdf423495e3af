"""A disk that is full or read-only while peers learn: learning goes on to its end, it is said loudly, and no traceback.

Small disks of the test's own need root; /dev/full says "No space left on device" to everybody.
"""

import json
import os
import re
import subprocess
from collections import Counter, deque
from itertools import repeat

import pytest
from commands import gossipfl, rows, small, started
from ports import free_ports

from gossipfl.config.file import dump, parse
from gossipfl.disk import append
from gossipfl.errors import Unwritten
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.experiment.launch.launch import resume, run
from gossipfl.experiment.study.make import study
from gossipfl.runs import checkpoint
from gossipfl.runs import folder as files
from gossipfl.runs.attempt import AGAIN, Attempts
from gossipfl.runs.events import Finished, Warned

FULL, READ_ONLY = "No space left on device", "Read-only file system"
NAMES = "0123"
END = ", ".join(("model.safetensors", "rows.json", "summary.json"))


def experiment(seconds=8.0, **changes):
    return {
        "reference": True,
        "data": {"source": "diabetes", "partition": {"scheme": "sorted"}, "test": 0.2},
        "topology": {"graph": "full:4"},
        "model": {"kind": "linear", "l2": 1.0},
        "algorithm": {"kind": "exact-diffusion"},
        "stop": {"rounds": 2**40, "seconds": seconds},
        "peers": {"report": 10, "checkpoint": 0.5},
    } | changes


@pytest.fixture
def disk(tmp_path):
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = ["mount", "-t", "tmpfs", "-o", "size=2m", "gossipfl-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(made, check=False, capture_output=True).returncode:
        pytest.skip("only root can make a disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk):
    """Take all room that is left."""
    with (disk / "ballast").open("ab", buffering=0) as ballast, pytest.raises(OSError, match=FULL):
        deque(map(ballast.write, repeat(bytes(4096))), 0)


def remount(disk):
    """Make the disk read-only, which is refused while a file is open for writing."""
    order = ["mount", "-o", "remount,ro", str(disk)]
    while subprocess.run(order, check=False, capture_output=True).returncode:
        pass


def learned(events, folder, spoil):
    """What the peers warn of, and the summary; `spoil` is done to the disk when all have a checkpoint, and ever again."""
    warned = []
    for event in events:
        if isinstance(event, Finished):
            return warned, event.summary
        if isinstance(event, Warned):
            warned.append(event)
        if all((folder / "peers" / name / checkpoint.NEW).exists() for name in NAMES):
            spoil()
    raise AssertionError("it did not end")


def whole(file):
    """Lines of metrics, none of them torn."""
    lines = file.read_bytes()
    assert lines.endswith(b"\n")
    return [json.loads(line) for line in lines.splitlines()]


def once(spoil):
    done = []
    return lambda: None if done else done.append(spoil())


@pytest.mark.parametrize("why", [FULL, pytest.param(READ_ONLY, marks=pytest.mark.slow)])
def test_learning_goes_on_to_the_exact_optimum_and_can_be_taken_up_again(why, disk):
    folder, made = disk / "run", study(parse(experiment()))
    spoil = (lambda: fill(disk)) if why == FULL else once(lambda: remount(disk))
    warned, summary = learned(run(parse(experiment()), folder), folder, spoil)
    assert (summary["stopped"], summary["peers"]) == ("seconds", 4)
    assert summary["distance_to_optimum"] <= 1e-8

    said = [f"cannot write {what}: {why}; learning goes on" for what in ("its metrics", "its checkpoint")]
    expected = [Warned(name, words) for name in NAMES for words in (*said, f"could not write {END}: {why}")]
    launcher = Warned("", f"cannot write metrics.jsonl: {why}; learning goes on")
    if (
        why == READ_ONLY or launcher in warned
    ):  # the last block of its file may have had room for its last lines
        expected.append(launcher)
    assert Counter(warned) == Counter(expected), "each once: not each time that it is tried"

    code, sentence = verdict(summary, 0.0)
    assert code == 7
    assert f"12 files of the result could not be written ({why})" in sentence
    assert not (folder / "summary.json").exists()
    lines = [whole(folder / "metrics.jsonl"), *(whole(folder / f"peers/{n}/metrics.jsonl") for n in NAMES)]
    assert all(line[0]["round"] == 1 for line in lines)

    if why == READ_ONLY:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    else:
        (disk / "ballast").unlink()
    for name in NAMES:
        point, refused = checkpoint.read(folder / "peers" / name, made.fingerprint)
        assert point is not None
        assert not refused
    assert not list(folder.rglob("*.partial"))
    summary = learned(resume(folder), folder, lambda: None)[1]
    assert summary["distance_to_optimum"] <= 1e-8
    assert verdict(summary, 0.0)[0] == 0
    assert json.loads((folder / "summary.json").read_text())["distance_to_optimum"] <= 1e-8


@pytest.mark.slow
def test_room_that_comes_back_is_used(disk):
    folder, words = disk / "run", []
    for event in run(parse(experiment(seconds=6.0)), folder):
        if isinstance(event, Warned):
            words.append(event.warning)
        full = sum("cannot write its checkpoint" in said for said in words) == 4
        if full or (disk / "freed").exists():
            (disk / "ballast").unlink(missing_ok=True)
            (disk / "freed").touch()
        elif all((folder / "peers" / name / checkpoint.NEW).exists() for name in NAMES):
            fill(disk)
    assert sum(said.startswith("can write its checkpoint again, after ") for said in words) == 4
    assert isinstance(event, Finished)
    assert verdict(event.summary, 0.0)[0] == 0
    assert whole(folder / "metrics.jsonl")[-1]["round"] == event.summary["rounds"]


def test_a_disk_that_is_full_at_the_start_is_an_error_of_one_sentence(disk):
    fill(disk)
    with pytest.raises(Unwritten, match=f"cannot write to the run folder .*: {FULL}"):
        list(run(parse(experiment()), disk / "run"))


@pytest.mark.parametrize("why", [FULL, pytest.param(READ_ONLY, marks=pytest.mark.slow)])
def test_a_command_that_finds_no_room_for_its_file_says_so_and_leaves_nothing(why, disk, tmp_path):
    file = small(tmp_path)
    learned = tmp_path / "learned"
    assert gossipfl("simulate", file, "--out", learned).code == 0
    old = disk / "old"
    old.write_text("old")
    (tmp_path / "more.csv").write_text(rows() + 10 * rows().removeprefix("a,b,y\n"))
    fill(disk) if why == FULL else remount(disk)
    kept = sorted(disk.iterdir())
    new, study = disk / "new", "study new s --site a=tcp://h:7001 --site b --target y --kind linear"
    for words in (
        ("examples", "ridge", "--out", new),
        ("init", tmp_path / "rows.csv", "--target", "y", "--out", new),
        (*study.split(), "--out", new),
        ("data", "partition", file, "--out", new),
        ("keys", "new", "oslo", "--out", disk),
        ("topology", "show", "ring:4", "--plot", disk / "new.svg"),
        ("topology", "make", "ring:4", disk / "new.toml"),
        ("predict", learned, tmp_path / "more.csv", "--out", new),
        ("predict", learned, tmp_path / "more.csv", "--out", old),
        ("export", learned, "--to", "csv", "--out", new),
    ):
        said = gossipfl(*words)
        assert (said.code, said.err.count("\n")) == (7, 1), (words, said)
        assert re.search(
            rf"cannot write (to |the secret keys to )?(--out |--plot )?{disk}/\S+: {why}", said.err
        ), said.err
        assert sorted(disk.iterdir()) == kept, words
        assert old.read_text() == "old"


def full(folder, *names):
    """Files that are as on a full disk, with folders around them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to("/dev/full")


OWN = (".checkpoint.safetensors.partial", "metrics.jsonl", "log.jsonl")


@pytest.mark.slow
def test_the_command_says_it_on_the_terminal_and_in_its_exit_code(tmp_path):
    folder = tmp_path / "run"
    full(folder, "metrics.jsonl", ".summary.json.partial", ".model.json.partial")
    for name in NAMES:
        full(folder / "peers" / name, *OWN)
    (tmp_path / "e.toml").write_text(dump(parse(experiment())))
    with started("run", str(tmp_path / "e.toml"), "--out", str(folder)) as command:
        told, wrong = command.communicate()
    told = " ".join(told.split())
    assert wrong == ""
    assert "Traceback" not in told
    assert command.returncode == 7, told
    assert told.count("cannot write its metrics") == 3, "not by each peer"
    assert f"warning: cannot write metrics.jsonl: {FULL}; learning goes on" in told
    assert told.count("can write its checkpoint again, after 1 failure") == 3
    assert "the 4 peers hold one model" in told
    assert f"; but 2 files of the result could not be written ({FULL})" in told
    for name in NAMES:
        assert checkpoint.read(folder / "peers" / name, study(parse(experiment())).fingerprint)[0] is not None
        assert files.read_json(folder / "peers" / name / "summary.json")["stopped"] == "seconds"


@pytest.mark.slow
def test_a_peer_by_hand_says_it_too(tmp_path):
    (tmp_path / "pair.toml").write_text(
        "edges = [['a', 'b']]\n"
        + "".join(
            f"[peers.{n}]\nendpoint = 'tcp://127.0.0.1:{port}'\n"
            for n, port in zip("ab", free_ports(2), strict=True)
        )
    )
    raw = experiment(seconds=4.0, reference=False, topology={"graph": str(tmp_path / "pair.toml")})
    (tmp_path / "e.toml").write_text(dump(parse(raw)))
    full(tmp_path / "a", "log.jsonl", ".summary.json.partial", *(f"peers/a/{name}" for name in OWN))
    with (
        started("peer", str(tmp_path / "e.toml"), "a", "--out", str(tmp_path / "a")) as a,
        started("peer", str(tmp_path / "e.toml"), "b", "--out", str(tmp_path / "b")) as b,
    ):
        (told, wrong), (other, _) = a.communicate(), b.communicate()
    assert f"warning: peer a cannot write its metrics: {FULL}; learning goes on" in told
    assert f"warning: peer a cannot write its checkpoint: {FULL}; learning goes on" in told
    assert "Traceback" not in told + wrong
    assert a.returncode == 7, told + wrong
    assert f"but it could not write summary.json: {FULL}" in told
    assert b.returncode == 0, other
    assert "warning" not in other
    models = [files.read_json(tmp_path / name / "model.json")["coefficients"] for name in "ab"]
    assert models[0] == pytest.approx(models[1], rel=1e-6)


def test_a_failure_is_said_when_it_begins_now_and_then_and_when_it_is_over():
    said, now = [], 0.0
    attempt = Attempts(said.append, lambda: now)

    def fail(error):
        raise error

    for _ in range(1000):
        attempt("its log", fail, OSError(28, FULL))
        now += 1.0
    assert said == [
        f"cannot write its log: {FULL}; learning goes on",
        *[f"still cannot write its log: {FULL}; learning goes on"] * 4,
    ], f"after {AGAIN} s, and twice as long each time"
    attempt("its log", fail, OSError(30, READ_ONLY))
    attempt("its log", list)
    attempt("its log", list)
    assert said[5:] == [
        f"cannot write its log: {READ_ONLY}; learning goes on",
        "can write its log again, after 1,001 failures",
    ]


def test_lines_are_added_whole_or_not_at_all(disk):
    for line in (b"a" * 900 + b"\n", b"b" * 30000 + b"\n"):
        file = disk / f"{len(line)}"
        append(file, line)
        fill(disk)
        with pytest.raises(OSError, match=FULL):
            deque(map(append, repeat(file), repeat(line)), 0)
        assert set(file.read_bytes().splitlines(keepends=True)) == {line}
        (disk / "ballast").unlink()
        append(file, line)
