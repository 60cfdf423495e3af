"""A small data frame with words, missing values and a target that is nearly linear."""

import numpy as np
import pandas as pd


def towns(rows: int = 300) -> pd.DataFrame:
    """price = 3 size + 1 in town a, plus noise; a county for each row."""
    random = np.random.default_rng(0)
    town = random.choice(["a", "b", "c"], rows)
    frame = pd.DataFrame({
        "town": np.where(random.uniform(size=rows) < 0.1, None, town), "size": random.normal(size=rows),
        "county": random.choice(["north", "south"], rows),
    })  # fmt: skip
    noise = 0.1 * random.normal(size=rows)
    return frame.assign(price=3 * frame["size"] + (town == "a") + noise)
