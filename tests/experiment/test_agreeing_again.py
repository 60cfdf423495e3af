"""A peer that dies, or is interrupted, while all agree, and is started again: all agree again, with it."""

import threading
from queue import SimpleQueue

import pytest
import torch
from runs import settings

from gossipfl.config.file import parse
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.live.process import live
from gossipfl.experiment.study.make import study
from gossipfl.peer import Exchange, Memory
from gossipfl.peer.wire import decode, ident

VICTIM = 1


class Killed(BaseException):
    """The end of a peer that says nothing more."""


class Mortal(Memory):
    """A `Memory` whose peer is killed or interrupted when it sends a message of exchange `last`, or a later one."""

    def __init__(self, me, hub, last=-1, how=Killed):
        super().__init__(me, hub)
        self._last, self._how, self._dead = last, how, False

    def send(self, to, frames):
        if self._dead:
            raise Killed
        header = decode(frames[0])
        if (
            0 <= self._last <= header.number and not header.leaving
        ):  # on a tree it is silent in many exchanges
            self._last, self._dead = -1, self._how is Killed
            raise self._how
        return super().send(to, frames)

    def recv(self, timeout):
        if self._dead:
            raise Killed
        return super().recv(timeout)

    def connect(self, neighbours, queue):
        pass

    def close(self, linger=0.0, gone=()):
        pass


def reports_of(made, rows, folder, last=-1, how=Killed, again=True):
    """The reports of peers of which one dies or is interrupted when it sends in exchange `last`, and maybe begins again."""
    hub, reports = {ident(name): SimpleQueue() for name in made.names}, {}

    def act(me, life, transport):
        own = folder / f"{me}-{life}"
        own.mkdir()
        near = {made.names.index(other): "tcp://127.0.0.1:1" for other in made.graph[made.names[me]]}
        try:
            reports[me] = live(made, me, rows[me], own, transport, near, lambda *what: None)
        except Killed:
            reports[me] = None

    def start(me, life=0, **when):
        thread = threading.Thread(target=act, args=(me, life, Mortal(ident(made.names[me]), hub, **when)))
        thread.start()
        return thread

    threads = [start(me, last=last, how=how) if me == VICTIM else start(me) for me in range(len(rows))]
    threads[VICTIM].join()
    if again:
        first = reports[VICTIM]
        assert first is None or (first.stopped, first.model) == ("interrupted", None)
        hub[ident(made.names[VICTIM])] = SimpleQueue()
        threads[VICTIM] = start(VICTIM, life=1)
    for thread in threads:
        thread.join()
    return reports


@pytest.mark.parametrize(
    ("graph", "last", "how"),
    [
        ("ring:8", 6, Killed),
        pytest.param("ring:8", 8, KeyboardInterrupt, marks=pytest.mark.slow),
        pytest.param("regular:16:4", 5, Killed, marks=pytest.mark.slow),
    ],
)
def test_all_agree_again_and_learn(graph, last, how, tmp_path):
    made = study(parse(settings(topology__graph=graph, stop={"rounds": 20}, peers__wait=40.0)))
    rows = tables(made)
    reports = reports_of(made, rows, tmp_path, last, how)
    assert {(report.error, report.stopped) for report in reports.values()} == {("", "rounds")}
    models = torch.tensor([reports[me].model for me in range(len(rows))], dtype=torch.float64)
    torch.testing.assert_close(models, train(made, rows).models, rtol=1e-9, atol=1e-9)


@pytest.mark.slow  # silence is borne for a second
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("before", [1, 3])
def test_when_one_dies_in_the_last_flood_those_that_have_agreed_tell_the_others(
    before, again, tmp_path, monkeypatch
):
    """Peers that are far from it learn already, for few rounds, and those near it would wait for it in the agreement."""
    origins, begin = [], Exchange.begin

    def noted(exchange, origin, *args, **more):
        origins.append(origin)
        begin(exchange, origin, *args, **more)

    monkeypatch.setattr(Exchange, "begin", noted)
    raw = settings(topology__graph="ring:8", stop={"rounds": 20}, peers={"wait": 40.0, "patience": "lan"})
    made = study(parse(raw))
    rows = tables(made)
    (tmp_path / "whole").mkdir()
    reports_of(made, rows, tmp_path / "whole", again=False)
    reports = reports_of(made, rows, tmp_path, min(origins) - before, again=again)
    there = [report for report in reports.values() if report]
    assert len(there) == 7 + again
    assert {(report.error, report.stopped, report.refused) for report in there} == {("", "rounds", 0)}
    assert {report.without for report in there} == {() if again else (made.names[VICTIM],)}
