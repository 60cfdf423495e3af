"""The tutorial is a notebook that runs from its first cell to its last."""

from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.mark.slow
@pytest.mark.timeout(600)  # a dozen seconds on two free cores, minutes on busy ones
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_tutorial_runs_in_a_notebook(tmp_path):
    import jupytext
    from nbclient import NotebookClient

    book = jupytext.read(TUTORIAL)
    NotebookClient(book, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [str(output.get("data", {}).get("text/html", "")) for output in outputs]
    assert sum("disagreement" in text for text in shown) == 1, "progress is one output"
    assert any("hold one model" in text for text in shown)
    assert not [output for output in outputs if output.get("name") == "stderr"]
