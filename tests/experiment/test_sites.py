"""Sites whose files were written by different programs: the same columns in another order, a level less, a column more."""

import json
import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import gossipfl, started
from ports import free_ports
from runs import carry_out
from safetensors.numpy import load_file

from gossipfl.config.file import dump, load, parse
from gossipfl.experiment.learning.tables import own_table, tables
from gossipfl.experiment.live.alone import endpoints, peer
from gossipfl.experiment.live.reread import Reread
from gossipfl.experiment.study.make import study

SITES = ["a", "b", "c"]


def world(folder: Path, **data) -> dict:
    """An experiment over three files; the topology has their endpoints."""
    rng, ports = np.random.default_rng(3), free_ports(3)
    for k, name in enumerate(SITES):
        stage = rng.choice(["I", "II", "None"][: 2 if name == "b" else 3], 40)
        frame = pd.DataFrame({"age": rng.normal(size=40) + k / 2, "stage": stage, "bmi": rng.normal(size=40)})
        logit = frame["age"] - 2 * (stage == "II") + rng.logistic(size=40)
        frame["state"] = np.where(logit > 0, "disease", "healthy")
        frame[list(np.roll(frame.columns, k))].to_csv(folder / f"{name}.csv", index=False)
    places = "".join(
        f"[peers.{n}]\nendpoint = 'tcp://127.0.0.1:{p}'\n" for n, p in zip(SITES, ports, strict=True)
    )
    (folder / "sites.toml").write_text(f"edges = [['a', 'b'], ['b', 'c']]\n{places}")
    (folder / "data").mkdir()
    for name in SITES:
        (folder / f"{name}.csv").rename(folder / "data" / f"{name}.csv")
    told = {
        "source": str(folder / "data"), "target": "state", "test": 0.0, "categorical": ["stage"],
        "missing_words": ["NA"], "positive": "disease",
    }  # fmt: skip
    return {
        "data": told | data,
        "topology": {"graph": str(folder / "sites.toml")},
        "model": {"kind": "logistic", "l2": 0.1},
        "stop": {"rounds": 500, "tolerance": 1e-9},
    }


def alone(raw: dict, folder: Path) -> dict:
    """The reports of peers by hand, each of which reads its own file only."""
    made, reports = study(parse(raw)), {}

    def live(name: str) -> None:
        (folder / f"run-{name}").mkdir()
        table = own_table(made, name, folder / "data" / f"{name}.csv")
        reports[name] = peer(
            made, name, table, folder / f"run-{name}", endpoints(made, name), lambda *_: None
        )

    threads = [threading.Thread(target=live, args=(name,)) for name in SITES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


def test_peers_match_columns_by_name_whatever_the_order_of_their_files(tmp_path):
    raw = world(tmp_path)
    summary, _ = carry_out("simulator", raw | {"reference": True}, tmp_path / "simulated")
    assert summary["distance_to_optimum"] < 1e-10
    best = load_file(tmp_path / "simulated" / "model.safetensors")["x"]
    reports = alone(raw, tmp_path)
    assert {report.stopped for report in reports.values()} == {"tolerance"}
    for name in SITES:
        own = load_file(tmp_path / f"run-{name}" / "peers" / name / "model.safetensors")["x"]
        assert np.linalg.norm(own - best) <= 1e-10 * np.linalg.norm(best)
    told = json.loads((tmp_path / "run-b" / "model.json").read_text())
    assert list(told["coefficients"]) == ["age", "bmi", "stage=II", "stage=None"]
    assert told["classes"] == ["healthy", "disease"]
    assert told["coefficients"]["age"] > 0 > told["coefficients"]["stage=II"]


def test_a_peer_by_hand_has_the_own_model_of_the_simulation(tmp_path):
    """It is chosen from the peer's own rows, and scored on its own test rows, without a message."""
    raw = world(tmp_path, test=0.25)
    raw["model"]["personal"] = True
    summary, _ = carry_out("simulator", raw, tmp_path / "simulated")
    alone(raw, tmp_path)
    for name in SITES:
        told = json.loads((tmp_path / f"run-{name}" / "summary.json").read_text())["personal"]
        assert told["strength"][name] == summary["personal"]["strength"][name]
        assert told["test"]["peers"][name] == pytest.approx(
            summary["personal"]["test"]["peers"][name], rel=1e-9
        )
        one, other = (
            json.loads((tmp_path / run / "peers" / name / "model.json").read_text())
            for run in ("simulated", f"run-{name}")
        )
        assert other["coefficients"] == pytest.approx(one["coefficients"], rel=1e-8)
        assert other["intercept"] == pytest.approx(one["intercept"], rel=1e-8)


def test_a_column_that_one_site_has_is_named_at_all_of_them_and_can_be_dropped(tmp_path):
    raw = world(tmp_path)
    file = tmp_path / "data" / "b.csv"
    frame = pd.read_csv(file, keep_default_na=False).assign(note=1.0)
    frame.to_csv(file, index=False)
    reports = alone(raw, tmp_path)
    for report in reports.values():
        assert report.exit_code == 4
        assert (
            "column 'note' is at b, but not at a, c. Leave columns out with drop = [\"note\"]" in report.error
        )
    raw["data"]["drop"] = ["note"]
    deep = tmp_path / "again"
    deep.mkdir()
    (deep / "data").symlink_to(tmp_path / "data")
    assert {report.stopped for report in alone(raw, deep).values()} == {"tolerance"}


def test_files_that_gain_peers_under_a_divided_source_are_refused(tmp_path):
    (tmp_path / "rows.csv").write_text("u,y\n" + "".join(f"{i},{i % 7}\n" for i in range(60)))
    graph = tmp_path / "sites.toml"

    def write(edges: str, names: str) -> None:
        graph.write_text(
            f"edges = {edges}\n"
            + "".join(f"[peers.{n}]\nendpoint = 'tcp://127.0.0.1:{5600 + i}'\n" for i, n in enumerate(names))
        )

    write('[["a", "b"], ["b", "c"]]', "abc")
    raw = {
        "data": {"source": str(tmp_path / "rows.csv"), "target": "y"},
        "topology": {"graph": str(graph)},
        "model": {"kind": "linear"},
    }
    made, own = study(parse(raw), divided=True), study(parse(raw))
    warnings: list[str] = []
    reads = [Reread(one, "a", lambda now: endpoints(now, "a"), warnings.append) for one in (made, own)]
    write('[["a", "b"], ["b", "c"], ["c", "new"]]', "abc" + "n")
    graph.write_text(graph.read_text().replace("[peers.n]", "[peers.new]"))
    changes = []
    for read in reads:
        read.ask()
        changes.append(read())
    assert changes[0] is None
    assert changes[1] is not None
    (warning,) = warnings
    assert "new would hold rows that other peers hold" in warning
    assert "because a, b, c divide one data.source among them: give each peer its own file" in warning
    newcomer = study(parse(raw), divided=True)
    assert newcomer.fingerprint != made.fingerprint, "so the others refuse its messages, too"
    assert study(parse(raw)).fingerprint == own.fingerprint
    write('[["a", "b"], ["b", "c"], ["c", "a"]]', "abc")  # other edges move no row
    reads[0].ask()
    change = reads[0]()
    assert change is not None
    assert change.study.fingerprint == made.fingerprint


def test_the_folder_of_an_experiment_is_no_pattern_and_a_mark_is_no_letter(tmp_path):
    folder = tmp_path / "study [2024] ö"
    folder.mkdir()
    world(folder)
    file, words = (
        folder / "e.toml",
        ["topology.graph=sites.toml", 'missing_words=["NA", -9]', "positive=healthy", "model.l2=0.1"],
    )
    for source in ("data", "data/[abc].csv", "data/*.csv"):
        text = f'\ufeff[data]\nsource = "{source}"\ntarget = "state"\ncategorical = ["stage"]\n'
        file.write_text(text, encoding="utf-8")
        e = load(file, words)
        assert e.data.missing_words == ("NA", "-9")
        assert [len(table) for table in tables(study(e))] == [40, 40, 40]
    said = gossipfl(
        "simulate", file, *(w for word in words for w in ("-s", word)), "--out", tmp_path / "run", "--quiet"
    )
    assert said.code == 0, said.err
    assert json.loads((tmp_path / "run" / "model.json").read_text())["classes"] == ["disease", "healthy"]
    assert load(tmp_path / "run" / "config.toml") == load(file, words)


@pytest.mark.slow  # three processes that begin
def test_three_hospitals_by_the_command_reach_the_pooled_optimum(tmp_path):
    """Columns in another order at each, the level "None" missing at b, and cells missing at a and c."""
    raw = world(tmp_path, missing="level")
    for name in "ac":
        file = tmp_path / "data" / f"{name}.csv"
        frame = pd.read_csv(file, keep_default_na=False)
        frame.loc[::7, "stage"] = ""
        frame.to_csv(file, index=False)
    raw["stop"] |= {"tolerance": 1e-11}
    summary, _ = carry_out("simulator", raw | {"reference": True}, tmp_path / "simulated")
    assert summary["distance_to_optimum"] < 1e-11
    best = load_file(tmp_path / "simulated" / "model.safetensors")["x"]
    raw["data"]["source"] = "nowhere.csv"  # each has its own file only
    (tmp_path / "e.toml").write_text(dump(parse(raw)))
    with ExitStack() as stack:
        commands = {
            name: stack.enter_context(
                started(
                    "peer", str(tmp_path / "e.toml"), name, "--data", str(tmp_path / "data" / f"{name}.csv"),
                    "--out", str(tmp_path / name),
                )
            )
            for name in SITES
        }  # fmt: skip
        told = {name: one.communicate() for name, one in commands.items()}
    for name, one in commands.items():
        assert one.returncode == 0, told[name]
        own = load_file(tmp_path / name / "peers" / name / "model.safetensors")["x"]
        assert np.linalg.norm(own - best) <= 1e-10 * np.linalg.norm(best)
        levels = json.loads((tmp_path / name / "model.json").read_text())["levels"]
        assert levels == {"stage": ["(missing)", "I", "II", "None"]}
