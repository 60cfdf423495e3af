"""The documentation site: sphinx-build -W docs OUT. Pages are Markdown; two are filled from the docstrings of the code."""

import inspect
import re
import textwrap
from functools import cached_property
from importlib import import_module
from typing import Any

import gossipfl

project, author, copyright = "gossipfl", "the authors of gossipfl", "the authors of gossipfl"
version = release = gossipfl.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "gossipfl"
html_static_path, html_css_files = ["_static"], ["wide.css"]
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
    "gossipfl.algorithms": ("Iterate",),
    "gossipfl.testing": ("laws",),
    "gossipfl.errors": ("BadExperiment", "BadData", "NetworkError"),
}


def text(words: str) -> str:
    """Words as they are: docstrings have signs of mathematics that no markup should read."""
    return f"```text\n{words.strip()}\n```\n"


def member(name: str, value: Any) -> str:
    """A public name with its signature and docstring, and those of its public methods and properties."""
    parts = [f"### {name}\n", _call(name, value), prose(inspect.getdoc(value) or "")]
    for key, one in vars(value).items() if inspect.isclass(value) else ():
        if key[0] == "_":
            continue
        plain = getattr(
            one, "__func__", getattr(one, "fn", one)
        )  # of class methods, and of scikit-learn's optional ones
        if isinstance(plain, property | cached_property):
            parts.append(f"`{name}.{key}`\n\n{prose(inspect.getdoc(plain) or '')}")
        elif inspect.isfunction(plain) and plain.__doc__:
            parts += [_call(f"{name}.{key}", plain), prose(inspect.getdoc(plain) or "")]
    return "\n".join(parts)


def _call(name: str, value: Any) -> str:
    """The signature as a block, without the types, which are long when they are resolved."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return f"```python\n{name}\n```\n"
    plain = [one.replace(annotation=one.empty) for one in found.parameters.values() if one.name != "self"]
    words = f"{name}{found.replace(parameters=plain, return_annotation=found.empty)}"
    lines = textwrap.wrap(words, 80, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "```python\n" + "\n".join(lines) + "\n```\n"


def prose(doc: str) -> str:
    """A docstring as Markdown: sections become lists, examples and formulas blocks, and all other signs stay as they are."""
    parts, section = [], False
    for paragraph in re.split(r"\n\s*\n", doc):
        lines = paragraph.split("\n")
        if re.fullmatch(r"[A-Z][a-z]+:", lines[0]):
            parts.append(f"**{lines[0][:-1]}**")
            lines, section = lines[1:], True
        if lines and lines[0].startswith(">>>"):
            parts.append("```python\n" + "\n".join(lines) + "\n```")
        elif section and all(line.startswith("    ") for line in lines):
            items = re.split(r"\n(?!    )", textwrap.dedent("\n".join(lines)))
            parts.append("\n".join(f"- {_plain(' '.join(item.split()))}" for item in items))
        elif all(line.startswith("    ") for line in lines):
            parts.append(text(textwrap.dedent("\n".join(lines))))
        else:
            parts.append(_plain("\n".join(lines)))
    return "\n\n".join(parts) + "\n"


def _plain(words: str) -> str:
    """Words in which Markdown reads nothing but `code`."""
    pieces = re.split(r"(`[^`]*`)", words)
    return "".join(one if one[:1] == "`" else re.sub(r"([\\*_<>\[\]$#|~{}])", r"\\\1", one) for one in pieces)


def api() -> str:
    """The page of the Python interface."""
    homes: dict[str, str] = getattr(gossipfl, "HOMES", {})
    parts = ["\n## gossipfl\n"] * bool(homes)
    parts += [member(name, getattr(import_module(home), name)) for name, home in homes.items()]
    for module, names in PARTS.items():
        found = import_module(module)
        parts += [f"\n## {module}\n", prose(inspect.getdoc(found) or "")]
        parts += [member(name, getattr(found, name)) for name in names]
    return "\n".join(parts)


def methods() -> str:
    """The page of the methods: formula, papers and conditions of each, and the losses."""
    from gossipfl.models import LOSSES
    from gossipfl.report.algorithms import entries

    parts = ["\n## Algorithms\n"]
    for one in entries():
        formula = "\n".join(
            line
            for part in one.formula.split("; ")
            for line in textwrap.wrap(part, 90, subsequent_indent="    ")
        )
        told = {"links": one.links, "sends": one.sends, "papers": one.papers}
        parts += [f"### {one.name}\n", f"{_plain(one.summary)}\n", text(formula), f"{_plain(one.about)}\n"]
        parts.append("\n".join(f"- {key}: {_plain(value)}" for key, value in told.items() if value) + "\n")
    parts.append("\n## Losses\n")
    for name, loss in LOSSES.items():
        parts += [f"### model.kind = {name}\n", prose(inspect.getdoc(loss) or "")]
    return "\n".join(parts)


FILLED = {"api": api, "methods": methods}


def fill(_: Any, page: str, source: list[str]) -> None:
    """Fill a generated page; on all pages, files outside of docs/ are named, not linked."""
    source[0] = re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", r"\1 (`\2`)", source[0])
    if page in FILLED:
        source[0] += FILLED[page]()


def setup(app: Any) -> None:
    app.connect("source-read", fill)
