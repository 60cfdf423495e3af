"""The command as a user runs it, from --help to the comparison of two runs."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import copytree

import pytest
from commands import SMALL, gossipfl, rows, small

from gossipfl.cli import built_in
from gossipfl.config.file import load

HEAVY = ("torch", "sklearn", "networkx", "pandas", "scipy", "zmq", "pydantic", "numpy", "matplotlib")
COMMANDS = [
    (), ("demo",), ("run",), ("simulate",), ("init",), ("predict",), ("export",),
    ("sweep",), ("examples",), ("peer",), ("peer", "check"), ("peer", "status"),
    ("topology", "show"), ("topology", "make"),
    ("topology", "check"), ("topology", "families"), ("topology", "optimise"), ("data", "describe"), ("data", "partition"),
    ("config", "check"), ("config", "schema"), ("results", "ls"), ("results", "show"), ("results", "compare"),
    ("study", "new"), ("metrics",),
]  # fmt: skip
EXAMPLES = sorted(file.stem for file in built_in.HERE.glob("*.toml"))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_has_an_example(command: tuple[str, ...]) -> None:
    said = gossipfl(*command, "--help")
    assert said.code == 0
    assert " ".join(("  gossipfl", *command)) in said.out
    assert max(map(len, said.out.splitlines())) <= 100


def test_help_imports_nothing_heavy() -> None:
    heavy = f"[name for name in {HEAVY} if name in sys.modules]"
    code = f"import sys; from gossipfl.cli import main; main(['--help']); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_computes_nothing_needs_no_torch(tmp_path: Path) -> None:
    """Importing it takes most of a second, and people wait for these commands."""
    commands = [
        *(
            ["config", "check", str(built_in.HERE / f"{name}.toml")]
            for name in ("demo", "ridge", "gossip-learning")
        ),
        ["topology", "show", "ring:16"],
        ["topology", "show", "base:3:12"],
        ["algorithms"],
        ["algorithms", "dp-gd"],
        ["keys", "new", "oslo", "--out", str(tmp_path)],
    ]
    run = f"codes = [main(command) for command in {commands}]"
    code = f"import sys; from gossipfl.cli import main; {run}; print(codes, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{[0] * len(commands)} False"


def test_without_arguments_the_help_is_printed() -> None:
    assert "gossipfl demo" in gossipfl().out
    assert "families" in gossipfl("topology").out
    assert gossipfl("--version").out.startswith("gossipfl ")


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "hospitals"])
def test_examples_run(name: str, tmp_path: Path) -> None:
    """Each example runs for 30 rounds in the simulator."""
    file = tmp_path / "mine.toml"
    assert gossipfl("examples", name, "--out", file).code == 0
    words = ["-s", "stop.rounds=30", "-s", "stop.tolerance=0", "-s", "reference=false"]
    said = gossipfl("simulate", file, *words, "--out", tmp_path / "run", "--format", "json")
    assert said.code == 0, said
    assert said.json["rounds"] == 30
    assert said.json["test"]["all"]


def test_the_hospitals_come_with_their_topology(tmp_path: Path) -> None:
    file = tmp_path / "hospitals.toml"
    assert (
        gossipfl("examples", "hospitals", "--out", file, "--format", "json").json["written"][1]
        == f"{tmp_path}/hospitals.json"
    )
    assert gossipfl("config", "check", file, "--format", "json").json["peers"] == 4
    assert gossipfl("examples", "hospitals", "--out", file).code == 3, "never overwrites"
    folder = tmp_path / "one name for both"
    folder.mkdir()
    assert gossipfl("examples", "hospitals", "--out", folder / "hospitals.json").code == 3
    assert not list(folder.iterdir())


def test_examples_are_listed_and_checked() -> None:
    listed = gossipfl("examples", "--format", "json").json["examples"]
    assert list(listed) == EXAMPLES
    assert all(len(about) > 20 for about in listed.values())
    for name in EXAMPLES:
        assert load(built_in.path(name)).name == name
        assert gossipfl("examples", name).out == built_in.path(name).read_text()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small experiment, and under runs/ a run of it in each engine."""
    folder = tmp_path_factory.mktemp("flow")
    file = small(folder)
    for engine in ("simulate", "run"):
        said = gossipfl(engine, file, "-s", "reference=true", "--out", folder / "runs" / engine)
        assert said.code == 0, said
        assert said.out.splitlines()[0] == f"run folder {folder}/runs/{engine}"
        assert "hold one model" in said.out
        assert "pooled" in said.out
        assert f"Next: gossipfl {'run' if engine == 'simulate' else 'simulate'}" in said.out
    return folder


def test_a_diverged_run_suggests_no_next_command(tmp_path: Path) -> None:
    words = ["-s", "algorithm.kind=exact-diffusion", "-s", "algorithm.step=1e9", "--out", tmp_path / "run"]
    said = gossipfl("simulate", small(tmp_path), *words)
    assert said.code == 6
    assert "Try a smaller algorithm.step" in said.out
    assert "Next:" not in said.out


def test_after_a_run_with_faults_the_simulator_is_suggested_without_them(tmp_path: Path) -> None:
    fault = "faults=[{do='delay',at=600,amount=0.1}]"
    said = gossipfl("run", small(tmp_path), "-s", fault, "--out", tmp_path / "run")
    assert said.code == 0, said
    told = " ".join(said.out.split())
    assert "! the 4 peers hold one model" in told
    assert "; 1 planned fault did not happen: learning ended before it" in told
    assert "config.toml -s 'faults=[]' (in one process, without the faults)" in told
    again = ["-s", "faults=[]", "--out", tmp_path / "again", "--quiet"]
    assert gossipfl("simulate", tmp_path / "run" / "config.toml", *again).code == 0


def test_both_engines_learn_the_same(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)
    found = gossipfl("results", "compare", "simulate", "run", "--format", "json").json
    assert found["distance"] < 1e-12
    assert found["largest_difference"]["feature"] in ("a", "b", "(intercept)")
    assert found["a"]["rounds"] == found["b"]["rounds"]
    told = gossipfl("results", "compare", "simulate", "run").out
    assert "distance between the models" in told
    assert "consensus distance" in told


def test_results_are_found_again(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)
    listed = gossipfl("results", "ls", "--format", "json").json["runs"]
    assert [Path(one["folder"]).name for one in listed] == ["simulate", "run"]
    assert "newton" in gossipfl("results", "ls").out
    for name in ("latest", "run", "runs/run", "ru"):
        assert gossipfl("results", "show", name, "--format", "json").json["engine"] == "peers"
    assert "hold one model" in gossipfl("results", "show", "latest").out
    unclear = gossipfl("results", "show", "u")
    assert unclear.code == 3
    assert "simulate, run" in unclear.err


DAMAGED = {
    "empty": "it is empty",
    "cut": "truncated",
    "list": "Expected `object`, got `array`",
    "foreign": "missing required field `rounds`",
    "words": "Expected `int`, got `str` - at `$.peers`",
}


def test_damaged_runs_are_named_and_the_others_listed(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copytree(runs / "runs" / "simulate", tmp_path / "runs" / "sound")
    whole = (tmp_path / "runs" / "sound" / "summary.json").read_text()
    contents = ("", whole[:-40], "[1, 2]", "{}", whole.replace('"peers": 4', '"peers": "four"'))
    for name, content in zip(DAMAGED, contents, strict=True):
        copytree(runs / "runs" / "simulate", tmp_path / "runs" / name)
        (tmp_path / "runs" / name / "summary.json").write_text(content)
    listed = gossipfl("results", "ls", "--format", "json")
    assert listed.code == 0
    found = {Path(one["folder"]).name: one for one in listed.json["runs"]}
    assert found["sound"]["stopped"] == "tolerance"
    assert found["sound"]["damaged"] is None
    told = " ".join(gossipfl("results", "ls").out.split())
    for name, why in DAMAGED.items():
        assert found[name]["stopped"] is None
        assert why in found[name]["damaged"]
        assert f"✗ runs/{name} is damaged" in told
        for words in (("show", name), ("compare", "sound", name)):
            said = gossipfl("results", *words)
            assert said.code == 3
            assert f"runs/{name} is damaged: its summary.json" in said.err
            assert why in said.err


def test_a_run_can_be_repeated_from_its_folder(runs: Path, tmp_path: Path) -> None:
    config = runs / "runs" / "simulate" / "config.toml"
    said = gossipfl("simulate", config, "--out", tmp_path / "again", "--quiet")
    assert said.code == 0
    assert len(said.out.splitlines()) == 2, "the run folder and the verdict"
    found = gossipfl("results", "compare", runs / "runs" / "simulate", tmp_path / "again", "--format", "json")
    assert found.json["distance"] == 0.0


def test_partitioned_files_give_the_same_model_as_the_source(runs: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    said = gossipfl("data", "partition", runs / "small.toml", "--out", parts)
    assert said.code == 0
    section = tomllib.loads(said.out[said.out.index("[data]") :])["data"]
    assert sorted(path.name for path in parts.iterdir()) == ["0.csv", "1.csv", "2.csv", "3.csv"]
    words = [word for key, value in section.items() for word in ("-s", f"data.{key}={value}")]
    again = tmp_path / "again"
    assert gossipfl("simulate", runs / "small.toml", *words, "--out", again).code == 0
    found = gossipfl("results", "compare", runs / "runs" / "simulate", again, "--format", "json").json
    assert found["distance"] < 1e-12


def test_data_are_described(runs: Path) -> None:
    found = gossipfl("data", "describe", runs / "small.toml", "--format", "json").json
    assert sum(share["train"] + share["test"] for share in found["shares"]) == 60
    told = gossipfl("data", "describe", runs / "small.toml").out
    assert "heterogeneity" in told
    assert "class 1" in told
    numbers = gossipfl("data", "describe", built_in.path("ridge"))
    assert "target mean" in numbers.out


def test_configuration_is_checked(tmp_path: Path) -> None:
    file = small(tmp_path)
    assert gossipfl("config", "check", file).out.startswith("ok")
    found = gossipfl("config", "check", file, "-s", "seed=7", "--format", "json").json
    assert found["experiment"]["seed"] == 7
    assert gossipfl("config", "schema").json["title"] == "Experiment"
    assert '"title": "Experiment"' in gossipfl("config", "schema", "--format", "text").out


def test_topologies_are_shown_made_and_checked(tmp_path: Path) -> None:
    costs = gossipfl("topology", "show", "line:50", "--costs", "--parameters", 31, "--format", "json").json
    assert costs["sums"] | {"messages": 98} == costs["sums"]
    assert (costs["sums"]["exchanges"], costs["sums"]["average"], costs["sums"]["depth"]) == (49, 561, 24)
    agreement, learning = 98 * 49 * 256 + 98 * 62 * 8, 11 * 98 * (7 + 31 + 496) * 8
    assert costs["costs"]["newton, 11 sums"] == {"exchanges": 49 * 13, "bytes": (agreement + learning) / 50}
    assert (
        "49 exchanges along a tree of depth 24, 561 by an exact average"
        in gossipfl("topology", "show", "line:50").out
    )
    assert "push-diging, each round" in gossipfl("topology", "show", "directed-ring:8", "--costs").out
    assert gossipfl("topology", "show", "base:3:12", "--costs").code == 3
    found = gossipfl("topology", "show", "ring:16", "--format", "json").json
    assert (found["peers"], found["edges"], found["diameter"]) == (16, 16, 8)
    assert round(found["weights"]["metropolis"]["rounds"], 1) == 44.2
    for spec in ("torus:3x4", "ring:5", "er:40:0.2", "ws:120:4:0.1", "line:70"):
        picture = tmp_path / f"{spec.replace(':', '-')}.svg"
        assert f"drawn in {picture}" in gossipfl("topology", "show", spec, "--plot", picture).out.replace(
            "\n", ""
        )
        assert picture.read_text().startswith("<?xml")
    made = tmp_path / "made.graphml"
    assert gossipfl("topology", "make", "regular:10:3", made, "--seed", 5).code == 0
    assert gossipfl("topology", "check", made, "--format", "json").json["edges"] == 15
    assert gossipfl("topology", "make", "ring:4", made).code == 3, "never overwrites"
    assert "ws:100:4:0.1" in gossipfl("topology", "families").out, "not an emoji"


def test_weights_are_optimised(tmp_path: Path) -> None:
    file = tmp_path / "fast.json"
    found = gossipfl(
        "topology", "optimise", "star:8", file, "--rule", "fastest-mixing", "--format", "json"
    ).json
    assert round(found["weights"]["fastest-mixing"]["gap"], 5) == round(1 / 7, 5)
    assert found["weight_max"] <= 1
    assert "fastest-mixing" not in gossipfl("topology", "show", file).out
    shown = gossipfl("topology", "show", file, "--weights", "file", "--format", "json").json
    assert shown["weights"] == {"file": found["weights"]["fastest-mixing"]}
    learned = gossipfl(
        "simulate", small(tmp_path), "-s", f"topology.graph={file}", "-s", "topology.weights=file",
        "-s", "stop.rounds=9", "-s", "stop.tolerance=0", "--out", tmp_path / "run", "--format", "json",
    )  # fmt: skip
    assert learned.code == 0, learned
    assert gossipfl("topology", "optimise", "star:8", file).code == 3, "never overwrites"


def test_the_small_experiment_of_the_tests_is_valid(tmp_path: Path) -> None:
    assert load(small(tmp_path, text=SMALL)).stop.rounds == 400


def test_one_file_is_described_and_what_learning_would_refuse_is_found(runs: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.csv"
    site.write_text("a,b,y\n" + "".join(f"{i},{i % 5},1\n" for i in range(9)) + "1,,1\n")
    said = gossipfl("data", "describe", runs / "small.toml", "--data", site)
    assert said.code == 4
    assert "missing values" in said.out, "it is described all the same"
    assert "column 'b' has 1 missing values, first in row 10" in said.err
    dropped = gossipfl("data", "describe", runs / "small.toml", "--data", site, "-s", "data.missing=drop")
    assert dropped.code == 0, "one class is no harm: other sites may have the other"
    assert "site: 1 of 10 rows are left out, as values are missing: 'b' in 1" in dropped.out
    few = gossipfl(
        "data", "describe", runs / "small.toml", "-s", "topology.graph=ring:15", "--format", "json"
    )
    assert few.code == 4
    assert "has 3 training rows" in few.json["refused"]
    three = gossipfl("data", "describe", runs / "small.toml", "-s", "data.target=a")
    assert three.code == 4
    assert 'model.kind = "logistic" needs two classes' in three.err


def test_control_characters_of_files_are_shown_as_escapes(tmp_path: Path) -> None:
    file = small(tmp_path, data=rows().replace("a,", "a\x1b[2J\x07,", 1))
    said = gossipfl("simulate", file, "-s", 'data.target="z"', "--out", tmp_path / "run")
    assert said.code == 4
    assert r"a\x1b[2J\x07" in said.err
    odd = small(tmp_path, data=rows(lambda i: "no\x1b[31m" if i % 2 else "yes\x85"))
    described = gossipfl("data", "describe", odd)
    assert r"class no\x1b[31m" in described.out
    run, one = tmp_path / "run", tmp_path / "run" / "peers" / "o\x1b[2Jslo"
    assert gossipfl("simulate", small(tmp_path), "--out", run).code == 0
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"stopped": "diverged", "lost": ["b\x1b[2J\x85"]}))
    shown = gossipfl("results", "show", run)
    assert r"(b\x1b[2J\x85)" in shown.out
    (run / "summary.json").unlink()
    one.mkdir(parents=True)
    (one / "summary.json").write_text(
        json.dumps({"rounds": 3, "stopped": "interrupted", "error": "c\x1b[2J\x85"})
    )
    status = gossipfl("peer", "status", run)
    assert r"o\x1b[2Jslo failed: c\x1b[2J\x85" in status.out
    told = "".join(part.out + part.err for part in (said, described, shown, status))
    assert not {"\x1b", "\x07", "\x85"} & set(told)


def test_rows_that_are_left_out_are_told_by_peer(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name, hole in (("0", ""), ("1", "1"), ("2", "?"), ("3", "2")):
        text = rows().splitlines()[:21]
        (tmp_path / "data" / f"{name}.csv").write_text(
            "\n".join([text[0], hole + text[1][text[1].index(",") :], *text[2:]])
        )
    file = small(tmp_path)
    words = ["-s", "data.source=data", "-s", "data.missing=drop"]
    for command in ("simulate", "run"):
        said = gossipfl(command, file, *words, "--out", tmp_path / command)
        told = "0, 2: 1 of 20 rows are left out, as values are missing: 'a' in 1"
        assert f"warning: {told}" in said.out
        assert json.loads((tmp_path / command / "summary.json").read_text())["notes"] == [told]
