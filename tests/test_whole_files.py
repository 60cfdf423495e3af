"""Files and folders of gossipfl.disk: whole or not at all, and nothing else is lost for them."""

import errno
import os
import resource
from contextlib import contextmanager

import pytest

from gossipfl.cli.new_file import create as create_all
from gossipfl.disk import create, new_folder, unwritable, whole, write
from gossipfl.errors import BadExperiment, Unwritten


@contextmanager
def no_more_open_files():
    old, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (old, most))


def test_a_new_file_takes_the_place_of_none(tmp_path):
    create(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    with pytest.raises(FileExistsError):
        create(tmp_path / "a", b"newer")
    with no_more_open_files(), pytest.raises(OSError, match="Too many open files"):
        create(tmp_path / "a", b"newer")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_new_files_are_there_all_or_none(tmp_path):
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(BadExperiment, match="b exists already: choose another name"):
        create_all((tmp_path / "a", b"1"), (tmp_path / "b", b"2"))
    with pytest.raises(BadExperiment, match=r"cannot write .*c/d: No such file or directory"):
        create_all((tmp_path / "a", b"1"), (tmp_path / "c" / "d", b"2"))
    with pytest.raises(BadExperiment, match="a exists already"):
        create_all((tmp_path / "a", b"1"), (tmp_path / "a", b"2"))
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("b", b"old")]


@pytest.mark.parametrize("why", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_new_folder_is_there_with_all_that_fills_it_or_not_at_all(why, tmp_path):
    with new_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "c").write_bytes(b"old")
    with pytest.raises(FileExistsError), new_folder(tmp_path / "a"):
        pytest.fail("it exists")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"old"

    def fill():
        with new_folder(tmp_path / "d"):
            (tmp_path / "d" / "e").write_bytes(b"half")
            raise why

    with pytest.raises(type(why)):
        fill()
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("why", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("content", [b"old", b""])
def test_a_file_that_a_user_names_is_whole_or_as_it_was(content, why, tmp_path):
    old, link, new = tmp_path / "old", tmp_path / "link", tmp_path / "new"
    old.write_bytes(content)
    old.chmod(0o640)
    link.symlink_to(old)

    def fill(path):
        with whole(path):
            path.write_bytes(b"half")
            raise why

    for path in (old, link, new):
        with pytest.raises(type(why)):
            fill(path)
    assert (old.read_bytes(), old.stat().st_mode & 0o777, link.is_symlink()) == (content, 0o640, True)
    assert not new.exists()
    for path in (link, new):
        with whole(path):
            path.write_bytes(b"all of it")
    assert old.read_bytes() == new.read_bytes() == b"all of it"


def test_what_is_no_plain_file_takes_the_bytes_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with whole(pipe):
        pipe.write_bytes(b"1")
    assert os.read(reader, 9) == b"1"
    os.close(reader)
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"), whole(full):
        full.write_bytes(b"1")
    assert pipe.is_fifo()
    assert full.is_symlink()


def test_an_interrupt_leaves_no_part(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "file", b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.ENOSPC, Unwritten, 7),
        (errno.EDQUOT, Unwritten, 7),
        (errno.EROFS, Unwritten, 7),
        (errno.ENOENT, BadExperiment, 3),
        (errno.EACCES, BadExperiment, 3),
    ],
)
def test_a_disk_that_takes_nothing_has_another_code_than_a_wrong_name(number, kind, code):
    error = unwritable("cannot write x", OSError(number, os.strerror(number)))
    assert (type(error), error.exit_code) == (kind, code)
    assert str(error) == f"cannot write x: {os.strerror(number)}"
    assert str(unwritable("cannot write x", OSError("no such folder"))) == "cannot write x: no such folder"
