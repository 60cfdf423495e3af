"""The README's commands are carried out as they stand, in a copy of the checkout's files."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALLED = Path(sys.executable).with_name("gossipfl")


def commands() -> list[str]:
    """Every command of the README's `sh` blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_the_two_commands_are_there():
    assert {"bin/gossipfl demo", "bin/test"} <= set(commands())


def scripts(command: str) -> bool:
    """Commands that are tested where they live: those that install, and this very test."""
    return command.startswith(("bin/test", "pip ", "python3 -m venv", "git "))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_works_in_the_order_of_the_readme(tmp_path):
    for name in ("examples", "topologies"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=False)
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
