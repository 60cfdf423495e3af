"""The forms in which a finished model leaves gossipfl, as the bytes of a file; must not know where the file lies."""

import csv
import inspect
import io
import json
from collections.abc import Callable

from gossipfl.errors import BadExperiment
from gossipfl.trained.file import content
from gossipfl.trained.model import LinearModel

_SCRIPT = """

MODEL = json.loads({text!r})

if __name__ == "__main__":
    print(pipeline(MODEL))
"""


def onnx(model: LinearModel) -> bytes:
    """An ONNX file; see `onnx_form`."""
    try:
        from gossipfl.trained.onnx_form import to_onnx
    except ImportError:
        raise BadExperiment("ONNX needs a package more: pip install 'gossipfl[export]'") from None
    found: bytes = to_onnx(model).SerializeToString()
    return found


def sklearn(model: LinearModel) -> bytes:
    """A Python file with a function `pipeline` and the model, MODEL; it needs numpy, pandas and scikit-learn only."""
    from gossipfl.trained import pipeline

    source = inspect.getsource(pipeline)
    head, body = source.split("from typing import Any\n", 1)
    text = json.dumps(content(model), ensure_ascii=True)
    return f"{head}import json\nfrom typing import Any\n{body}{_SCRIPT.format(text=text)}".encode()


def table(model: LinearModel) -> bytes:
    """A CSV file of the coefficients in the units of the raw columns, with the intercept last; a column for each output."""
    slopes, intercept = model.original
    outputs = model.classes if len(intercept) > 1 else ("coefficient",)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["feature", *outputs])
    for name, row in zip(model.schema.features, slopes.tolist(), strict=True):
        writer.writerow([name, *row])
    writer.writerow(["(intercept)", *intercept.tolist()])
    return lines.getvalue().encode()


# the word of --to -> the name of the file, and its content
FORMS: dict[str, tuple[str, Callable[[LinearModel], bytes]]] = {
    "onnx": ("model.onnx", onnx),
    "sklearn": ("model_sklearn.py", sklearn),
    "csv": ("coefficients.csv", table),
}
