"""What neighbours of `gossipfl peer` will see of its rows, and the default for that; must not know how it is hidden."""

from gossipfl.errors import Incompatible
from gossipfl.experiment.study.make import study
from gossipfl.experiment.study.study import Study


def confidential(made: Study) -> tuple[Study, str]:
    """The study with the default of privacy.sums for live peers, and a sentence for what neighbours will see.

    Raises:
        Incompatible: two peers with keys would add up sums of which each knows its own part.
    """
    experiment, graph, method = made.experiment, made.graph, made.method
    adds = method is None or method.averages
    if not adds:
        return made, (
            f'neighbours see a model of this peer in each message of algorithm "{experiment.algorithm.kind}", and successive '
            "models are gradients of its rows"
        )
    listed = (
        all("public_key" in about for about in graph.nodes.values()) and experiment.peers.security != "none"
    )
    fits = "schedule" not in graph.graph and not experiment.topology.drop and not experiment.topology.loss
    if experiment.privacy.sums is None and listed and fits and experiment.channel.compress == "none":
        if len(graph) == 2:
            raise Incompatible(
                "of a sum of two peers each knows the other's part, from which it can rebuild rows: write privacy.sums = "
                '"plain" if that is meant, or learn with three peers or more'
            )
        privacy = experiment.privacy.model_copy(update={"sums": "secure"})
        return study(experiment.model_copy(update={"privacy": privacy}), divided=made.divided), ""
    if experiment.privacy.sums in (None, "plain") and len(graph) > 1:
        why = (
            ""
            if listed
            else "; secure sums need a public key of each peer in the topology (gossipfl keys new)"
        )
        return made, (
            "neighbours see the sums of this peer's rows, from which they can rebuild rows (privacy.sums is "
            f'"plain"{why})'
        )
    return made, ""
