"""The topology of a graph: the schedule that it names, or its own links in each round; must not know files."""

from collections.abc import Callable

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.topology import optimal, weights
from gossipfl.topology.links import Links, Topology, static
from gossipfl.topology.names import several
from gossipfl.topology.shorthand import generate, parse

WEIGHTS: dict[str, Callable[[nx.Graph], Links]] = {
    "metropolis": weights.metropolis,
    "uniform": weights.uniform,
    "best-constant": weights.best_constant,
    "lazy": weights.lazy,
    "file": weights.from_file,
    "push": weights.push,
    "pull": weights.pull,
    "fdla": optimal.fdla,
    "fastest-mixing": optimal.fastest_mixing,
}
ONE_WAY = ("push", "pull")  # for directed graphs, on which the other rules are impossible
SOLVED = ("fdla", "fastest-mixing")  # by semidefinite programming: too slow unless asked for


def schedule(graph: nx.Graph, rule: str = "metropolis", seed: int = 0) -> Topology:
    """The links of each round: those of the graph's attribute `schedule` or, without one, the graph's own, weighted by `rule`.

    Args:
        graph: as `load` gives it.
        rule: one of WEIGHTS. A schedule has its own weights, and accepts only the default.
        seed: for random schedules.

    Raises:
        BadExperiment: a rule is given for a schedule, or does not fit the graph.
    """
    if "schedule" not in graph.graph:
        return static(WEIGHTS[rule](graph))
    if rule != "metropolis":
        raise BadExperiment(
            f'weights "{rule}": the schedule {graph.graph["schedule"]} has its own weights; leave the rule out'
        )
    make, values = _parsed(graph.graph["schedule"])
    return make(*values, seed)


def fits(graph: nx.Graph, where: str) -> None:
    """Refuse a graph that lacks links of the schedule that it names.

    Args:
        graph: with or without a schedule.
        where: the file that it came from, for the message.

    Raises:
        BadExperiment: there is no such schedule, it has another number of peers, or it uses other links.
    """
    if "schedule" not in graph.graph:
        return
    shorthand = graph.graph["schedule"]
    try:
        _parsed(shorthand)
        whole = generate(shorthand)
    except BadExperiment as why:
        raise BadExperiment(f"{where}: schedule: {why}") from None
    said = f'{where}: schedule "{shorthand}"'
    if graph.is_directed():
        raise BadExperiment(f"{said} already sets the direction of its links: make the graph undirected")
    if whole.graph["schedule"] != shorthand:
        raise BadExperiment(f'{said} depends on the seed: name the offsets, as in "equi:16:+1+4+6"')
    if len(whole) != len(graph):
        raise BadExperiment(f"{said} has {len(whole)} peers, but the graph has {len(graph)}")
    peers = list(graph)
    used = [(peers[int(u)], peers[int(v)]) for u, v in whole.edges]
    if lacking := [f"{u} - {v}" for u, v in used if not graph.has_edge(u, v)]:
        raise BadExperiment(f"{said} uses links that the graph lacks: {several(lacking)}; add them")


def _parsed(shorthand: str) -> tuple[Callable[..., Topology], list[object]]:
    family, values = parse(shorthand)
    if family.schedule is None:
        raise BadExperiment(f'the links of "{shorthand}" are the same in each round: leave the schedule out')
    return family.schedule, values
