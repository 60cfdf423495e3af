"""predict and export: what a finished model says of new rows, and other forms of it; must not know how it was learned."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gossipfl.cli.options import As
from gossipfl.cli.results import find
from gossipfl.cli.say import say
from gossipfl.disk import unwritable, whole
from gossipfl.errors import BadExperiment

if TYPE_CHECKING:
    from gossipfl.trained import LinearModel, Prediction

PREDICT = """\b
Examples:
  gossipfl predict latest new.csv
  gossipfl predict runs/20250131-120000_demo new.csv --out predicted.csv
  gossipfl predict model.json new.csv --format json"""
EXPORT = """\b
Examples:
  gossipfl export latest --to onnx
  gossipfl export latest --to sklearn --out my_model.py
  gossipfl export model.json --to csv --out coefficients.csv"""
Which = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run folder, a part of its name under runs/, latest, or a file like model.json."
    ),
]


def predict(
    run: Which,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The new rows, with the columns of the training data.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the predictions to this CSV file, not to stdout."),
    ] = None,
    format: As = "text",
) -> None:
    """Predict the target for new rows with the model of a run.

    Prints one line for each row, in the order of the file: its number, the prediction, and the probability if
    the model has one. It needs the run folder, or its model.json alone, but no training data. If the file has the target, too,
    it also prints how good the predictions are.
    """
    model = read(run)
    if out is not None and out.exists() and Path(file).exists() and out.samefile(file):
        raise BadExperiment(f"--out {out} is the file with the rows: give another name")
    found = model.predict(file)
    frame = found.frame.rename_axis("row")
    frame.index += 1
    told = {"formula": model.formula, "scores": found.scores, "notes": found.notes}
    if out is not None:
        try:
            with whole(out):
                frame.to_csv(out)
        except OSError as why:
            raise unwritable(f"cannot write --out {out}", why) from None
        say(
            format,
            {"written": out, "rows": len(frame)} | told,
            f"wrote {len(frame)} predictions to {out}",
            *_remarks(found),
        )
    elif format == "json":
        # a missing prediction is null
        rows = frame.reset_index().astype(object).where(frame.reset_index().notna(), None).to_dict("records")
        say("json", {"rows": len(frame), "predictions": rows} | told)
    else:
        from gossipfl.report.console import visible

        rows = frame.to_csv()
        typer.echo(visible(rows) if sys.stdout.isatty() else rows, nl=False)
        for line in _remarks(found):
            typer.echo(visible(line), err=True)


def export(
    run: Which,
    to: Annotated[
        Literal["onnx", "sklearn", "csv"],
        typer.Option(
            "--to",
            help="onnx: an ONNX graph in double precision. sklearn: a Python file that makes a scikit-learn pipeline. "
            "csv: the coefficients in the units of the columns.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The file to write. Default: model.onnx, model_sklearn.py or coefficients.csv in the run folder.",
        ),
    ] = None,
    format: As = "text",
) -> None:
    """Write the model of a run in another form.

    All forms have the encoding and standardisation in them: they take rows as they are in your file.
    """
    model = read(run)
    from gossipfl.trained.forms import FORMS

    name, form = FORMS[to]
    if out is None:
        out = (Path(run).parent if run.endswith(".json") else find(run)) / name
    content = form(model)
    try:
        with whole(out):
            out.write_bytes(content)
    except OSError as why:
        raise unwritable(f"cannot write --out {out}", why) from None
    formula = model.original_formula if to == "csv" else model.formula
    say(format, {"written": out, "formula": formula}, f"wrote {out}", formula)


def read(run: str) -> "LinearModel":
    """The model of a run, or in a file. Raises BadExperiment if there is none."""
    path = Path(run) if run.endswith(".json") else find(run)
    from gossipfl.trained import load

    return load(path)


def _remarks(found: "Prediction") -> list[str]:
    """The scores, and what a person should know of the rows."""
    scores = {} if found.scores is None else found.scores
    shown = ", ".join(f"{name} {value:.6g}" for name, value in scores.items() if value is not None)
    return [*([f"scores: {shown}"] if shown else []), *found.notes]
