"""First steps: a data file alone is enough, and each choice for it is said."""

import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from commands import gossipfl
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gossipfl.config.draft import draft
from gossipfl.config.file import load, parse
from gossipfl.errors import BadData, BadExperiment

ROOT = Path(__file__).parents[2]


def table(rows: int = 120) -> pd.DataFrame:
    r = np.random.default_rng(3)
    size, town = r.normal(80, 20, rows), r.choice(["oslo", "lyon", "bern"], rows)
    price = 3 * size + 50 * (town == "oslo") + r.normal(0, 5, rows)
    return pd.DataFrame(
        {"size": size, "town": town, "note": [f"text {i}" for i in range(rows)], "price": price}
    )


def holed(f: pd.DataFrame, *names: str) -> pd.DataFrame:
    return f.assign(**{name: f[name].mask(f.index < 9) for name in names})


CASES = {
    "whole": (lambda f: f, "linear", None),
    "words are classes": (lambda f: f.assign(price=f["town"]), "softmax", None),
    "two values are classes": (lambda f: f.assign(price=f["price"] > 250), "logistic", None),
    "numbers": (lambda f: f.assign(size=f["size"].mask(f.index == 3)), "linear", "median"),
    "categories": (lambda f: f.assign(town=f["town"].mask(f.index < 9)), "linear", "level"),
    "few values": (lambda f: holed(f.assign(size=f.index % 3), "size", "town"), "linear", "mode"),
    "both": (lambda f: holed(f, "size", "town"), "linear", "drop"),
    "the target": (lambda f: f.assign(price=f["price"].mask(f.index < 9)), "linear", "drop"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_draft_fits_the_file(case: str, tmp_path: Path) -> None:
    change, kind, missing = CASES[case]
    change(table()).to_csv(tmp_path / "my.csv", index=case != "whole")
    made = draft("my.csv", "price", None, tmp_path)
    assert made.raw["model"]["kind"] == kind
    assert made.raw["data"].get("missing") == missing
    assert made.raw["data"]["categorical"] == ["town"]
    assert made.raw["data"]["drop"][-1] == "note", "each row has another word"
    assert len(made.sentences) == len(made.why)
    (tmp_path / "my.toml").write_text(made.toml("mine"))
    assert load(tmp_path / "my.toml").model_dump(include={"model"})["model"]["kind"] == kind
    assert gossipfl("data", "describe", tmp_path / "my.toml").code == 0


def chosen(
    folder: Path, f: pd.DataFrame, more: dict[str, object] | None = None, **how: Any
) -> dict[str, Any]:
    """The [data] of a draft for a file with these rows."""
    f.to_csv(folder / "my.csv", index=False, **how)
    made = draft("my.csv", "price", "ring:4", folder, more or {})
    parse(made.raw)
    return made.sections["data"]


def test_decimal_commas_are_seen(tmp_path: Path) -> None:
    for how in ({"sep": ";"}, {"sep": ","}):
        assert chosen(tmp_path, table(), decimal=",", **how)["decimal"] == ","
    thousands = table().assign(size=[f"{i + 1},{i + 100}" for i in range(120)])
    assert "decimal" not in chosen(tmp_path, thousands[:20], sep=";"), "1,234 may be 1.234 or 1234"
    with pytest.raises(
        BadData, match=r"seems to hold numbers, but has '1,100' in row 1: write plain numbers"
    ):
        chosen(tmp_path, thousands, sep=";")


@pytest.mark.parametrize("word", ["-", "<5", "12%"])
def test_numbers_with_some_words_are_no_categories(word: str, tmp_path: Path) -> None:
    f = table().astype({"size": object})
    f.loc[7, "size"] = word
    with pytest.raises(
        BadData, match=f'column "size" seems to hold numbers, but has {word!r} in row 8: '
    ) as error:
        chosen(tmp_path, f)
    assert ("missing_words" in str(error.value)) == (word == "-")
    kept = chosen(tmp_path, f, {"data": {"missing_words": [word]}})
    assert (kept["missing"], kept["categorical"]) == ("median", ["town"])
    assert chosen(tmp_path, f, {"data": {"drop": ["size"]}})["drop"] == ["size", "note"]
    assert chosen(tmp_path, f, {"data": {"categorical": ["size"]}})["categorical"] == ["size", "town"]


def test_codes_are_no_numbers(tmp_path: Path) -> None:
    """As the id of a row, and as a target of many classes."""
    codes = [f"{i:03}" for i in range(120)]
    assert chosen(tmp_path, table().assign(patient_id=codes))["drop"] == ["note", "patient_id"]
    table().assign(price=codes).to_csv(tmp_path / "my.csv", index=False)
    with pytest.raises(BadData, match="has 120 different words, such as '000' in row 1"):
        draft("my.csv", "price", None, tmp_path)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"stop": 5}, "stop"),
        ({"data": {"drop": "note"}}, r'data.drop is a list of columns: write data.drop = \["note"\]'),
    ],
)
def test_what_is_no_section_and_no_list_is_refused(
    given: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BadExperiment, match=sentence):
        parse(chosen(tmp_path, table(), given) and draft("my.csv", "price", None, tmp_path, given).raw)


def test_a_draft_has_a_tolerance_where_peers_can_agree(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "my.csv")
    for kind, settles in {"newton": True, "gossip-learning": False, "mine.py:Own": True}.items():
        stop = draft("my.csv", "price", None, tmp_path, {"algorithm": {"kind": kind}}).raw.get("stop", {})
        assert ("tolerance" in stop) == settles


def test_a_draft_leaves_what_is_given_and_what_is_no_feature(tmp_path: Path) -> None:
    when = pd.date_range("2024-01-01", periods=120).strftime("%d.%m.%Y")
    f = table().assign(patient_id=range(7, 127), when=when, weight=1.0)
    given = {
        "data": {"row_weights": "weight", "partition": {"scheme": "column", "name": "town"}},
        "model": {"l2": 0.5},
    }
    data = chosen(tmp_path, f, given)
    assert data["drop"] == ["note", "patient_id", "when"]
    assert "categorical" not in data
    made = draft("my.csv", "price", None, tmp_path, {"name": "mine", **given})
    assert (made.raw["name"], made.raw["model"]) == ("mine", {"l2": 0.5, "kind": "linear"})
    told = " ".join(made.sentences)
    assert (
        '"note" (120 different words), "patient_id" (another number in each row), "when" (120 different dates'
        in told
    )
    assert "l2" not in told, "no choice was made"


def test_from_a_csv_file_to_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The topology of one's own is relative to where one is; the run can be repeated from its folder."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    table().to_csv("data/my.csv", index=False)
    Path("links.edgelist").write_text("a b\nb c\nc d\n")
    said = gossipfl(
        "simulate", "data/my.csv", "--target", "price", "--topology", "links.edgelist", "--out", "run", "-q"
    )
    assert said.code == 0, said.err
    told = gossipfl(
        "simulate", "run/config.toml", "--format", "json", "-s", "model.l2=0.5", "--out", "again"
    ).json
    assert (told["peers"], told["name"], "chosen" in told) == (4, "my", False)
    chosen = gossipfl(
        "simulate",
        "data/my.csv",
        "--target",
        "price",
        "--topology",
        "ring:4",
        "--format",
        "json",
        "-s",
        "l2=0.5",
    )
    assert any("categorical" in one for one in chosen.json["chosen"])
    assert gossipfl("predict", "run", "data/my.csv", "--out", "out.csv").code == 0
    assert len(pd.read_csv("out.csv")) == 120
    for name in ("out.csv.gz", "out.csv.zip"):
        assert gossipfl("predict", "run", "data/my.csv", "--out", name).code == 0
        assert pd.read_csv(name).equals(pd.read_csv("out.csv")), "compressed as the name says"
    assert "is data, and no experiment file: gossipfl init" in gossipfl("data", "describe", "data/my.csv").err
    refused = gossipfl("simulate", "data/my.csv")
    assert refused.code == 3
    assert "--target COLUMN; it has 'size', 'town', 'note', 'price'" in refused.err


def test_init_writes_a_file_with_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table().to_csv("my.csv", index=False)
    Path("links.edgelist").write_text("a b\nb c\nc d\n")
    assert gossipfl("init", "my.csv", "--topology", "links.edgelist").code == 0
    text = Path("my.toml").read_text()
    told = tomllib.loads(text)
    assert (told["data"]["target"], told["topology"]["graph"]) == ("price", "links.edgelist")
    assert "# columns with words" in text
    assert gossipfl("config", "check", "my.toml").code == 0
    assert gossipfl("init", "my.csv").code == 3, "never overwrites"


def test_examples_and_topologies_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listed = gossipfl("examples", "--format", "json").json
    assert "torus-4x4.json" in listed["topologies"]
    for name in ("ridge", "hospitals", "torus-4x4.json"):
        assert gossipfl("examples", "copy", name).code == 0
    assert {file.name for file in tmp_path.iterdir()} == {
        "ridge.toml",
        "hospitals.toml",
        "hospitals.json",
        "torus-4x4.json",
    }
    assert gossipfl("config", "check", "ridge.toml", "-s", "topology.graph=torus-4x4.json").code == 0
    assert gossipfl("examples", "copy").code == 2


def wheel(folder: Path) -> Path:
    """The wheel of the files of this checkout."""
    subprocess.run(["git", "-C", ROOT, "checkout-index", "-a", f"--prefix={folder}/src/"], check=True)
    words = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, folder / "src"]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


def needed(requires: list[str], found: dict[str, Distribution]) -> dict[str, Distribution]:
    """The installed packages that these requirements name, and those that they need, without extras."""
    for one in map(Requirement, requires):
        name = canonicalize_name(one.name)
        if (one.marker is None or one.marker.evaluate({"extra": ""})) and name not in found:
            found[name] = distribution(one.name)
            assert one.specifier.contains(found[name].version), one
            needed(found[name].requires or [], found)
    return found


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(tmp_path: Path) -> None:
    """In an environment with the wheel, and links to the packages that its metadata ask for, and no others."""
    venv.create(tmp_path / "empty", symlinks=True, with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    (site,) = (tmp_path / "empty" / "lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel(tmp_path)) as archive:
        archive.extractall(site)
    (metadata,) = site.glob("gossipfl-*.dist-info")
    for one in needed(Distribution.at(metadata).requires or [], {}).values():
        for top in {file.parts[0] for file in one.files or () if file.parts[0] not in ("..", "__pycache__")}:
            (site / top).symlink_to(one.locate_file(top))

    def run(*words: str) -> str:
        done = subprocess.run(
            [python, *words], cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    code = (
        "import gossipfl as gf; model = gf.GossipClassifier; print(gf.__file__)\n"
        'print(gf.simulate("breast_cancer", topology="ring:3", l2=0.1).verdict)'
    )
    told = run("-c", code)
    assert told.startswith(str(site))
    assert "hold one model" in told
    assert "the 16 peers hold one model" in run("-m", "gossipfl", "demo")
    for name in ("ridge", "er-32.gml"):
        run("-m", "gossipfl", "examples", "copy", name)
    few = ["-s", "topology.graph=er-32.gml", "-s", "stop.rounds=5", "-s", "stop.tolerance=0"]
    assert "32 peers" in run("-m", "gossipfl", "simulate", "ridge.toml", *few)
