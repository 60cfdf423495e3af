"""The files of a run folder; must not know how their content was made.

config.toml        the resolved experiment; the run can be repeated from it
topology.json      the graph
environment.json   versions and machine
metrics.jsonl      one line every `peers.report` rounds; by default lines become rarer with the rounds
summary.json       the results
model.json, model.safetensors          the mean of the peers' models
peers/<name>/      model.safetensors, rows.json; for live peers also metrics.jsonl, summary.json, log.jsonl, lock, and with
                   secure sums rows.hash, with private sums budget.json
"""

import os
import platform
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import networkx as nx
import numpy as np
import numpy.typing as npt
from safetensors.torch import save
from torch import Tensor

from gossipfl import topology
from gossipfl.config.file import Experiment, dump
from gossipfl.data import Table
from gossipfl.disk import unwritable, write
from gossipfl.errors import BadExperiment
from gossipfl.runs.lock import holders
from gossipfl.runs.summary import FORMAT

RUNS = Path("runs")
PRIVATE = 0o600  # the mode of files that hold models, or what a peer keeps to itself


def create(experiment: Experiment, graph: nx.Graph, out: Path | None, peers: Iterable[str]) -> Path:
    """A new run folder with its first files: `out`, or runs/<time>_<name>.

    Raises:
        BadExperiment: `out` has a run already, or cannot be made.
    """
    folder = out or fresh(experiment.name)
    if begun(folder) or ((folder / "config.toml").exists() and not (folder / "environment.json").exists()):
        raise taken(folder)
    return furnish(experiment, graph, folder, peers)


def begun(folder: Path) -> bool:
    """Whether a run in the folder learned something or still lives. A start that failed does neither."""
    results = "summary.json", "metrics.jsonl", "peers/*/checkpoint*", "peers/*/*.safetensors"
    return any(file.stat().st_size for pattern in results for file in folder.glob(pattern)) or bool(
        holders(folder)
    )


def taken(folder: Path) -> BadExperiment:
    """The error for a folder that has a run already."""
    return BadExperiment(f"--out {folder} has a run already: give another folder, or remove this one")


def furnish(experiment: Experiment, graph: nx.Graph, folder: Path, peers: Iterable[str]) -> Path:
    """Make a run folder with config, topology, environment and these peers' folders. Raises as `unwritable` says."""
    try:
        (folder / "peers").mkdir(parents=True, exist_ok=True)
        for name in peers:
            peer_folder(folder, name)
        write_json(folder / "environment.json", environment())
        topology.write(graph, folder / "topology.json")
        write(folder / "config.toml", dump(experiment).encode())
    except OSError as error:
        raise unwritable(f"cannot write to the run folder {folder}", error) from None
    return folder


def check_format(folder: Path) -> None:
    """Refuse to go on with a run that another version wrote. Raises BadExperiment."""
    file = folder / "environment.json"
    if not file.exists():  # then a checkpoint says for itself which format it has
        return
    told = read_json(file)
    form = told.get("format", 1) if isinstance(told, dict) else 1
    if form != FORMAT:
        raise BadExperiment(
            f"{folder} has format {form}, and this version of gossipfl goes on with runs of format {FORMAT} only: start it "
            f"anew, gossipfl run {folder}/config.toml. Its results stay readable"
        )


def environment() -> dict[str, Any]:
    """Versions, machine and command."""
    packages = ("gossipfl", "torch", "numpy", "pyzmq", "networkx", "scikit-learn", "pandas")
    return {
        "format": FORMAT,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {name: version(name) for name in packages},
        "command": sys.argv,
    }


def fresh(name: str) -> Path:
    """runs/<time>_<name>, followed by a number if it exists already."""
    path = first = RUNS / f"{time.strftime('%Y%m%d-%H%M%S')}_{name}"
    count = 1
    while path.exists():
        count += 1
        path = first.with_name(f"{first.name}-{count}")
    return path


def write_json(path: Path, value: Any, synced: bool = True, mode: int = 0o666) -> None:
    write(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n", mode=mode, synced=synced)


def read_json(path: Path) -> Any:
    return msgspec.json.decode(path.read_bytes())


def peer_folder(folder: Path, name: str) -> Path:
    """peers/<name>, made if it does not exist. Names in a topology have no slashes, and no dot at the start."""
    path = folder / "peers" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_tensor(path: Path, x: Tensor, synced: bool = True) -> None:
    """One parameter vector, as the tensor "x"."""
    write(path, save({"x": x.detach().contiguous()}), mode=PRIVATE, synced=synced)


def write_model(path: Path, described: dict[str, Any], synced: bool = True) -> None:
    """A model with all that is needed to score new rows."""
    write_json(path, described, synced, PRIVATE)


def write_rows(path: Path, table: Table, synced: bool = True) -> None:
    """Write the numbers, from 0, of the rows of the source that a peer trains on and tests on."""
    numbers: npt.NDArray[np.int64] = table.target.index.to_numpy()
    write_json(
        path,
        {"source": table.where, "train": numbers[~table.test].tolist(), "test": numbers[table.test].tolist()},
        synced,
    )
