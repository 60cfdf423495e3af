"""Four hospitals learn one model with no server, and no row of a patient is in what they send."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from runs import carry_out, settings
from tap import Tap

from gossipfl import topology
from gossipfl.config.file import parse
from gossipfl.data import encode
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.live.largest import largest
from gossipfl.experiment.live.process import live
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.study import Study
from gossipfl.peer import ZeroMQ

HOSPITALS = ["cleveland", "hungarian", "switzerland", "va"]


@pytest.fixture
def heart(tmp_path):
    """The FLamby task: see the README of the data."""
    if "GOSSIPFL_DATA" not in os.environ:
        pytest.skip("GOSSIPFL_DATA does not name the folder of the real data sets")
    graph = tmp_path / "hospitals.toml"
    edges = [[a, b] for a, b in zip(HOSPITALS, HOSPITALS[1:] + HOSPITALS[:1], strict=True)]
    graph.write_text("".join(f"[peers.{name}]\n" for name in HOSPITALS))
    graph.write_text(f"edges = {edges!r}\n" + graph.read_text())
    columns = [
        "age",
        "sex",
        "cp",
        "trestbps",
        "chol",
        "fbs",
        "restecg",
        "thalach",
        "exang",
        "oldpeak",
        "slope",
        "ca",
        "thal",
        "num",
    ]
    data = {
        "source": str(Path(os.environ["GOSSIPFL_DATA"]) / "heart_disease" / "processed.*.data"),
        "columns": columns, "drop": ["slope", "ca", "thal"], "target": "num != 0",
        "categorical": ["cp", "restecg"], "missing": "drop", "test": 0.34,
    }  # fmt: skip
    return settings(
        seed=43, data=data, topology__graph=str(graph), model__l2=0.002, stop__rounds=3000, stop__tolerance=1e-8,
        reference=True,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["simulator", "peers"])
def test_four_hospitals_beat_every_published_federated_result(heart, engine, tmp_path):
    summary, _ = carry_out(engine, heart, tmp_path / "run")
    assert list(summary["rows"]) == HOSPITALS
    assert [r["train"] for r in summary["rows"].values()] == [199, 172, 30, 85]
    assert [r["test"] for r in summary["rows"].values()] == [104, 89, 16, 45]
    assert summary["parameters"] == 14
    assert summary["test"]["mean"]["accuracy"] >= 0.795
    assert summary["test"]["all"]["accuracy"] >= 0.79
    assert summary["agreed"]
    assert summary["distance_to_optimum"] < 1e-5


def tapped(made: Study, folder: Path) -> bytes:
    """Run all peers of a study in threads over real sockets, and return every payload that crossed a wire."""
    rows = tables(made)
    peers = [ZeroMQ("tcp://127.0.0.1:*", largest(made, table)) for table in rows]
    taps = [Tap(peer.endpoint) for peer in peers]
    doors = [tap.endpoint for tap in taps]
    reports = {}

    def peer(me):
        own = folder / made.names[me]
        own.mkdir(parents=True)
        near = {made.names.index(n): doors[made.names.index(n)] for n in made.graph[made.names[me]]}
        reports[me] = live(made, me, rows[me], own, peers[me], near, lambda *what: None)

    lives = [threading.Thread(target=peer, args=(me,)) for me in range(len(peers))]
    for thread in lives:
        thread.start()
    for thread in lives:
        thread.join()
    assert [r.error for r in reports.values()] == [""] * len(peers)
    assert all(r.rounds == made.experiment.stop.rounds for r in reports.values())
    for tap in taps:
        tap.close()
    return b"\0".join(tap.sent for tap in taps)


def leaks(made: Study, wire: bytes) -> list[str]:
    """Rows of which three neighbouring values stand side by side on the wire, raw or standardised."""
    from gossipfl.data import Schema, classes, levels

    parts = tables(made)
    categorical = made.experiment.data.categorical
    union: dict[str, set[str]] = {}
    for part in parts:
        for column, found in levels(part, categorical).items():
            union.setdefault(column, set()).update(found)
    schema = Schema.agree(parts[0].columns, union, set().union(*map(classes, parts)))
    raw = [encode(part, schema)[0].x for part in parts]
    everything = np.concatenate(raw)
    mean, deviation = everything.mean(0), everything.std(0)
    found = []
    for name, x in zip(made.names, raw, strict=True):
        for form, values in (("raw", x), ("standardised", (x - mean) / deviation)):
            for i, row in enumerate(values):
                for j in range(0, len(row) - 2, 3):
                    piece = row[j : j + 3]
                    if len(set(piece.tolist())) == 3 and any(  # zeros and ones alone are nobody's secret
                        piece.astype(t).tobytes() in wire for t in (np.float64, np.float32)
                    ):
                        found.append(f"{name} row {i} columns {j}..{j + 2} {form}")
    return found


def test_the_tap_would_notice_a_row(tmp_path):
    made = study(parse(settings(data__test=0.0, topology__graph="ring:4")))
    x = encode(tables(made)[2], _schema(made))[0].x
    assert leaks(made, b"..." + x[5].tobytes() + b"...")


def _schema(made):
    from gossipfl.data import Schema, classes

    parts = tables(made)
    return Schema.agree(parts[0].columns, {}, set().union(*map(classes, parts)))


@pytest.mark.parametrize("algorithm", ["exact-diffusion", "gradient-tracking"])
def test_no_row_is_in_what_is_sent(algorithm, tmp_path):
    made = study(parse(settings(topology__graph="ring:4", algorithm__kind=algorithm, stop__rounds=20)))
    wire = tapped(made, tmp_path)
    assert len(wire) > 4 * 2 * 20 * 31 * 8
    assert leaks(made, wire) == []


def test_no_patient_is_in_what_is_sent(heart, tmp_path):
    heart["stop"] = {"rounds": 50}
    heart["reference"] = False
    made = study(parse(heart))
    assert leaks(made, tapped(made, tmp_path)) == []


def test_small_hospitals_are_refused_gossiped_standardisation(tmp_path):
    from gossipfl.errors import BadData

    raw = settings(data__partition={"scheme": "iid"}, data__test=0.0, topology__graph="ring:128")
    with pytest.raises(BadData, match=r"reveal the rows.*local"):
        carry_out("simulator", raw, tmp_path / "run")


def test_the_shipped_topology_names_the_hospitals():
    graph = topology.load(Path(__file__).parents[2] / "topologies" / "hospitals.toml")
    assert len(graph) == 4
    assert all("endpoint" in graph.nodes[name] for name in graph)
