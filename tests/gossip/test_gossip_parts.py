"""The parts of gossip learning, computed by hand: formulas, measures, and errors."""

import numpy as np
import pytest
import torch
from gossip_worlds import SVM, world

from gossipfl import topology
from gossipfl.errors import BadData, BadExperiment, Incompatible
from gossipfl.gossip import (
    Descent,
    Fresh,
    Generalised,
    GossipLearning,
    Model,
    Network,
    Pegasos,
    Proactive,
    Randomised,
    Shards,
    Simple,
    by_age,
    equal,
    error,
    similarity,
    voted_error,
)
from gossipfl.gossip.letters import ranks
from gossipfl.models import LOSSES


def test_token_formulas():
    a, yes, no = np.arange(7), np.ones(7, bool), np.zeros(7, bool)
    assert Proactive().proactive(a).tolist() == [1] * 7
    assert Simple(4).proactive(a).tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert Simple(4).reactive(a, no).tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert Generalised(6, 2).reactive(a, yes).tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert Generalised(6, 2).reactive(a, no).tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert Randomised(6, 3).proactive(a).tolist() == pytest.approx([0, 0, 0, 0.25, 0.5, 0.75, 1])
    assert Randomised(6, 3).reactive(a, yes).tolist() == pytest.approx([k / 3 for k in range(7)])
    assert Randomised(6, 3).reactive(a, no).tolist() == [0] * 7


def test_means():
    a, b = (
        Model(torch.tensor([[1.0, 3.0]]), torch.tensor([1])),
        Model(torch.tensor([[5.0, 7.0]]), torch.tensor([3])),
    )
    assert equal(a, b).w.tolist() == [[3, 5]]
    assert by_age(a, b).w.tolist() == [[4, 6]]
    assert equal(a, b).age == by_age(a, b).age == 3
    new = a._replace(age=torch.tensor([0]))
    assert by_age(new, b._replace(age=torch.tensor([0]))).w.tolist() == [[3, 5]]
    assert by_age(new, b).w.tolist() == b.w.tolist()


def test_pegasos_by_hand():
    w = SVM(torch.tensor([[1.0, -2.0]]), torch.tensor([2]), torch.tensor([[0.5, 1.0]]), torch.tensor([1.0]))
    assert torch.allclose(
        w, torch.tensor([[0.5 + 5 * 0.5, -1 + 5 * 1.0]])
    )  # margin -1.5 < 1; eta = 1 / (0.1 * 2)
    w = SVM(torch.tensor([[1.0, -2.0]]), torch.tensor([2]), torch.tensor([[0.5, 1.0]]), torch.tensor([0.0]))
    assert w.tolist() == [[0.5, -1.0]]  # margin 1.5: only shrinks
    w = SVM(torch.tensor([[9.0, 9.0]]), torch.tensor([1]), torch.tensor([[-0.5, 1.0]]), torch.tensor([0.0]))
    assert w.tolist() == [[5.0, -10.0]], "the first step does not depend on the start"


def test_a_fresher_model_counts_for_more():
    a, b = (
        Model(torch.tensor([[1.0], [1.0], [1.0]]), torch.tensor([30, 20, 0])),
        Model(torch.tensor([[5.0], [5.0], [5.0]]), torch.tensor([0, 20, 10])),
    )
    merged = Fresh(10)(a, b)
    assert merged.w[:, 0].tolist() == pytest.approx([1 + 4 / 8, 3, 5 - 4 / 4])
    assert merged.age.tolist() == [30, 20, 10]
    assert torch.allclose(Fresh(10)(b, a).w, merged.w)
    assert torch.equal(Fresh(1)(a, a).w, a.w)


def test_descent_by_hand():
    rule = Descent(LOSSES["logistic"](), step=0.5, l2=0.1)
    x, y = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([1.0, 0.0])
    w = rule(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 99]), x, y)
    assert torch.allclose(w, torch.tensor([[0.5, 0.95], [0.95, -0.5]])), "at any age"


def test_measures_by_hand():
    run = world(3, GossipLearning(SVM, cache=3)).init()
    x, y = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 0.0])
    right, left = torch.tensor([1.0, -1, 0, 0, 0]), torch.tensor([-1.0, 1, 0, 0, 0])
    x = torch.cat((x, torch.zeros(2, 2)), 1)
    run.models[0] = torch.stack((left, right, right))
    run.models[1] = torch.stack((left, left, right))
    run.models[2] = torch.stack((right, left, torch.zeros(5)))
    assert error(run, x, y).tolist() == [1, 1, 0]
    assert error(run, x, y, torch.tensor([2])).tolist() == [0]
    assert voted_error(run, x, y).tolist() == [0, 1, 0.5]
    assert similarity(run) == pytest.approx((1 - 1 - 1) / 3)


def test_ranks():
    assert ranks(np.array([1, 1, 1, 4, 4, 7])).tolist() == [0, 1, 2, 0, 1, 0]
    assert not len(ranks(np.array([], np.int64)))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Network(loss=1.0), "loss is 1.0"),
        (lambda: Network(delay=(3.0, 2.0)), "delay is"),
        (lambda: Network(online=0.0), "online is 0.0"),
        (lambda: Network(session=0.0), "session is 0.0"),
        (lambda: Network(spread=-1.0), "spread is -1.0"),
        (lambda: Pegasos(LOSSES["svm"](), 0.0), "above 0"),
        (lambda: Pegasos(LOSSES["softmax"]()), "one output"),
        (lambda: Descent(LOSSES["svm"](), 0.0), "step is 0.0"),
        (lambda: Descent(LOSSES["svm"](), 0.1, -1.0), "l2 is -1.0"),
        (lambda: Descent(LOSSES["softmax"](), 0.1), "one output"),
        (lambda: Fresh(0), "patience is 0"),
        (lambda: GossipLearning(SVM, steps=0), "at least one row"),
        (lambda: GossipLearning(SVM, cache=0), "at least one model"),
        (lambda: GossipLearning(SVM, jitter=0.5), "jitter is 0.5"),
        (lambda: Simple(0), "1 <= spend"),
        (lambda: Generalised(2, 3), "1 <= spend"),
        (lambda: world(1), "at least two peers"),
        (lambda: world(ticks=0), "at least one tick"),
        (lambda: world(7, links=topology.WEIGHTS["metropolis"](topology.load("ring:6"))), "Peer 6 has no link"),
        (lambda: world(5, links=topology.WEIGHTS["metropolis"](topology.load("ring:6"))), "Peer 5 has no link"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_the_reason(make, why):
    with pytest.raises(BadExperiment, match=why):
        make()


def test_an_account_decides_about_pushes_only():
    with pytest.raises(Incompatible, match=r'gossip\.exchange = "push"'):
        GossipLearning(SVM, control=Simple(), exchange="pull")


def test_shards_that_do_not_fit_are_named():
    with pytest.raises(BadData, match="no peers"):
        Shards.of([])
    with pytest.raises(BadData, match="Peer 1 has 0 rows"):
        Shards.of([(np.ones((2, 3)), np.ones(2)), (np.ones((0, 3)), np.ones(0))])
    with pytest.raises(BadData, match="Peer 1 has 2 rows of 4 features"):
        Shards.of([(np.ones((2, 3)), np.ones(2)), (np.ones((2, 4)), np.ones(2))])
