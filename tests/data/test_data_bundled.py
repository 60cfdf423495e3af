"""The data sets of scikit-learn, against its own loaders."""

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets

from gossipfl.data import BUNDLED
from gossipfl.data import bundled as room


@pytest.mark.parametrize("name", BUNDLED)
def test_the_same_table_as_from_the_loaders(name, monkeypatch):
    twin = getattr(datasets, f"load_{name}")(as_frame=True).frame
    monkeypatch.delattr(datasets, f"load_{name}")  # the files are there, so it isn't asked
    found = room.bundled(name)
    pd.testing.assert_frame_equal(found, twin, check_exact=name != "diabetes", rtol=1e-14)


def test_the_loaders_are_asked_where_the_files_are_not(monkeypatch, tmp_path):
    class Elsewhere:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(room, "find_spec", lambda _: Elsewhere)
    assert np.array_equal(room.bundled("iris"), datasets.load_iris(as_frame=True).frame)
