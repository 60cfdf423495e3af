"""The documentation site builds without a warning."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    words = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        tmp_path / "docs",
        tmp_path / "site",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    methods = (tmp_path / "site" / "methods.html").read_text()
    assert "exact-diffusion" in methods
    assert "Yuan" in methods, "papers come from the docstrings"
    api = re.sub(r"<[^>]+>", "", (tmp_path / "site" / "api.html").read_text())
    assert "LinearModel.predict(rows)" in api
    assert "simulate(data, /, target=None" in api
    pages = {file.stem for file in (ROOT / "docs").glob("*.md")}
    assert pages <= {file.stem for file in (tmp_path / "site").glob("*.html")}
