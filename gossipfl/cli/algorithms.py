"""The algorithms that there are; must not know how they work."""

from typing import TYPE_CHECKING, Annotated

import typer

from gossipfl.cli.options import As
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

if TYPE_CHECKING:
    from rich.text import Text

EXAMPLES = """\b
Examples:
  gossipfl algorithms
  gossipfl algorithms push-pull
  gossipfl algorithms beer"""


def algorithms(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Which one to explain; all are listed without.")
    ] = None,
    format: As = "text",
) -> None:
    """List the algorithms, or explain one: formula, what is sent, on which links it is right, and the papers."""
    if name is not None:
        _explain(name.lower(), format)
        return
    from gossipfl.report.algorithms import as_json, entries
    from gossipfl.report.tables import plain

    hint = (
        "d is the number of parameters. Write a name as algorithm.kind; auto, the default, chooses one.\n"
        "gossipfl algorithms NAME explains one: formula, keys and papers"
    )
    rows = [(e.name, e.sends, "yes" if e.exact else "no", e.links, e.summary) for e in entries()]
    say(format, as_json(), plain(("algorithm", "sends", "exact", "links", "in short"), rows), hint)


def _explain(name: str, format: As) -> None:
    """Print what is known of one. Raises BadExperiment where there is none of that name."""
    from gossipfl.report.algorithms import AUTO, as_json, entries

    if name == "auto":
        say(format, {"about": AUTO}, _parts((name, AUTO)))
        return
    found = {entry.name: entry for entry in entries()}
    if name not in found:
        raise BadExperiment(f"there is no algorithm {name}; there are auto, {', '.join(found)}")
    entry = found[name]
    shown = _parts(
        (entry.name, entry.summary),
        ("formula", entry.formula),
        ("about", entry.about),
        ("sends", entry.sends),
        ("links", entry.links),
        ("exact", "yes" if entry.exact else "no"),
        ("keys", entry.keys or "none"),
        ("papers", entry.papers),
    )
    say(format, as_json()["algorithms"][name], shown)


def _parts(*parts: tuple[str, str]) -> "Text":
    """A line for each, with its title."""
    from rich.text import Text

    return Text("\n").join(Text.assemble((f"{title + '  ':10}", "bold"), text) for title, text in parts)
