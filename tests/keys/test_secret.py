"""Secret keys: in a file that only its owner reads, and never shown."""

import os
import stat

import pytest
import zmq
from commands import gossipfl
from zmq.utils import z85

from gossipfl.errors import BadExperiment
from gossipfl.keys import fresh, load, save
from gossipfl.topology.public_key import public_keys


def test_what_is_saved_is_loaded_and_only_its_owner_may_read_it(tmp_path):
    keys = fresh(), fresh()
    save("oslo", keys, tmp_path / "oslo.key")
    assert load(tmp_path / "oslo.key") == ("oslo", keys)
    assert stat.S_IMODE((tmp_path / "oslo.key").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["oslo.key"]


def test_a_link_key_is_one_of_curve():
    secret = fresh()
    assert zmq.curve_public(z85.encode(secret.link)) == z85.encode(secret.public.link)


def test_keys_are_never_overwritten_or_shown(tmp_path):
    path, secret = tmp_path / "oslo.key", fresh()
    save("oslo", (secret,), path)
    with pytest.raises(BadExperiment, match="exists already"):
        save("oslo", (fresh(),), path)
    assert repr(secret.link) not in repr(secret) + str(secret) + f"{(secret,)}"


def test_a_file_that_others_may_read_is_refused(tmp_path):
    save("oslo", (fresh(),), tmp_path / "oslo.key")
    (tmp_path / "oslo.key").chmod(0o640)
    with pytest.raises(BadExperiment, match="others may read it: chmod 600"):
        load(tmp_path / "oslo.key")


@pytest.mark.skipif(os.getuid() != 0, reason="needs a file that belongs to root")
def test_a_credential_of_systemd_is_read_though_its_mode_shows_a_group(tmp_path, monkeypatch):
    """systemd 254: mode 0440 and an access control list for the user of the service."""
    keys, path = (fresh(),), tmp_path / "key"
    save("oslo", keys, path)
    path.chmod(0o440)
    for place in (None, tmp_path.parent, ""):
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        if place is not None:
            monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
        with pytest.raises(BadExperiment, match="others may read it"):
            load(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load(path) == ("oslo", keys)
    for mode, owner in ((0o444, 0), (0o460, 0), (0o440, 1)):
        path.chmod(mode)
        os.chown(path, owner, 0)
        with pytest.raises(BadExperiment, match="others may read it"):
            load(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"name = 1\nkeys = []", b'name = "oslo"\nkeys = []', b"[" * 3000,
     b'name = "oslo"\n[[keys]]\nlink = "AAAA"\nsignature = "AAAA"', b'name = "oslo"\n[[keys]]\nlink = 1\nsignature = "*"'],
)  # fmt: skip
def test_any_other_file_is_refused_without_showing_it(content, tmp_path):
    path = tmp_path / "oslo.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadExperiment, match="is not a file of secret keys") as refused:
        load(path)
    assert refused.value.__suppress_context__
    with pytest.raises(BadExperiment, match="cannot read"):
        load(tmp_path / "none.key")


def test_the_commands_print_the_line_for_the_topology(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = gossipfl("keys", "new", "oslo")
    line = made.out.splitlines()[-1]
    _, (secret,) = load(tmp_path / "oslo.key")
    assert line == f'public_key = "{secret.public}"'
    assert "[peers.oslo]" in made.out
    assert gossipfl("keys", "show", "oslo.key").out.splitlines()[-1] == line
    turned = gossipfl("keys", "rotate", "oslo.key").out.splitlines()[-1]
    assert public_keys(turned.split('"')[1])[1] == secret.public
    again = gossipfl("keys", "new", "oslo")
    assert (again.code, again.err.count("exists already")) == (3, 1)
