"""Mistakes on the command line: the exit code of each, and what its error message must name."""

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import SMALL, gossipfl, rows, small

from gossipfl.keys import fresh, save

TOPOLOGY = """
edges = [{edges}]
[peers.a]
{a}
[peers.b]
[peers.c]
[peers.d]
"""


def with_data(data: str) -> Callable[[Path], list[object]]:
    return lambda folder: ["simulate", small(folder, data)]


def with_set(*settings: str, command: str = "simulate") -> Callable[[Path], list[object]]:
    return lambda folder: [command, small(folder), *(word for s in settings for word in ("-s", s))]


def with_graph(edges: str, *words: str, a: str = "") -> Callable[[Path], list[object]]:
    def make(folder: Path) -> list[object]:
        (folder / "graph.toml").write_text(TOPOLOGY.format(edges=edges, a=a))
        file = small(folder)
        return [*(str(file) if w == "FILE" else w for w in words), "-s", "topology.graph=graph.toml"]

    return make


def _with_places(folder: Path, a: str = "tcp://127.0.0.1:5501") -> Path:
    """The small experiment with two peers that have endpoints."""
    places = f'[peers.a]\nendpoint = "{a}"\n[peers.b]\nendpoint = "tcp://127.0.0.1:5502"\n'
    (folder / "graph.toml").write_text(f'edges = [["a", "b"]]\n{places}')
    text = SMALL.replace("ring:4", "graph.toml").replace(
        'name = "small"', 'name = "small"\nreference = false'
    )
    return small(folder, text=text)


def _with_keys(folder: Path, whose: str) -> Path:
    """The same, with public keys for these peers, whose secret ones are nowhere."""
    path = _with_places(folder)
    text = (folder / "graph.toml").read_text()
    for name in whose:
        text = text.replace(f"[peers.{name}]\n", f'[peers.{name}]\npublic_key = "{fresh().public}"\n')
    (folder / "graph.toml").write_text(text)
    return path


def _key(folder: Path, name: str) -> Path:
    """A file of new secret keys for that peer."""
    (folder / "keys").mkdir()
    save(name, (fresh(),), folder / "keys" / f"{name}.key")
    return folder / "keys" / f"{name}.key"


def _checked(endpoint: str) -> Callable[[Path], list[object]]:
    def make(folder: Path) -> list[object]:
        _with_places(folder, endpoint)
        return ["topology", "check", folder / "graph.toml"]

    return make


RING = '["a","b"],["b","c"],["c","d"],["d","a"]'
MISTAKES: dict[str, tuple[Callable[[Path], list[object]], int, str]] = {
    "no such command": (lambda _: ["rum"], 2, "rum.*--help"),
    "no file given": (lambda _: ["run"], 2, "FILE.*gossipfl run --help"),
    "no such option": (lambda _: ["demo", "--fast"], 2, "--fast"),
    "no such file": (lambda f: ["run", f / "smal.toml"], 3, "smal.toml.*examples"),
    "file mistyped": (lambda f: ["run", small(f).with_name("smal.toml")], 3, "did you mean .*small.toml"),
    "not TOML": (lambda f: ["run", small(f, text="name =")], 3, "not a TOML file"),
    "unknown key": (with_set("stop.round=3"), 3, "stop.round: did you mean rounds"),
    "wrong type": (with_set("stop.rounds=many"), 3, "stop.rounds.*many"),
    "wrong word": (with_set("algorithm.kind=extrra"), 3, "algorithm.kind.*did you mean .extra"),
    "bad override": (with_set("stop.rounds"), 3, "section.key=value"),
    "all at once": (
        with_set("stop.round=3", "model.l3=1"),
        3,
        "(?s)stop.round.*model.l3|model.l3.*stop.round",
    ),
    "auto step without L": (with_set("model.kind=svm"), 3, "svm.*algorithm.step"),
    "no such topology": (with_set("topology.graph=rong:4"), 3, "ring:16"),
    "disconnected": (with_graph('["a","b"],["c","d"]', "simulate", "FILE"), 3, "cut off.*[cd]"),
    "unknown neighbour": (with_graph('["a","e"]', "simulate", "FILE"), 3, "graph.toml.*e"),
    "missing data file": (with_set("data.source=row.csv"), 4, "row.csv"),
    "empty data file": (with_data(""), 4, "rows.csv.*empty"),
    "target absent": (with_set("data.target=z"), 4, "rows.csv.*z"),
    "target dropped": (with_set('data.drop=["y"]'), 4, "rows.csv: 'y' is the target.*dropped"),
    "target compared and dropped": (
        with_set("data.target=y > 0", 'data.drop=["y"]'),
        4,
        "'y' is the target.*dropped",
    ),
    "target categorical": (
        with_set('data.categorical=["y"]'),
        4,
        "'y' is the target.*categorical.*classes are found automatically",
    ),
    "target not said": (lambda f: ["simulate", small(f, text='[data]\nsource = "rows.csv"')], 4, "target = "),
    "words": (with_data(rows().replace("\n0.0,", "\nlow,", 1)), 4, "categorical|not numbers|words"),
    "NaN": (with_data(rows().replace("\n0.0,", "\n,", 1)), 4, "missing.*row|row.*missing|NaN"),
    "one class": (with_data(rows(lambda _: 1)), 4, "at least two classes"),
    "numbers, not classes": (
        with_data(rows(lambda i: i * 1.5)),
        4,
        'two classes.*60.*numbers.*kind = "linear".*ridge',
    ),
    "whole numbers, not classes": (with_data(rows(lambda i: i)), 4, 'numbers.*kind = "linear".*ridge'),
    "three classes": (
        with_data(rows(lambda i: i % 3)),
        4,
        'the peers have 3: 0, 1, 2; set model.kind = "softmax"',
    ),
    "too many peers": (with_set("topology.graph=ring:80"), 4, "without rows.*fewer peers"),
    "few rows told": (with_set("topology.graph=ring:15"), 4, "training rows.*reveal the rows"),
    "diverges": (
        with_set("model.kind=linear", "algorithm.kind=d-psgd", "algorithm.step=1e9"),
        6,
        "diverged.*round.*algorithm.step",
    ),
    "not met": (with_set("stop.rounds=2"), 6, "tolerance 1e-06 was not met in 2 rounds"),
    "peer: reference": (with_set("reference=true", command="peer"), 2, "NAME"),
    "peer: who?": (with_graph(RING, "peer", "FILE", "z"), 3, "no peer z.*a, b, c, d"),
    "peer: where?": (
        with_graph(RING, "peer", "FILE", "a"),
        3,
        r"(?s)no endpoint for a, b, d\..*\[peers.a\].*endpoint",
    ),
    "peer: another's": (
        lambda f: ["peer", _with_places(f), "a", "--listen", "tcp://127.0.0.1:5502"],
        3,
        "a cannot listen on tcp://127.0.0.1:5502.*graph.toml gives it to b.*--listen",
    ),
    "peer: elsewhere": (
        lambda f: [
            "peer",
            _with_places(f),
            "a",
            "--listen",
            "tcp://192.0.2.1:5501",
            "-s",
            "peers.security=none",
        ],
        5,
        "cannot listen on tcp://192.0.2.1:5501: .*This machine has no such address",
    ),
    "peer: open links": (
        lambda f: ["peer", _with_places(f), "a", "--listen", "tcp://*:5501"],
        3,
        "graph.toml names no public keys, .*gossipfl keys new, or write security = .none. in .peers.",
    ),
    "peer: no keys": (
        lambda f: ["peer", _with_places(f), "a", "-s", "peers.security=keys"],
        3,
        "graph.toml names no public keys",
    ),
    "peer: some keys": (
        lambda f: ["peer", _with_keys(f, "a"), "a"],
        3,
        "graph.toml has no public_key for b",
    ),
    "peer: no file of keys": (
        lambda f: ["peer", _with_keys(f, "ab"), "a"],
        3,
        "cannot read the secret keys in .*a.key",
    ),
    "peer: another's keys": (
        lambda f: ["peer", _with_keys(f, "ab"), "a", "--key", _key(f, "b")],
        3,
        "b.key has the keys of b, and this peer is a",
    ),
    "peer: other keys": (
        lambda f: ["peer", _with_keys(f, "ab"), "a", "--key", _key(f, "a")],
        3,
        "names another public key than that of .*a.key",
    ),
    "no endpoint": (_checked("tcp://h:99999"), 3, "graph.toml.*peer .a.*tcp://h:99999.*65535"),
    "no endpoint in an experiment": (
        with_graph(RING, "config", "check", "FILE", a='endpoint = "h:5501"'),
        3,
        "graph.toml.*peer .a.*h:5501.*write tcp://host:port",
    ),
    "one endpoint for two": (
        _checked("tcp://127.0.0.1:5502"),
        3,
        "graph.toml.*a and b cannot both listen on tcp://127.0.0.1:5502: give each its own",
    ),
    "bad weights": (lambda _: ["topology", "show", "ring:4", "--weights", "best"], 3, "best.*metropolis"),
    "bad plot": (lambda f: ["topology", "show", "ring:4", "--plot", f / "x.bmp"], 3, "bmp.*png"),
    "bad suffix": (lambda f: ["topology", "make", "ring:4", f / "x.csv"], 3, "csv.*json"),
    "nothing to resume": (
        lambda f: ["run", "--resume", f],
        3,
        "there is no run to resume in .*: start one with gossipfl run FILE",
    ),
    "no run": (lambda f: ["results", "show", f], 3, "not a run folder"),
    "no example": (lambda _: ["examples", "rigde"], 3, "rigde.*ridge"),
    "--out in use": (lambda f: ["simulate", small(f), "--out", _used(f)], 3, "has a run already"),
    "--out a file": (lambda f: ["simulate", small(f), "--out", f / "rows.csv"], 3, "rows.csv"),
    "parts in use": (lambda f: ["data", "partition", small(f), "--out", f], 3, "exists already"),
}


def _used(folder: Path) -> Path:
    (folder / "used").mkdir()
    (folder / "used" / "config.toml").touch()
    return folder / "used"


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_its_exit_code_and_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, code, words = MISTAKES[name]
    said = gossipfl(*make(tmp_path), "--format", "json")
    assert said.code == code, said
    value = said.json
    assert value["exit_code"] == code
    sentence = value["error"] if "error" in value else value["verdict"]
    if "error" in value:
        assert said.err.startswith("error: ")
    assert re.search(words, sentence), sentence
    assert "Traceback" not in said.err


def test_an_unknown_format_is_refused() -> None:
    said = gossipfl("topology", "families", "--format", "yaml")
    assert said.code == 2
    assert "yaml" in said.err


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    file = small(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        peers = f'[peers.a]\nendpoint = "{endpoint}"\n[peers.b]\n[peers.c]\n[peers.d]\n'
        (tmp_path / "graph.toml").write_text(f"edges = [{RING}]\n{peers}")
        said = gossipfl("run", file, "-s", "topology.graph=graph.toml", "--out", tmp_path / "run")
    assert said.code == 5
    assert endpoint in said.err
    assert "Traceback" not in said.err
