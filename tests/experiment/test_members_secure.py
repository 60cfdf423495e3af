"""Peers with secure sums, one of which sends what no peer sends: nobody ends, and the model is that of all rows."""

import threading
from queue import SimpleQueue

import msgspec
import numpy as np
import pytest
import torch
from runs import settings

from gossipfl.config.file import parse
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.learning.train import train
from gossipfl.experiment.live.keyring import signing
from gossipfl.experiment.live.process import live
from gossipfl.experiment.study.make import study
from gossipfl.peer import Memory
from gossipfl.peer.rumours import Rumours
from gossipfl.peer.wire import decode, encode, ident

LIAR, LIES = 0, 1  # each sum that fails counts as one that rows must bear
KINDS = {
    "short": lambda h, p: ({}, p[:-8]),
    "long": lambda h, p: ({}, p + p),
    "not-finite": lambda h, p: ({}, np.full(len(p) // 8, np.nan).tobytes()),
    "large": lambda h, p: ({}, np.full(len(p) // 8, 1e300).tobytes()),
    "broken": lambda h, p: ({"rumours": Rumours(broken=2**61, depth=20_000, over=True)}, p),
}


class Liar(Memory):
    """Forges its first message of learning, and then tells the truth, also where it repeats what was not used."""

    def __init__(self, me, hub, lie=None):
        super().__init__(me, hub)
        self.lie, self.learns, self.lies = lie, False, 0

    def send(self, to, frames):
        header = decode(frames[0])
        if self.lie and self.learns and self.lies < LIES and not header.leaving:
            self.lies += 1
            changes, payload = self.lie(header, frames[1])
            frames = [encode(msgspec.structs.replace(header, **changes)), payload]
        return super().send(to, frames)

    def connect(self, neighbours, queue):
        pass

    def close(self, linger=0.0, gone=()):
        pass


@pytest.mark.parametrize("lie", KINDS)
def test_nobody_ends_and_a_sum_that_was_spoilt_is_repeated(lie, tmp_path):
    made = study(
        parse(
            settings(
                topology__graph="line:4",
                algorithm__kind="newton",
                privacy__sums="secure",
                data__partition={"scheme": "iid"},
                stop={"rounds": 300, "tolerance": 1e-9},
            )
        )
    )
    rows, signs = tables(made), signing(made)
    hub, reports = {ident(name): SimpleQueue() for name in made.names}, {}
    transports = [
        Liar(ident(name), hub, KINDS[lie] if me == LIAR else None) for me, name in enumerate(made.names)
    ]

    def act(me):
        def tell(what, _):
            transports[me].learns |= what == "learning"

        (tmp_path / f"{me}").mkdir()
        near = {made.names.index(other): "tcp://127.0.0.1:1" for other in made.graph[made.names[me]]}
        reports[me] = live(
            made, me, rows[me], tmp_path / f"{me}", transports[me], near, tell, identity=signs[me]
        )

    threads = [threading.Thread(target=act, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert transports[LIAR].lies == LIES
    assert {(report.error, report.stopped) for report in reports.values()} == {("", "tolerance")}
    models = torch.tensor([reports[me].model for me in range(4)], dtype=torch.float64)
    truth = train(made, rows).models
    assert float((models - truth).norm() / truth.norm()) <= 1e-8
