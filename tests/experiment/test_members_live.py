"""Real peers with keys, one of which tells every lie that its key allows, and then leaves: nobody else ends."""

import threading
import time

import msgspec
import numpy as np
import pytest
from runs import settings

from gossipfl.config.file import parse
from gossipfl.experiment.launch.processes import throwaway
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.live.process import live
from gossipfl.experiment.study.make import study
from gossipfl.peer import ZeroMQ
from gossipfl.peer.rumours import Rumours
from gossipfl.peer.wire import Opening, decode, encode

LIAR, L2, LASTS = 1, 0.1, 0.2  # seconds of each lie
LIES = {
    "is over": lambda h, p: ({"rumours": Rumours(over=True)}, p),
    "is deep": lambda h, p: ({"rumours": Rumours(depth=20_000)}, p),
    "is broken": lambda h, p: ({"rumours": Rumours(broken=2**61)}, p),
    "is cut": lambda h, p: ({"rumours": Rumours(cuts=((3, 4, 2**61 + 1),))}, p),
    "needs another step": lambda h, p: ({"mine": h.mine + 1, "opens": Opening(1 / 3, h.study, 1e-300)}, p),
    "weighs a lot": lambda h, p: ({"mine": h.mine + 2, "opens": Opening(-1e6, h.study)}, p),
    "is far away": lambda h, p: ({"number": h.number + 2**50}, p),
    "is ahead": lambda h, p: ({"number": h.number + 10**7}, p),
    "is not finite": lambda h, p: ({}, np.full(len(p) // 8, np.nan).tobytes()),
    "is large": lambda h, p: ({}, np.full(len(p) // 8, 1e300).tobytes()),
    "is short": lambda h, p: ({}, p[:-1]),
    "transfers": lambda h, p: ({"transfer": True}, b"nonsense"),
    "has diverged": lambda h, p: ({"leaving": "diverged"}, b""),
}  # fmt: skip


class Liar(ZeroMQ):
    """Its messages are forged from the time on at which it learns; after its goodbye it is silent."""

    learns = False
    since, told = 0.0, set()

    def lie(self):
        self.since = self.since or time.monotonic()
        return int((time.monotonic() - self.since) / LASTS)

    def send(self, to, frames):
        header = decode(frames[0])
        if not self.since and not self.learns:
            return super().send(to, frames)
        now = self.lie()
        if now >= len(LIES) - 1 and to in self.told:
            return True
        if now >= len(LIES) - 1:
            self.told.add(to)
        words = [*LIES.values()][min(now, len(LIES) - 1)]
        changes, payload = words(header, frames[1])
        changes = {"converged": b""} | changes
        return super().send(to, [encode(msgspec.structs.replace(header, **changes)), payload])

    def recv(self, timeout):
        if len(self.told) == 2 and self.learns:
            self.learns = False
            raise KeyboardInterrupt
        return super().recv(timeout)


def named(report):
    """Who was refused, from the sentences of a report."""
    return {said[: said.index(" ") + 1] for said in report.refusals}


@pytest.mark.slow  # four peers, for some seconds
def test_nobody_else_ends_whatever_a_member_says(tmp_path):
    rng = np.random.default_rng(3)
    x, rows = rng.normal(size=(80, 3)), np.split(np.arange(80), 4)
    y = x @ [1.0, -2.0, 0.5] + 3 + rng.normal(size=80)
    for me, own in enumerate(rows):
        table = np.column_stack((x[own], y[own]))
        np.savetxt(tmp_path / f"{me}.csv", table, delimiter=",", header="a,b,c,y", comments="")
    raw = settings(
        data={"source": f"{tmp_path}/*.csv", "target": "y", "test": 0.0, "standardise": "none"},
        topology__graph="ring:4", model={"kind": "linear", "l2": L2}, algorithm__kind="exact-diffusion",
        stop={"rounds": 1_000_000, "tolerance": 1e-11, "absent": 1.0}, peers__security="keys",
    )  # fmt: skip
    made = study(parse(raw))
    keys, own = throwaway(made), tables(made)
    transports = [(Liar if me == LIAR else ZeroMQ)("tcp://127.0.0.1:*", 10**6, keys[me]) for me in range(4)]
    reports = {}

    def lives(me):
        def tell(what, _):
            if what == "learning" and me == LIAR:
                transports[me].learns = True

        near = {other: transports[other].endpoint for other in ((me - 1) % 4, (me + 1) % 4)}
        (tmp_path / f"run-{me}").mkdir()
        with made.unrecorded():
            reports[me] = live(made, me, own[me], tmp_path / f"run-{me}", transports[me], near, tell)

    threads = [threading.Thread(target=lives, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    theirs = np.concatenate([rows[me] for me in range(4) if me != LIAR])
    z = np.column_stack((x[theirs], np.ones(len(theirs))))
    truth = np.linalg.solve(z.T @ z / len(z) + np.diag([L2, L2, L2, 0]), z.T @ y[theirs] / len(z))
    for me in (0, 2, 3):
        report = reports[me]
        assert (report.exit_code, report.stopped, report.without) == (0, "tolerance", (made.names[LIAR],)), (
            report
        )
        assert np.linalg.norm(np.array(report.model) - truth) <= 1e-8 * np.linalg.norm(truth)
    for me in (0, 2):
        assert named(reports[me]) == {f"{made.names[LIAR]} "}
    assert named(reports[3]) == set(), "it is no neighbour of the liar's"
