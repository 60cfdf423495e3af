"""data describe and data partition: which peer holds which rows; must not know models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossipfl.cli.options import As, File, Set
from gossipfl.cli.say import error, say
from gossipfl.disk import new_folder, unwritable
from gossipfl.errors import BadExperiment

if TYPE_CHECKING:
    import pandas as pd

    from gossipfl.config.experiment import DataSettings
    from gossipfl.data import Table

app = typer.Typer(help="Show the data of each peer, or write one file per peer.", no_args_is_help=True)


@app.command(
    epilog="""\b
Examples:
  gossipfl data describe demo.toml
  gossipfl data describe hospitals.toml --data va.csv
  gossipfl data describe demo.toml -s 'data.partition={scheme="dirichlet", alpha=0.3}'"""
)
def describe(
    file: File,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="Describe only this file: the rows of one site."),
    ] = None,
    set: Set = None,
    format: As = "text",
) -> int:
    """Show the rows and classes of each peer, and how much the peers differ.

    If learning would refuse the rows, the command says so, with the same sentence and exit code.
    """
    from dataclasses import asdict, replace

    from gossipfl.config.file import load

    experiment = load(file, set or ())
    from gossipfl.data import describe
    from gossipfl.data.clean import holes
    from gossipfl.experiment.learning.check import look
    from gossipfl.experiment.learning.tables import notes
    from gossipfl.experiment.study.make import study
    from gossipfl.report.data import shares

    seen = look(study(experiment), data)
    found = describe(seen.tables, seen.names)
    found = replace(
        found,
        shares=[
            replace(share, missing=holes(raw)) for share, raw in zip(found.shares, seen.raw, strict=True)
        ],
    )
    told, refusal = notes(seen.tables, seen.names), seen.refusal
    known = {"notes": told, "refused": None if refusal is None else str(refusal)}
    say(format, asdict(found) | known, *shares(found), *told)
    if refusal is None:
        return 0
    return refusal.exit_code if format == "json" else error(str(refusal), refusal.exit_code, as_json=False)


@app.command(
    epilog="""\b
Example:
  gossipfl data partition demo.toml --out parts"""
)
def partition(
    file: File,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder for the files.")],
    set: Set = None,
    format: As = "text",
) -> None:
    """Write one CSV file for each peer.

    Each file holds the rows that gossipfl run would give to that peer; a column marks the test rows. The
    command prints the [data] section to use with these files: with it the experiment stays the same.
    """
    import tomli_w

    experiment, names, tables = _tables(file, set)
    if unsafe := [name for name in names if Path(name).name != name]:
        raise BadExperiment(
            f"peer {unsafe[0]!r} has a slash in its name, so no file can have that name: rename it in the topology"
        )
    if out.exists():
        raise BadExperiment(
            f"--out {out} exists already: choose a new folder, which will hold only the files of the peers"
        )
    target, test = _free("target", tables[0].columns), _free("test", tables[0].columns)
    try:
        with new_folder(out):
            for name, table in zip(names, tables, strict=True):
                _frame(table, target, test, experiment.data).to_csv(out / f"{name}.csv", index=False)
    except OSError as why:
        raise unwritable(f"cannot write to --out {out}", why) from None
    old = experiment.data
    section: dict[str, Any] = {"source": str(out.absolute()), "target": target, "test": test}
    holes = old.missing in ("mean", "median", "mode")  # the peers fill them in when they learn
    section |= {"standardise": old.standardise} | (
        {"missing": old.missing} if holes else {"missing_words": []}
    )
    section |= {"categorical": list(old.categorical)} if old.categorical else {}
    section |= old.model_dump(include={"positive", "row_weights", "offset"}, exclude_none=True)
    written = tomli_w.dumps({"data": section})
    rows = sum(map(len, tables))
    told = f"wrote {len(names)} files with {rows} rows in total to {out}. Use this data section with them:\n"
    say(
        format,
        {"folder": str(out), "files": [f"{name}.csv" for name in names], "data": section},
        told,
        written.rstrip(),
    )


def _tables(file: Path, set: list[str] | None) -> tuple[Any, list[str], "list[Table]"]:
    """The experiment, the names of the peers, and their rows."""
    from gossipfl.config.file import load

    experiment = load(file, set or ())
    from gossipfl.experiment.learning.tables import tables
    from gossipfl.experiment.study.make import study

    made = study(experiment)
    return experiment, made.names, tables(made)


def _frame(table: "Table", target: str, test: str, data: "DataSettings") -> "pd.DataFrame":
    import pandas as pd

    features = table.features
    numbers = ((data.row_weights, table.weights), (data.offset, table.offset))
    aside = {str(name): values for name, values in numbers if values is not None}
    if not isinstance(features, pd.DataFrame):
        features = pd.DataFrame(features.toarray(), columns=list(table.columns), index=table.target.index)
    return features.assign(**aside, **{target: table.target, test: table.test.astype(int)})


def _free(name: str, taken: tuple[str, ...]) -> str:
    """The name, with underscores added until no feature has the same name."""
    while name in taken:
        name += "_"
    return name
