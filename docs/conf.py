"""The documentation site: sphinx-build -W docs OUT. Pages are Markdown; two are filled from the docstrings of the code."""

import inspect
import re
from importlib import import_module
from typing import Any

import gossipfl

project, author, copyright = "gossipfl", "the authors of gossipfl", "the authors of gossipfl"
version = release = gossipfl.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "gossipfl"
highlight_language = "none"

# What a program may use beside the names of `gossipfl` itself: modules, and of each the names that count.
PARTS = {
    "gossipfl.trained.model": ("LinearModel", "Prediction"),
    "gossipfl.trained.file": ("load",),
    "gossipfl.trained.onnx_form": ("to_onnx",),
    "gossipfl.trained.pipeline": ("pipeline",),
    "gossipfl.config.draft": ("Draft", "draft"),
    "gossipfl.experiment.learning.train": ("train",),
    "gossipfl.data.sources": ("read",),
    "gossipfl.topology.files": ("load",),
    "gossipfl.errors": ("GossipError", "BadExperiment", "BadData", "NetworkError"),
}


def text(words: str) -> str:
    """Words as they are: docstrings have signs of mathematics that no markup should read."""
    return f"```text\n{words.strip()}\n```\n"


def member(name: str, value: Any) -> str:
    """A public name with its signature and docstring, and those of its public methods."""
    parts = [f"### {name}\n", text(f"{_signature(name, value)}\n\n{inspect.getdoc(value) or ''}")]
    for key, one in vars(value).items() if inspect.isclass(value) else ():
        plain = one.__func__ if isinstance(one, classmethod | staticmethod) else one
        if key[0] != "_" and inspect.isfunction(plain) and plain.__doc__:
            parts.append(text(f"{_signature(f'{name}.{key}', plain)}\n\n{inspect.getdoc(plain)}"))
    return "\n".join(parts)


def _signature(name: str, value: Any) -> str:
    try:
        return f"{name}{inspect.signature(value)}"
    except (TypeError, ValueError):
        return name


def api() -> str:
    """The page of the Python interface."""
    homes: dict[str, str] = getattr(gossipfl, "HOMES", {})
    parts = ["\n## gossipfl\n"] * bool(homes)
    parts += [member(name, getattr(import_module(home), name)) for name, home in homes.items()]
    for module, names in PARTS.items():
        found = import_module(module)
        parts += [f"\n## {module}\n", text(inspect.getdoc(found) or "")]
        parts += [member(name, getattr(found, name)) for name in names]
    return "\n".join(parts)


def methods() -> str:
    """The page of the methods: formula, papers and conditions of each, and the losses."""
    from gossipfl.models import LOSSES
    from gossipfl.report.algorithms import entries

    parts = ["\n## Algorithms\n"]
    for one in entries():
        told = {
            "formula": one.formula,
            "about": one.about,
            "links": one.links,
            "sends": one.sends,
            "papers": one.papers,
        }
        lines = "\n\n".join(f"{key}: {value}" for key, value in told.items() if value)
        parts += [f"### {one.name}\n", f"{one.summary}\n", text(lines)]
    parts.append("\n## Losses\n")
    for name, loss in LOSSES.items():
        parts += [f"### model.kind = {name}\n", text(inspect.getdoc(loss) or "")]
    return "\n".join(parts)


FILLED = {"api": api, "methods": methods}


def fill(_: Any, page: str, source: list[str]) -> None:
    """Fill a generated page; on all pages, files outside of docs/ are named, not linked."""
    source[0] = re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", r"\1 (`\2`)", source[0])
    if page in FILLED:
        source[0] += FILLED[page]()


def setup(app: Any) -> None:
    app.connect("source-read", fill)
