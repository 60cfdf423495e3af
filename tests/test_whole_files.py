"""Files and folders of gossipfl.disk: whole or not at all, and nothing else is lost for them."""

import errno
import os
import resource
from contextlib import contextmanager

import pytest

from gossipfl.cli.new_file import create as create_all
from gossipfl.disk import create, new_folder, put, unwritable, write
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


def test_a_file_that_a_user_names_keeps_its_mode_and_a_link_takes_the_bytes(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    put(file, b"1")
    file.chmod(0o666)  # more than the umask leaves to a new file
    link.symlink_to(file)
    for path in (file, link):
        put(path, path.name.encode())
        assert file.read_bytes() == path.name.encode()
        assert file.stat().st_mode & 0o777 == 0o666
    assert link.is_symlink()
    put(tmp_path / ".." / tmp_path.name / "file", b"2")
    assert file.read_bytes() == b"2"
    with pytest.raises(OSError, match="Is a directory"):
        put(tmp_path, b"3")
    (tmp_path / "later").symlink_to("new")
    put(tmp_path / "later", b"4")
    assert (tmp_path / "new").read_bytes() == b"4"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EBUSY, errno.ENOSPC])
def test_where_no_file_can_take_its_place_the_old_one_takes_the_bytes(number, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")

    def refused(*_args, **_more):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("gossipfl.disk.write", refused)
    if number == errno.ENOSPC:
        with pytest.raises(OSError, match="No space left"):
            put(tmp_path / "file", b"new")
    else:
        put(tmp_path / "file", b"new")
    with pytest.raises(OSError, match=os.strerror(number)):
        put(tmp_path / "none", b"new")
    assert (tmp_path / "file").read_bytes() == (b"old" if number == errno.ENOSPC else b"new")


def test_a_file_that_is_read_only_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write all files
    with pytest.raises(PermissionError, match="Permission denied"):
        put(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_an_interrupt_leaves_no_part(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "file", b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"old")]


def test_a_pipe_takes_the_bytes(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    put(pipe, b"1")
    assert os.read(reader, 9) == b"1"
    os.close(reader)
    assert pipe.is_fifo()


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
