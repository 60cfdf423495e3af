"""What learning would refuse of the peers' rows, found without learning; must not know how it is shown."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import torch

from gossipfl.algorithms import METHODS
from gossipfl.config.algorithm import AlgorithmSettings
from gossipfl.config.experiment import Experiment, PrivacySettings
from gossipfl.data import Table, classes, encode, levels
from gossipfl.data.encode import Schema
from gossipfl.errors import GossipError
from gossipfl.experiment.learning.agree import Agreement
from gossipfl.experiment.learning.prepare import Prepared, prepare
from gossipfl.experiment.learning.schema import is_classification
from gossipfl.experiment.learning.tables import own_raw_table, pooled, raw_tables, ready
from gossipfl.experiment.study.study import Study
from gossipfl.secrecy.exact import ExactSums
from gossipfl.secrecy.promise import Noise, Spending
from gossipfl.simulator import Simulator


class Found(NamedTuple):
    """The peers' rows, and the first error that learning from them would end with."""

    names: list[str]
    raw: list[Table]  # as they were read
    # Without missing values, and with test rows marked; as they were read, where that is refused.
    tables: list[Table]
    refusal: GossipError | None
    prepared: Prepared | None = None  # ready to be learned from


def look(study: Study, file: Path | None = None, name: str = "") -> Found:
    """Read the rows of all peers, or one site's file (of the peer `name`), and prepare them as if they were to be learned from.

    Raises:
        GossipError: the rows cannot be read.
    """
    asked = study
    if file is None:
        names, raw = study.holders, raw_tables(study)
    else:
        names = [name or file.name.partition(".")[0] or file.name]
        raw = [own_raw_table(study, names[0], file)]
        alone = nx.Graph()
        alone.add_node(names[0])
        study = replace(study, graph=alone, holders=names, experiment=_plain(study.experiment))
    tables, refusals = list[Table](), list[GossipError]()
    for table in raw:
        try:
            tables.append(ready(asked, table))
        except GossipError as error:
            tables.append(table)
            refusals.append(error)
    prepared = None
    if not refusals:
        try:
            prepared = _prepare(
                study, [pooled(tables)] if study.method and study.method.gathers else tables, file is not None
            )
        except GossipError as error:
            refusals.append(error)
    return Found(names, raw, tables, next(iter(refusals), None), prepared)


def _plain(experiment: Experiment) -> Experiment:
    """The same with plain sums: whether totals tell too much, only the rows of all sites show."""
    changed: dict[str, Any] = {"privacy": PrivacySettings(sums="plain")}
    method = METHODS.get(experiment.algorithm.kind)
    if method and method.private:
        changed["algorithm"] = AlgorithmSettings()
    return experiment.model_copy(update=changed)


def _prepare(study: Study, tables: Sequence[Table], alone: bool) -> Prepared | None:
    """Agree and prepare as peers do, in this process; of one site's rows only what they must have by themselves."""
    found = classes(tables[0], training=True) if is_classification(study) else None
    if alone and found is not None and len(found) < 2:  # other sites may have the other classes
        own = {
            name: tuple(words) for name, words in levels(tables[0], study.experiment.data.categorical).items()
        }
        encode(tables[0], Schema(tables[0].columns, own, tuple(classes(tables[0]))))
        return None
    agreement = Agreement(
        study.graph,
        study.diameter,
        study.tree,
        lambda how, topology, mixing: Simulator(how, None, topology, mixing),
    )
    if study.secure:
        agreement.exact = ExactSums(len(study.names))
    if study.private:
        agreement.noise = Noise(Spending(study.promise))
    return prepare(study, tables, torch.arange(len(tables)), agreement)
