"""An experiment -> its checked study; must not know engines or data."""

import networkx as nx

from gossipfl.algorithms import METHODS
from gossipfl.config.experiment import Experiment
from gossipfl.errors import Incompatible
from gossipfl.experiment.study import conflicts
from gossipfl.experiment.study.fit import check
from gossipfl.experiment.study.gossip import learning
from gossipfl.experiment.study.method import choose, composition
from gossipfl.experiment.study.network import network
from gossipfl.experiment.study.own import enlist, references
from gossipfl.experiment.study.own import graph as own_graph
from gossipfl.experiment.study.refusals import unfit_for_secrecy, unfit_for_selection
from gossipfl.experiment.study.study import Study
from gossipfl.topology import load


def study(experiment: Experiment, divided: bool = False, graph: nx.Graph | None = None) -> Study:
    """The checked study of an experiment; `divided` as in `Study`. A `graph` replaces the one that the experiment names.

    Raises BadExperiment or Incompatible if its settings do not fit each other.
    """
    enlist(experiment)
    spec, named = experiment.topology.graph, references(experiment)
    if graph is None:
        graph = own_graph(spec, experiment.seed) if "topology.graph" in named else load(spec, experiment.seed)
    graph = nx.Graph(graph) if len(graph) == 1 else graph  # a single peer has no directed links
    holders = list(graph)
    if (method := METHODS.get(experiment.algorithm.kind)) and method.gathers:
        graph = load("full:1")
    made = Study(experiment, graph, holders, divided)
    conflicts.check(made)
    if why := unfit_for_secrecy(made) or unfit_for_selection(made):
        raise Incompatible(why)
    check_fit(made)
    return made


def check_fit(study: Study) -> None:
    """Check, before any data are read, that the method fits its exchange and its links. Raises Incompatible."""
    kind = choose(study, None)
    if not METHODS[kind].rounds:
        learning(study)
        return
    if not METHODS[kind].talks or len(study.names) == 1:
        return
    e = study.experiment
    if e.channel.compress == "low-rank" and e.model.kind != "softmax":
        raise Incompatible(
            f'channel.compress = "low-rank" is for model.kind = "softmax" only, and this is "{e.model.kind}": set another '
            'one, for example channel.compress = "top-k"'
        )
    parts = composition(study, kind)
    check(kind, parts.algorithm, parts.mixing, network(study, parts))
