"""The algorithms that there are; must not know how they work."""

from typing import Annotated

import typer

from gossipfl.cli.options import As
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

EXAMPLES = """\b
Examples:
  gossipfl algorithms
  gossipfl algorithms push-pull"""


def algorithms(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Which one to explain; all are listed without.")
    ] = None,
    format: As = "text",
) -> None:
    """List the algorithms, or explain one: formula, what is sent, on which links it is right, and the papers."""
    from rich.text import Text

    from gossipfl.report.algorithms import as_json, entries
    from gossipfl.report.tables import plain

    if name is None:
        hint = "d is the number of parameters; gossipfl algorithms NAME tells the formula and the papers"
        rows = [(e.name, e.sends, "yes" if e.exact else "no", e.links, e.summary) for e in entries()]
        table = plain(("algorithm", "sends", "exact", "links", "in short"), rows)
        say(format, as_json(), table, hint)
        return
    found = {entry.name: entry for entry in entries()}
    if name not in found:
        raise BadExperiment(f"there is no algorithm {name}; there are {', '.join(found)}")
    entry = found[name]
    parts = [
        (entry.name, entry.summary),
        ("formula", entry.formula),
        ("about", entry.about),
        ("sends", entry.sends),
    ]
    parts += [("links", entry.links), ("exact", "yes" if entry.exact else "no"), ("papers", entry.papers)]
    shown = Text("\n").join(Text.assemble((f"{title + '  ':10}", "bold"), text) for title, text in parts)
    say(format, as_json()["algorithms"][name], shown)
