"""A finished linear model as an ONNX graph in double precision; must not know who runs it.

Inputs, each (rows, 1), named like the columns: double for numbers, string for categorical columns (levels as in model.json).
NaN, "" and the missing words count as missing; 1.0 is the level 1, and True is TRUE. Outputs: "prediction" (rows,), the class
or the number, and for classes "probability" (rows, classes), or "margin" (rows, 1) where the model has no probabilities. A row
without a prediction has "" for its class, and NaN otherwise.

The standard operators for imputing, scaling and linear models compute in single precision; these here do not.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from gossipfl.data.clean import LEVEL
from gossipfl.data.names import FALSE, TRUE, text
from gossipfl.trained.model import LinearModel

OPSETS = {"": 17, "ai.onnx.ml": 2}
IR = 8  # of 2022, so that older runtimes read it
GONE, FIRST = -1, 0  # codes of a missing value that nothing replaces, and of the first level


class Graph:
    """Nodes and constants, with a name for each value."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, values: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(
        self, operator: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any
    ) -> str:
        name = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name


def to_onnx(model: LinearModel) -> ModelProto:
    """The model as an ONNX graph; see the module for its inputs and outputs."""
    graph, schema = Graph(), model.schema
    parts, lost = [], []
    for name in schema.columns:
        if name in schema.levels:
            shown, gone = _categorical(graph, model, name)
            parts += shown
            lost += gone
        else:
            parts.append(_number(graph, model, name))
    x = graph.add("Concat", *parts, axis=1)
    if model.scale is not None:
        x = graph.add("Sub", x, graph.constant(model.scale.mean[None]))
        x = graph.add("Div", x, graph.constant(model.scale.deviation[None]))
    z = graph.add(
        "Add",
        graph.add("MatMul", x, graph.constant(model.coefficients)),
        graph.constant(model.intercept[None]),
    )
    for term in [*lost, *([model.wanted.offset] if model.wanted.offset else [])]:
        z = graph.add("Add", z, term)
    outputs = _classes(graph, model, z) if model.classes else _numbers(graph, model, z)
    inputs = [
        helper.make_tensor_value_info(
            name, TensorProto.STRING if name in schema.levels else TensorProto.DOUBLE, ["rows", 1]
        )
        for name in model.wanted.columns
    ]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "gossipfl", inputs, outputs, graph.constants),
        producer_name="gossipfl", ir_version=IR,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
    )  # fmt: skip
    told = {
        "formula": model.formula,
        "target": model.wanted.target or "",
        "classes": "\n".join(model.classes),
    }
    helper.set_model_props(made, told)
    checker.check_model(made, full_check=True)
    return made


def _number(graph: Graph, model: LinearModel, name: str) -> str:
    fill = model.schema.fill.get(name)
    if fill is None:
        return name
    return graph.add(
        "Where", graph.add("IsNaN", name), graph.constant(np.array([[fill]], dtype=np.float64)), name
    )


def _categorical(graph: Graph, model: LinearModel, name: str) -> tuple[list[str], list[str]]:
    """The one-hot columns of a categorical column, and what makes the margin NaN where the value is missing."""
    levels, fill = model.schema.levels[name], model.schema.fill.get(name)
    place = {level: code for code, level in enumerate(levels)}
    gone = GONE if fill is None else place[text(fill)]
    if model.wanted.level:
        gone = place.get(LEVEL, FIRST)
    keys = {other: code for level, code in place.items() for other in _spellings(level)} | place
    keys |= {word: gone for word in ("", *model.wanted.missing) if word not in place}
    codes = graph.add(
        "LabelEncoder",
        name,
        domain="ai.onnx.ml",
        keys_strings=[*keys],
        values_int64s=[*keys.values()],
        default_int64=FIRST,
    )
    one = graph.add("Equal", codes, graph.constant(np.arange(1, len(levels), dtype=np.int64)[None]))
    shown = [graph.add("Cast", one, to=TensorProto.DOUBLE)] if len(levels) > 1 else []
    if gone != GONE:
        return shown, []
    absent = graph.add("Equal", codes, graph.constant(np.array([[GONE]], dtype=np.int64)))
    return shown, [
        graph.add("Where", absent, graph.constant(np.array([[np.nan]])), graph.constant(np.array([[0.0]])))
    ]


def _spellings(level: str) -> tuple[str, ...]:
    """How programs write a level that is a whole number or a truth value."""
    if level in (TRUE, FALSE):
        return level.lower(), level.capitalize()
    return (f"{level}.0",) if re.fullmatch(r"0|-?[1-9]\d*", level) else ()


def _numbers(graph: Graph, model: LinearModel, z: str) -> Sequence[Any]:
    if model.link == "exp":
        z = graph.add("Exp", z)
    graph.add("Squeeze", z, graph.constant(np.array([1], dtype=np.int64)), output="prediction")
    return [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, ["rows"])]


def _classes(graph: Graph, model: LinearModel, z: str) -> Sequence[Any]:
    one = graph.constant(np.array([[1.0]]))
    name, width, ranked = "probability", len(model.classes), z
    if model.link == "softmax":
        graph.add("Softmax", z, axis=1, output=name)
    else:
        ranked = graph.add("Concat", graph.add("Neg", z), z, axis=1)
        if model.link == "logit":  # 1 / (1 + exp(-z)), exact for both classes
            odds = graph.add("Exp", graph.add("Neg", ranked))
            graph.add("Reciprocal", graph.add("Add", odds, one), output=name)
        else:
            name, width = "margin", 1
            graph.add("Identity", z, output=name)
    best = graph.add("ArgMax", ranked, axis=1, keepdims=0)  # the first of equal margins wins
    unknown = graph.add("Cast", graph.add("IsNaN", z), to=TensorProto.INT64)
    unknown = graph.add("Cast", graph.add("ReduceMax", unknown, axes=[1], keepdims=0), to=TensorProto.BOOL)
    none = graph.constant(np.array([len(model.classes)], dtype=np.int64))
    named = graph.constant(np.array([*model.classes, ""], dtype=object))
    graph.add("Gather", named, graph.add("Where", unknown, none, best), output="prediction")
    return [
        helper.make_tensor_value_info("prediction", TensorProto.STRING, ["rows"]),
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["rows", width]),
    ]
