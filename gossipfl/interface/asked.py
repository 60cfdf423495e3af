"""What a call asks for: from data as a caller has them to a study and the rows of its peers; must not know how peers learn."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import networkx as nx
import pandas as pd

from gossipfl.config import file as files
from gossipfl.config.draft import draft
from gossipfl.config.experiment import DataSettings, Experiment
from gossipfl.data import BUNDLED, MISSING, Table, framed
from gossipfl.data.memory import declared, headed
from gossipfl.errors import BadData, BadExperiment
from gossipfl.experiment.learning.tables import Given, tables
from gossipfl.experiment.study.make import study
from gossipfl.interface.graphs import AnyTopology, graph_of, named_graph
from gossipfl.interface.progress import Show, shown
from gossipfl.interface.settings import Raw, changed, merged, named, patient

Source: TypeAlias = Experiment | str | Path | pd.DataFrame | Mapping[Any, pd.DataFrame]


class Asked(NamedTuple):
    """What a call asks for."""

    given: Given
    chosen: list[str]  # what the caller left open, and why it became so, in sentences
    show: Show
    out: Path | None


def asked(
    abroad: bool,
    data: Source,
    /,
    target: str | None = None,
    *,
    topology: AnyTopology | Callable[..., nx.Graph] | None = None,
    progress: bool = False,
    out: str | Path | None = None,
    **settings: Any,
) -> Asked:
    """The study and the rows of its peers, for other processes if `abroad`. For the other arguments see `simulate`."""
    data = _checked(data)
    folder = None if out is None else Path(out).absolute()
    settings = settings if target is None else {"data.target": target, **settings}
    graph = graph_of(topology) if isinstance(topology, nx.Graph) else None
    if (
        isinstance(data, dict)
        and topology is None
        and "graph" not in merged({}, settings).get("topology", {})
    ):
        graph = named_graph(graph_of(f"full:{len(data)}"), list(data))
    spec: Any = topology
    if graph is not None:  # the run folder has the graph as a file
        spec = f"{len(graph)} peers" if folder is None else str(folder / "topology.json")
    settings = settings if spec is None else {"topology.graph": spec, **settings}
    peers = len(data) if isinstance(data, dict) else None if graph is None else len(graph)
    raw, chosen = _described(data, settings, abroad or out is not None, peers)
    made = study(changed(raw, {}), graph=graph)
    return Asked(
        Given(made, tables(made, _rows(data, made.experiment.data))), chosen, shown(progress), folder
    )


def _checked(data: Any) -> Any:
    """The data, their frames with text as names, by text. Raises TypeError or BadData if they are none."""
    if isinstance(data, Experiment | str | Path):
        return data
    if isinstance(data, pd.DataFrame):
        return _frame(data, "the data frame")
    if not isinstance(data, Mapping):
        raise TypeError(
            "data should be a data frame, one for each peer by name, a file, the name of a data set, or an experiment, and "
            f"not {type(data).__name__}: make a frame of arrays, pandas.DataFrame(X).assign(y=y)"
        )
    named = {str(name): _frame(frame, f"the data of peer {str(name)!r}") for name, frame in data.items()}
    if not named:
        raise BadData("there are no data frames: give one for each peer, by name")
    if len(named) < len(data):
        raise BadData("two of the peers with data frames have the same name, such as 1 and '1': rename one")
    return named


def _frame(frame: Any, where: str) -> pd.DataFrame:
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{where} should be a data frame, and not {type(frame).__name__}")
    if not frame.size:
        raise BadData(
            f"{where} has {len(frame)} rows and {frame.shape[1]} columns: there is nothing to learn"
        )
    return headed(frame, where)


def _described(
    data: Any, settings: Mapping[str, Any], abroad: bool, peers: int | None
) -> tuple[Raw, list[str]]:
    """The tables of an experiment, and what was chosen for data about which they say too little.

    `peers` is how many there are, if that is known.
    """
    if isinstance(data, str | Path) and Path(data).suffix == ".toml":
        data = files.load(Path(data))
    if isinstance(data, Experiment):
        return named(merged(data.model_dump(mode="python", exclude_unset=True), settings), abroad), []
    given = named(merged({}, settings), abroad)
    target, topology = given.get("data", {}).get("target"), given.get("topology", {}).get("graph")
    if isinstance(data, dict):
        data = _together(list(data.values()))
    elif not isinstance(data, pd.DataFrame) and not _draftable(data):
        return patient(given | {"data": {"source": str(data)} | given.get("data", {})}), []
    if not isinstance(target, str | None):
        raise BadExperiment(
            f"target should be the name of a column, and not {type(target).__name__}: make it a column of the data"
        )
    topology = topology if peers is None else f"full:{peers}"  # given already; here it says how many
    found = draft(data if isinstance(data, pd.DataFrame) else str(data), target, topology, given=given)
    return found.raw, found.sentences


def _draftable(data: str | Path) -> bool:
    """Whether it is one table with named columns; of others an experiment says more."""
    return str(data) in BUNDLED or (files.is_data(Path(data)) and files.has_names(Path(data)))


def _together(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """All rows, with categories where one of the frames has them."""
    whole = pd.concat(frames, ignore_index=True)
    return whole.astype(dict.fromkeys(set().union(*map(declared, frames)), "category"))


def _rows(data: Any, e: DataSettings) -> Table | dict[str, Table] | None:
    """The rows of data frames; None if the experiment says where they are."""
    words = {*e.categorical, *(str(value) for key, value in e.partition.items() if key == "name")}
    missing = MISSING if e.missing_words is None else e.missing_words

    def table(frame: pd.DataFrame, where: str, one_of_many: bool) -> Table:
        return framed(
            frame, e.target, drop=e.drop, verbatim=words, missing=missing, decimal=e.decimal, where=where,
            one_of_many=one_of_many,
        )  # fmt: skip

    if isinstance(data, pd.DataFrame):
        return table(data, "the data frame", False)
    return (
        {name: table(frame, name, True) for name, frame in data.items()} if isinstance(data, dict) else None
    )
