"""Checkpoints and what newcomers are told: whole, of this study, or refused by name, whatever a stranger sends."""

import dataclasses
import os
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from gossipfl.data import Schema
from gossipfl.errors import BadMessage
from gossipfl.runs import checkpoint
from gossipfl.runs.checkpoint import NEW, OLD, read, write
from gossipfl.runs.facts import Checkpoint, Facts, decode, encode, pack, unpack

STUDY = b"8 bytes."
SCHEMA = Schema(("age", "cp"), {"cp": ("1", "2", "3")}, ("no", "yes"))
FACTS = Facts(SCHEMA, 35.5, 0.25, 0.125, (1.0, 2.0, 3.0), (1.0, 0.5, 2.0), (), 40)
X = torch.tensor([[0.1, -2.0, 3e-300, 7.0]], dtype=torch.float64)


def point(round: int) -> Checkpoint:
    return Checkpoint(X + round, round, 1.5 * round, FACTS)


def same(a: Checkpoint | None, b: Checkpoint) -> bool:
    return a is not None and torch.equal(a.x, b.x) and a[1:] == b[1:]


def test_what_is_written_is_read_to_the_last_bit_and_the_one_before_is_kept(tmp_path: Path) -> None:
    assert read(tmp_path, STUDY) == (None, [])
    for round in (1, 2, 3):
        write(tmp_path, STUDY, point(round))
        found, refused = read(tmp_path, STUDY)
        assert same(found, point(round))
        assert not refused
    (tmp_path / NEW).unlink()
    assert same(read(tmp_path, STUDY)[0], point(2))
    assert sorted(file.name for file in tmp_path.iterdir()) == [OLD], "nothing half written is left"


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    for round in (1, 2):
        write(tmp_path, STUDY, point(round))
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_torn_checkpoint_is_refused_by_name_and_the_older_one_used(tmp_path: Path) -> None:
    write(tmp_path, STUDY, point(1))
    write(tmp_path, STUDY, point(2))
    whole = (tmp_path / NEW).read_bytes()
    for length in (0, 7, 8, 60, len(whole) - 1):
        (tmp_path / NEW).write_bytes(whole[:length])
        found, refused = read(tmp_path, STUDY)
        assert same(found, point(1)), length
        assert len(refused) == 1
        assert refused[0].startswith(f"{tmp_path / NEW} is not used: ")


def test_a_checkpoint_of_another_format_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT - 1)
    write(tmp_path, STUDY, point(1))
    monkeypatch.undo()
    found, refused = read(tmp_path, STUDY)
    assert found is None
    assert "it has format 1, and this version of gossipfl reads format 2 only" in refused[0]


@given(st.data())
def test_a_changed_byte_is_never_read_as_something_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    write(folder, STUDY, point(1))
    content = bytearray((folder / NEW).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    (folder / NEW).write_bytes(content)
    found, refused = read(folder, STUDY)
    assert same(found, point(1)) or (found is None and len(refused) == 1)


def test_another_studys_checkpoint_is_refused(tmp_path: Path) -> None:
    write(tmp_path, b"another!", point(1))
    found, refused = read(tmp_path, STUDY)
    assert found is None
    assert "another study" in refused[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_keeps_what_it_has(tmp_path: Path) -> None:
    write(tmp_path, STUDY, point(1))
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="denied"):
        write(tmp_path, STUDY, point(2))
    tmp_path.chmod(0o700)
    assert same(read(tmp_path, STUDY)[0], point(1))


def test_a_full_disk_keeps_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, STUDY, point(1))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path, STUDY, point(2))
    assert same(read(tmp_path, STUDY)[0], point(1))
    assert sorted(file.name for file in tmp_path.iterdir()) == [NEW]


def test_facts_and_models_survive_their_bytes() -> None:
    assert decode(encode(FACTS)) == FACTS
    told = unpack(pack(Checkpoint(X, 12, 3.5, FACTS, age=40)))
    assert same(told, Checkpoint(X, 12, 0.0, FACTS, age=40)), "the newcomer has not learned for a second"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"step": 0.0}, "out of range"),
        ({"step": float("nan")}, "not finite"),
        ({"mean_rows": -1.0}, "out of range"),
        ({"origin": -1}, "out of range"),
        ({"origin": 2**62}, "out of range"),
        ({"mean": (1.0,)}, "different numbers"),
        ({"mean": (1.0,), "deviation": (1.0,)}, "1 means for 3 features"),
        ({"deviation": (1.0, -1.0, 1.0)}, "a deviation below 0"),
    ],
)
def test_what_cannot_have_been_agreed_is_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(BadMessage, match=why):
        unpack(pack(Checkpoint(X, 3, 0.0, msgspec.structs.replace(FACTS, **wrong))))


hello = pack(Checkpoint(X, 12, 0.0, FACTS))


@given(
    st.binary(max_size=200)
    | st.tuples(st.integers(0, len(hello) - 1), st.integers(0, 255)).map(
        lambda flip: hello[: flip[0]] + bytes([flip[1]]) + hello[flip[0] + 1 :]
    )
    | st.integers(0, len(hello) - 1).map(lambda end: hello[:end])
)
@example(b"")
@example(b"\x91" * 4000)
@example(b"\xdd\xff\xff\xff\xff")
def test_any_bytes_are_facts_that_make_sense_or_a_bad_message(message: bytes) -> None:
    try:
        told = unpack(message)
    except BadMessage:
        return
    assert told.facts.step > 0
    assert told.round >= 0
    assert told.age >= 0
    assert told.x.isfinite().all()
    assert dataclasses.is_dataclass(told.facts.schema)
