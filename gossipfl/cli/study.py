"""study new: the files of a study between sites; must not know how peers learn."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gossipfl.cli.options import As
from gossipfl.cli.say import say
from gossipfl.errors import BadExperiment

app = typer.Typer(help="Prepare a study between several sites.", no_args_is_help=True)

FULL = 6  # sites of which each has a link to each other one


@app.callback()
def study() -> None:
    """Prepare a study between several sites."""


@app.command(
    epilog="""\b
Examples:
  gossipfl study new
  gossipfl study new heart --site oslo=tcp://oslo.example.org:7001 --site tromso --site bodo \\
      --target sick --kind logistic"""
)
def new(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The name of the study. Asked for if left out.")
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            "--site",
            metavar="NAME[=ENDPOINT]",
            help="A site, with the address at which its neighbours reach it. Without one, it opens no port and "
            "connects to its neighbours itself. Repeat for each site.",
        ),
    ] = None,
    target: Annotated[str | None, typer.Option("--target", help="The column to predict.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", help="The model: linear, logistic, softmax, poisson, huber, squared-svm or svm."
        ),
    ] = None,
    categorical: Annotated[
        list[str] | None,
        typer.Option("--categorical", metavar="COLUMN", help="A column with words. Can be repeated."),
    ] = None,
    l2: Annotated[float, typer.Option("--l2", min=0, help="The penalty on squared coefficients.")] = 0.001,
    graph: Annotated[
        str | None,
        typer.Option(
            "--graph",
            metavar="FAMILY",
            help="Who is linked with whom: full, ring, line, star, ... Default: full up to 6 sites, then regular:N:4.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A new folder. Default: NAME.")
    ] = None,
    format: As = "text",
) -> None:
    """Write the experiment, the topology and a page of instructions for each site.

    What is not given is asked for. Then each site makes its keys (gossipfl keys new), the public keys go into the
    topology file, and all sites get the same folder.
    """
    from gossipfl.cli.study_files import Agreed, Site, linked, write

    name = name or _ask("The name of the study")
    sites = [Site.read(text) for text in site or _sites()]
    target = target or _ask("The column to predict")
    kind = kind or _ask("The model (linear, logistic, softmax, poisson, huber, squared-svm, svm)", "logistic")
    edges, left_out = linked(sites, graph or ("full" if len(sites) <= FULL else f"regular:{len(sites)}:4"))
    planned = Agreed(name, tuple(sites), edges, target, kind, tuple(categorical or ()), l2)
    files = write(planned, out or Path(name))
    notes = [f"{a} and {b} have no address, so there is no link between them" for a, b in left_out]
    notes += [f"{planned.plain}, so neighbours can rebuild rows from the messages"] * bool(planned.plain)
    page = files[-1].parent / f"{sites[0].name}.md"
    say(
        format,
        {"files": [str(file) for file in files], "notes": notes},
        *notes,
        f"wrote {', '.join(str(file) for file in files)}",
        f"Next: give all sites this folder; each follows its own page, such as {page}",
    )


def _sites() -> list[str]:
    """Sites as somebody types them, until an empty line."""
    found: list[str] = []
    while answer := _ask(f"Site {len(found) + 1}, as NAME or NAME=tcp://host:port (empty: no more)", ""):
        found.append(answer)
    return found


def _ask(question: str, default: str | None = None) -> str:
    """An answer from the terminal. Raises BadExperiment if there is none to ask."""
    import sys

    if not sys.stdin.isatty():
        _missing()
    answer: str = typer.prompt(question, default=default, show_default=bool(default), err=True)
    return answer.strip()


def _missing() -> NoReturn:
    raise BadExperiment(
        "there is no terminal to ask questions on: give NAME, --site for each site, --target and --kind"
    )
