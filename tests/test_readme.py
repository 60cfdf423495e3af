"""The commands of the README run as they stand, in a copy of the examples and topologies of the checkout."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gossipfl.config.file import load

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


def write_files(folder: Path) -> list[Path]:
    """Write the README's files (blocks that begin with "# NAME.toml") into a folder, with the CSV file that they read."""
    written = []
    for block in blocks("README.md", "toml"):
        name = block.splitlines()[0].removeprefix("# ")
        assert re.fullmatch(r"\w+\.toml", name), block
        (folder / name).write_text(block)
        written.append(folder / name)
    rows = [
        f"{20 + i * 7 % 50},{i * 3 % 11},{('oslo', 'lyon')[i % 2]},{100 + i * 13 % 90}" for i in range(60)
    ]
    (folder / "my.csv").write_text("\n".join(["size,age,town,price", *rows]) + "\n")
    return written


def test_the_first_commands_are_there():
    assert {"bin/gossipfl demo", "bin/test"} <= set(commands())
    own = [command for command in commands() if command.endswith(" my.toml")]
    assert [command.split()[1] for command in own] == ["data", "simulate", "run"], (
        "three commands for one's own CSV"
    )


def test_the_experiment_files_of_the_documents_are_valid(tmp_path):
    files = write_files(tmp_path)
    assert [file.name for file in files] == ["my.toml"]
    (tmp_path / "documented.toml").write_text("\n".join(blocks("docs/experiment.md", "toml")))
    for file in (*files, tmp_path / "documented.toml"):
        load(file)


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
