"""The commands of the README run as they stand, in a copy of the examples and topologies of the checkout."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gossipfl.config.file import load, schema

ROOT = Path(__file__).parents[1]
INSTALLED = Path(sys.executable).with_name("gossipfl")


def blocks(document: str, language: str) -> list[str]:
    """The code blocks of a document in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.S)


def commands() -> list[str]:
    """Every command of the README's `sh` blocks, without comments."""
    lines = [
        line.split(" #")[0].strip() for block in blocks("README.md", "sh") for line in block.splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]


def write_files(folder: Path) -> None:
    """Write the README's topology file and the CSV files that its commands read into a folder."""
    (links,) = blocks("README.md", "text")
    name = links.splitlines()[0].removeprefix("# ")
    assert re.fullmatch(r"\w+\.\w+", name), links
    (folder / name).write_text(links)
    rows = [
        f"{20 + i * 7 % 50},{i * 3 % 11},{('oslo', 'lyon')[i % 2]},{100 + i * 13 % 90}" for i in range(60)
    ]
    (folder / "my.csv").write_text("\n".join(["size,age,town,price", *rows]) + "\n")
    new = [row.rpartition(",")[0] for row in rows[:5]]
    (folder / "new.csv").write_text("\n".join(["size,age,town", *new]) + "\n")


def test_the_first_commands_are_there():
    assert {"bin/gossipfl demo", "bin/test"} <= set(commands())
    (own,) = [block for block in blocks("README.md", "sh") if "simulate my.csv" in block]
    assert [line.split()[1] for line in own.splitlines()] == ["simulate", "run", "predict"], (
        "three commands for one's own CSV and topology"
    )


def test_the_experiment_files_of_the_documents_are_valid(tmp_path):
    (tmp_path / "documented.toml").write_text("\n".join(blocks("docs/experiment.md", "toml")))
    load(tmp_path / "documented.toml")


def test_the_page_of_the_experiment_file_has_every_key():
    """Each key is set under its table, maybe in a comment."""
    text = "\n".join(blocks("docs/experiment.md", "toml"))
    top, *parts = re.split(r"^(?:# )?\[+(\w+)\]+", text, flags=re.M)
    tables, definitions, missing = dict(zip(parts[::2], parts[1::2], strict=True)), schema()["$defs"], []
    for name, about in schema()["properties"].items():
        kind = (about.get("$ref") or about.get("items", {}).get("$ref", "")).rpartition("/")[2]
        where, keys = (tables[name], definitions[kind]["properties"]) if kind else (top, [name])
        missing += [f"{name}: {key}" for key in keys if not re.search(rf"\b{key} =", where)]
    assert not missing


def scripts(command: str) -> bool:
    """Commands that are tested where they live: those that install, and this very test."""
    return command.startswith(("bin/test", "pip ", "python3 -m venv", "git "))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_works_in_the_order_of_the_readme(tmp_path):
    for name in ("examples", "topologies"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=False)
    write_files(tmp_path)
    ran = 0
    for command in commands():
        if scripts(command):
            continue
        words = shlex.split(command)
        assert words[0] in ("bin/gossipfl", "gossipfl"), command
        done = subprocess.run(
            [str(INSTALLED), *words[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=300,
            env=os.environ | {"COLUMNS": "100"}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran >= 5


def test_links_of_the_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
