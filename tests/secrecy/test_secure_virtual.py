"""Secure sums over a network that loses messages, in virtual time: the real code of all peers, and the same bits."""

import networkx as nx
import pytest
import torch
from secret_peers import keyed
from virtual import ORIGIN, World
from worlds import Toy

from gossipfl.algorithms import Objective, Summed, Units
from gossipfl.algorithms.sums import DampedNewton, Integers
from gossipfl.engine import Engine
from gossipfl.mixing import Mixing, Sum
from gossipfl.models.losses import Logistic
from gossipfl.models.shard import Shard
from gossipfl.peer import Exchange, Peer
from gossipfl.topology import cycle, diameter, tree


class SecretWorld(World):
    """Peers that take secure sums in lock-step, as there is no fallback."""

    def _engine(self, exchange: Exchange, toy: Toy) -> tuple[Engine, int]:
        along, ones, n = tree(self.graph), torch.ones(toy.width, dtype=torch.float64), len(self.graph)
        objective = Objective(ones, Units(ones, 0 * ones), toy.l2)
        weights = torch.ones(len(toy.b[0]), dtype=torch.float64)
        rows = Shard(toy.a[0], (toy.b[0] + 1) / 2, weights, Logistic(), 1)
        carrier = Integers(n, keyed(n)[exchange.me])
        method = DampedNewton(objective, Logistic(), 1e-11)
        summed = Summed(method, [rows], n, along.exchanges, 0 * ones, carrier)
        links = cycle(along.rounds())
        return Peer(
            exchange, summed, toy, links, Mixing(Sum()), diameter(self.graph), origin=ORIGIN, alike=True
        ), along.exchanges


@pytest.mark.parametrize("graph", [nx.path_graph(5), nx.star_graph(4)], ids=["line", "star"])
def test_lost_messages_cost_time_and_no_bits(graph: nx.Graph) -> None:
    """Also the last ones: who has learned to the end answers for a while, and its neighbours wait for that."""
    found = []
    for loses, seed in ((0.0, 1), (0.05, 1), (0.05, 2), (0.05, 3)):
        world = SecretWorld(graph, "secret", seed=seed)
        world.loses = loses
        world.run(300)
        assert len(world.ended) == 5
        assert (sum(exchange.outbox.resent for exchange in world.exchanges.values()) > 0) == (loses > 0)
        models = torch.cat([model for _, model in world.ended.values()])
        assert (models == models[0]).all()
        found.append(models[0])
    assert all(torch.equal(found[0], model) for model in found)
