"""What differentially private sums reach, beside what a trusted curator and noise in each message reach; means over splits.

Half of the peers may collude, and delta is 1e-5. Splits have the seeds 0, 1, ... The noise is that of the machine: figures
differ from run to run.

  python benchmarks/privacy.py FOLDER --only heart citylearn

spambase    16 peers. All columns are log(x + .1), as in Hastie, Tibshirani, Friedman, "The elements of statistical learning",
            section 9.1.2, with declared ranges: a word is at most 20 % of a message, a run of capitals at most 10,000 long.
raw         the same without logarithms: words are declared to be at most 5 %, runs 20, 200, 2000.
hundred     as spambase with 100 peers, and beside it noise that hides a row in each peer's message alone.
heart       four hospitals, accuracy by rows; `--draws` of noise for each split. Ranges are usual ones of adult patients; values
            beyond count as at their end.
newton      dp-newton beside dp-gd, as spambase and for whether the load in the next hour is above 1.2 kWh, epsilon 2.
citylearn   17 homes, ridge regression of the load in the next hour, R2 over all test rows. These are the rows that a study
            with plain sums and the same seed tests: they are in a column, and so the same with noise and without.

A trusted curator is the same method with no colluder: the noise of a total is then what one place would add.

FOLDER has the data sets in folders of their own; the default is the environment variable GOSSIPFL_DATA.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gossipfl.config.file import parse
from gossipfl.data import Table, split
from gossipfl.experiment.evaluation.finish import judge
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.study.make import study

WORDS, RUNS = 54, 3  # columns of spambase
LOAD, LAGS, HOURS, WEEKEND = "Equipment Electric Power [kWh]", (1, 2, 3, 24, 168), range(1, 25), (6, 7)
WEATHER = {
    "Outdoor Drybulb Temperature [C]": (-10, 45), "Relative Humidity [%]": (0, 100),
    "Diffuse Solar Radiation [W/m2]": (0, 1000), "Direct Solar Radiation [W/m2]": (0, 1000),
}  # fmt: skip
CLINICAL = [
    "age",
    "sex",
    "cp",
    "trestbps",
    "chol",
    "fbs",
    "restecg",
    "thalach",
    "exang",
    "oldpeak",
    "slope",
    "ca",
    "thal",
    "num",
]
CLINIC = {
    "age": (30, 75), "sex": (0, 1), "trestbps": (90, 180), "chol": (100, 400), "fbs": (0, 1), "thalach": (80, 190),
    "exang": (0, 1), "oldpeak": (0, 4),
}  # fmt: skip

Scores = list[float]
Column = npt.NDArray[np.int64]


class Bench:
    """Runs studies over splits, and prints means beside limits."""

    def __init__(self, data: Path, work: Path, splits: int, draws: int) -> None:
        self.data, self.work, self.splits, self.draws = data, work, splits, draws
        self.missed = 0

    def spambase(self) -> None:
        raw = self._spambase(np.log, 0.1, [20.0] * WORDS + [10_000.0] * RUNS)
        for epsilon, least in ((0.5, 0.91), (1.0, 0.925)):
            private = self._scores(raw, epsilon)
            self._say(f"spambase, epsilon {epsilon:g}", private, least)
            curator = self._scores(raw, epsilon, colluders=0)
            self._say(f"spambase, epsilon {epsilon:g}, trusted curator", curator)
            self._compare("distance to the curator", curator, private, most=0.01 if epsilon == 1 else None)

    def raw(self) -> None:
        raw = self._spambase(np.asarray, 0.0, [5.0] * WORDS + [20.0, 200.0, 2000.0])
        for epsilon, least in ((0.5, None), (1.0, 0.90)):
            self._say(f"raw features, epsilon {epsilon:g}", self._scores(raw, epsilon), least)

    def hundred(self) -> None:
        raw = self._spambase(np.log, 0.1, [20.0] * WORDS + [10_000.0] * RUNS)
        raw["topology"]["graph"] = "er:100:0.1"
        private = self._scores(raw, 0.5)
        self._say("100 peers, epsilon 0.5", private)
        alone = self._scores(raw, 0.5, colluders=99)
        self._say("100 peers, epsilon 0.5, noise in each message", alone)
        self._compare("more than with noise in each message", private, alone, least=0.04)

    def heart(self) -> None:
        sites = ("cleveland", "hungarian", "switzerland", "va")
        graph = self.work / "hospitals.edgelist"
        graph.write_text("".join(f"{a} {b}\n" for a, b in zip(sites, sites[1:] + sites[:1], strict=True)))
        raw = {
            "data": {
                "source": str(self.data / "heart_disease" / "processed.*.data"), "columns": CLINICAL,
                "drop": ["slope", "ca", "thal"], "target": "num != 0", "classes": ["0", "1"], "missing": "drop",
                "categorical": ["cp", "restecg"], "levels": {"cp": [1, 2, 3, 4], "restecg": [0, 1, 2]}, "bounds": CLINIC,
                "test": 0.34,
            },
            "topology": {"graph": str(graph)}, "model": {"kind": "logistic", "l2": 1e-3},
        }  # fmt: skip
        for epsilon, least in ((0.5, 0.76), (1.0, 0.77)):
            self._say(
                f"heart disease, epsilon {epsilon:g}", self._scores(raw, epsilon, draws=self.draws), least
            )

    def citylearn(self) -> None:
        raw = self._homes()
        self._say("citylearn ridge, epsilon 0.5", self._scores(raw, 0.5, score="r2"), 0.62)
        plain = raw | {"data": raw["data"] | {"bounds": {}}, "privacy": {"sums": "plain"}}
        self._say("citylearn ridge, no noise", self._scores(plain, None, score="r2"))

    def newton(self) -> None:
        spam, homes = self._spambase(np.log, 0.1, [20.0] * WORDS + [10_000.0] * RUNS), self._homes()
        homes["data"] |= {"target": "load > 1.2", "classes": ["0", "1"]}
        homes["model"] = {"kind": "logistic", "l2": 1e-5}
        for name, raw in (("spambase", spam), ("citylearn", homes)):
            for kind in ("dp-gd", "dp-newton"):
                raw["algorithm"] = {"kind": kind}
                self._say(f"{name}, epsilon 2, {kind}", self._scores(raw, 2.0))

    def _homes(self) -> dict[str, Any]:
        folder = self.work / "homes"
        folder.mkdir(exist_ok=True)
        weather = pd.read_csv(self.data / "citylearn" / "weather.csv.xz")[list(WEATHER)]
        for path in sorted((self.data / "citylearn").glob("Building_*.csv.xz")):
            told = pd.read_csv(path)
            rows = pd.DataFrame({f"lag {lag}": told[LOAD].shift(lag) for lag in LAGS})
            rows = rows.assign(
                hour=told["Hour"], weekend=told["Day Type"].isin(WEEKEND).astype(int), load=told[LOAD]
            )
            rows = pd.concat((rows, weather), axis=1).iloc[max(LAGS) :]
            tested = {f"test {seed}": _tested(len(rows), seed) for seed in range(self.splits)}
            rows = pd.concat((rows, pd.DataFrame(tested, index=rows.index)), axis=1)
            rows.to_csv(folder / f"{path.name.partition('.')[0]}.csv", index=False)
        names = sorted(path.stem for path in folder.iterdir())
        graph = self.work / "homes.edgelist"
        graph.write_text("".join(f"{a} {b}\n" for a, b in zip(names, names[1:] + names[:1], strict=True)))
        kilowatts = {f"lag {lag}": (0, 8) for lag in LAGS} | {"load": (0, 8), "weekend": (0, 1)}
        return {
            "data": {
                "source": str(folder / "*.csv"), "target": "load", "categorical": ["hour"], "levels": {"hour": [*HOURS]},
                "bounds": kilowatts | WEATHER, "test": "test {seed}",
            },
            "topology": {"graph": str(graph)}, "model": {"kind": "linear", "l2": 1e-4},
        }  # fmt: skip

    def _spambase(self, transform: Callable[..., Any], shift: float, most: list[float]) -> dict[str, Any]:
        rows = np.loadtxt(self.data / "spambase" / "spambase.data", delimiter=",")
        names, file = [f"c{i}" for i in range(WORDS + RUNS)], self.work / "spambase.csv"
        shown = np.column_stack((transform(rows[:, :-1] + shift), rows[:, -1]))
        np.savetxt(file, shown, delimiter=",", header=",".join([*names, "spam"]), comments="")
        low, high = (transform(np.array(ends) + shift).tolist() for ends in ([0.0] * len(most), most))
        bounds = dict(zip(names, zip(low, high, strict=True), strict=True))
        return {
            "data": {"source": str(file), "target": "spam", "classes": ["0", "1"], "bounds": bounds},
            "topology": {"graph": "ring:16"}, "model": {"kind": "logistic", "l2": 1e-2},
        }  # fmt: skip

    def _scores(
        self, raw: dict[str, Any], epsilon: float | None, colluders: int | None = None, draws: int = 1,
        score: str = "accuracy",
    ) -> Scores:  # fmt: skip
        """On the test rows of all peers, for each split and draw."""
        given: dict[str, Any] = {} if epsilon is None else {"sums": "private", "epsilon": epsilon}
        given |= {} if colluders is None else {"colluders": colluders}
        found = []
        for seed in range(self.splits):
            data = dict(raw["data"])
            if isinstance(column := data.get("test"), str):
                others = [column.format(seed=other) for other in range(self.splits) if other != seed]
                data |= {"test": column.format(seed=seed), "drop": others}
            made = study(parse({"privacy": given, **raw, "data": data, "seed": seed}))
            rows = tables(made)
            found += [
                float(judge(made, train(made, rows)).summary["test"]["all"][score]) for _ in range(draws)
            ]
        return found

    def _say(self, what: str, found: Scores, least: float | None = None) -> None:
        limit = "" if least is None else f", limit {least:g}: {self._judged(float(np.mean(found)) >= least)}"
        print(
            f"{what}: {np.mean(found):.4f}, sd {np.std(found):.4f}, {self.splits} splits{limit}", flush=True
        )

    def _compare(
        self, what: str, high: Scores, low: Scores, least: float | None = None, most: float | None = None
    ) -> None:
        gap, limit = float(np.mean(high) - np.mean(low)), ""
        if least is not None:
            limit = f", limit {least:g}: {self._judged(gap >= least)}"
        if most is not None:
            limit = f", limit {most:g}: {self._judged(gap <= most)}"
        print(f"  {what}: {gap:.4f}{limit}", flush=True)

    def _judged(self, met: bool) -> str:
        self.missed += not met
        return "ok" if met else "NOT met"


def _tested(rows: int, seed: int) -> Column:
    """1 for each of a home's rows that a study with plain sums and this seed tests, 0 for the others."""
    home = Table.of(pd.DataFrame({"hour": np.arange(rows)}), np.arange(rows))
    return split(home, 0.2, seed).test.astype(int)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("GOSSIPFL_DATA"))
    parser.add_argument(
        "--only", nargs="*", default=["spambase", "raw", "hundred", "heart", "citylearn", "newton"]
    )
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--draws", type=int, default=3)
    asked = parser.parse_args()
    if asked.folder is None:
        parser.error("give the folder of the data, or set GOSSIPFL_DATA")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(asked.folder), Path(folder), asked.splits, asked.draws)
        for name in asked.only:
            getattr(bench, name)()
    return 1 if bench.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
