"""The layers of docs/design.md, read off the source: a module imports only from lower layers."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gossipfl"
FILES = sorted(PACKAGE.rglob("*.py"))

BELOW: dict[str, set[str]] = {
    "errors": set(),
    "rng": {"errors"},
    "tensors": set(),
    "disk": {"errors"},
    "topology": {"disk", "rng", "errors"},
    "models": {"rng", "tensors", "errors"},
    "data": {"rng", "errors"},
    "mixing": {"rng", "tensors", "errors"},
    "secrecy": {"errors"},
    "algorithms": {"mixing", "models", "secrecy", "rng", "tensors", "errors"},
    "selection": {"algorithms", "data", "models", "rng"},
    "engine": {"algorithms", "mixing", "models", "secrecy", "topology", "tensors", "errors"},
}
ENGINES = {"engine", *BELOW["engine"], "rng"}
BELOW |= {
    "fallback": ENGINES,
    "simulator": {*ENGINES, "fallback"},
    "peer": {*ENGINES, "fallback", "gossip"},
    "gossip": ENGINES,
}
BELOW["signals"] = set()
BELOW["keys"] = {"disk", "topology", "errors"}
BELOW["config"] = {"algorithms", "data", "topology", "errors"}
BELOW["faults"] = {"config", "rng", "signals", "errors"}
BELOW["runs"] = {"config", "data", "disk", "secrecy", "topology", "tensors", "errors"}
BELOW["trained"] = {"config", "data", "models", "errors"}
BELOW["experiment"] = {*BELOW}
BELOW["report"] = {*BELOW}
BELOW["interface"] = {*BELOW}
BELOW["testing"] = {*BELOW}
BELOW["cli"] = {*BELOW}
BELOW["__main__"] = {"cli"}

WITHIN = ["study", "learning", "evaluation", "live", "launch"]  # experiment's own rooms, the lowest first

PURE = {*ENGINES, "selection", "fallback", "data", "simulator", "gossip"}
IMPURE = {"zmq", "time", "logging", "threading", "asyncio", "socket", "random", "multiprocessing", "queue"}
GLOBAL_RANDOMNESS = {
    *(f"{numpy}.random.{name}" for numpy in ("np", "numpy") for name in ("seed", "rand", "randn", "normal")),
    *(f"torch.{name}" for name in ("manual_seed", "seed", "rand", "randn", "randint", "randperm")),
}
LATER = {"algorithms", "mixing", "models", "gossip", "engine"}  # what a check of an experiment imports
NEVER = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def imports(tree: ast.AST) -> tuple[str, ...]:
    """Full names of all modules that are imported, wherever in the file."""
    return tuple(_imports(tree))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


each = pytest.mark.parametrize("path", FILES, ids=named)


@each
def test_arrows_point_down(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        assert not [name for name in imports(parse(path)) if name.startswith("gossipfl.")], (
            "importing the package is free"
        )
        return
    assert here in BELOW, f"{named(path)} is in a room that docs/design.md does not know"
    rooms = {name.split(".")[1] for name in imports(parse(path)) if name.startswith("gossipfl.")}
    wrong = rooms - BELOW[here] - {here}
    assert not wrong, f"{named(path)} imports {', '.join(sorted(wrong))}, which does not lie below {here}"


@pytest.mark.parametrize("path", [path for path in FILES if room(path) == "experiment"], ids=named)
def test_arrows_point_down_within_experiment(path: Path) -> None:
    here = path.relative_to(PACKAGE / "experiment").parts[0]
    if here == "__init__.py":
        return
    assert here in WITHIN, f"{named(path)} is in a room that docs/design.md does not know"
    rooms = {name.split(".")[2] for name in imports(parse(path)) if name.startswith("gossipfl.experiment.")}
    wrong = rooms - set(WITHIN[: WITHIN.index(here) + 1])
    assert not wrong, f"{named(path)} imports {', '.join(sorted(wrong))}, which does not lie below {here}"


def reached(start: Iterable[Path]) -> set[str]:
    """The modules of the package that some of its files import, directly or through others."""
    known, todo = set[str](), list(start)
    while todo:
        for name in imports(parse(todo.pop())):
            file = ROOT / Path(*name.split(".")).with_suffix(".py")
            if name not in known and file.exists():
                known.add(name)
                todo.append(file)
    return known


def test_learning_writes_no_file() -> None:
    """What learns stands on no room that judges, lives, launches or writes a run folder."""
    low = [path for path in FILES if path.parent.name in ("study", "learning")]
    above = ("gossipfl.experiment.evaluation", "gossipfl.experiment.live", "gossipfl.experiment.launch")
    found = reached(low)
    assert not [name for name in found if name.startswith(above)]
    assert "gossipfl.runs.folder" not in found


def test_experiment_is_no_more_than_a_room_among_others() -> None:
    """At most 22 % of the package's lines."""
    lines = {path: len(path.read_text().splitlines()) for path in FILES}
    assert sum(lines[path] for path in FILES if room(path) == "experiment") <= 0.22 * sum(lines.values())


def test_a_class_name_means_one_thing() -> None:
    owners: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ClassDef):
                owners.setdefault(node.name, []).append(named(path))
    assert not {name: where for name, where in owners.items() if len(where) > 1}


def asked(tree: ast.AST) -> Iterator[str]:
    """The words that a file compares something with, or matches."""
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        for part in parts:
            words = part.elts if isinstance(part, ast.Tuple | ast.List | ast.Set) else [part]
            yield from (
                word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)
            )


@each
def test_no_method_is_asked_for_by_its_name(path: Path) -> None:
    """What a method can is in its row of the table; its name is for people."""
    from gossipfl.algorithms import METHODS

    if path in (PACKAGE / "algorithms" / "methods.py", PACKAGE / "config" / "algorithm.py"):
        return
    words = {*METHODS} - {"local", "push-pull"}  # these are words of other keys, too
    assert not words & {*asked(parse(path))}, f"{named(path)} asks for a method by its name"
    constants = {
        ast.unparse(node.value).strip("'")
        for node in parse(path).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
    }
    assert not words & constants, f"{named(path)} keeps a method's name"


@each
def test_pure_rooms_know_no_network_no_clock_and_no_global_randomness(path: Path) -> None:
    tree = parse(path)
    top = {name.split(".")[0] for name in imports(tree)}
    assert not top & NEVER
    if room(path) in LATER:
        assert "torch" not in top, f"{named(path)} imports torch, and not gossipfl.tensors"
    if room(path) in PURE:
        assert not top & IMPURE
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & (GLOBAL_RANDOMNESS | {"eval", "exec"})


@each
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(parse(path)), f"{named(path)} has no docstring"


def test_all_rooms_are_packages() -> None:
    folders = {path.parent for path in FILES}
    assert not [named(folder) for folder in folders if not (folder / "__init__.py").exists()]


QUIET = """
import sys, threading, warnings
warnings.simplefilter("error")
import zmq
made = []
zmq.Context.__init__ = lambda *_, **__: made.append(1)
import gossipfl.peer, gossipfl.simulator
assert threading.active_count() == 1, threading.enumerate()
assert not made, "a ZeroMQ context at import"
assert "sklearn" not in sys.modules, "scikit-learn"
assert "matplotlib" not in sys.modules, "matplotlib"
assert not hasattr(sys.modules.get("torch._dynamo"), "optimize"), "torch._dynamo costs a second"
"""


def test_importing_the_engines_is_quiet() -> None:
    """A preloaded forkserver must hold no thread and no socket when it forks."""
    done = subprocess.run(
        [sys.executable, "-c", QUIET], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
