"""An experiment with random faults, then a quiet time, then checks; must not know how faults are carried out."""

import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gossipfl.algorithms import METHODS
from gossipfl.config.file import Experiment, parse
from gossipfl.errors import Incompatible
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.study.make import study
from gossipfl.faults.footprint import GROWTH, LONG, SLACK, Footprints
from gossipfl.runs.events import Event, Finished, Started, Struck, Warned
from gossipfl.runs.learned import Summary

EXACT = 1e-8  # relative distance below which the optimum of all data is reached
BEGIN = 3.0  # seconds without faults at the start
KINDS = ("kill", "kill", "stop", "cut", "delay", "loss", "duplicate", "reset")
NO_END = 2**53


class Chaos(NamedTuple):
    """The amount of chaos."""

    minutes: float
    every: float = 2.0  # seconds between two faults
    rest: float = 20.0  # seconds without faults at the end
    seed: int | None = None  # None for the experiment's seed


class Check(NamedTuple):
    """One condition at the end. `holds` is None if it could not be checked."""

    what: str
    holds: bool | None
    told: str


def troubled(experiment: Experiment, how: Chaos) -> Experiment:
    """The experiment with random faults in place of its own, a time limit, and a comparison with the optimum."""
    method = METHODS.get(experiment.algorithm.kind)
    if method is not None and not method.rounds:
        raise Incompatible(
            "chaos checks that peers reach the optimum, and gossip learning only comes near it: use gossipfl run with your own "
            "[[faults]]"
        )
    raw: dict[str, Any] = experiment.model_dump(mode="json", exclude_none=True)
    until = BEGIN + 60 * how.minutes
    raw["faults"] = [
        {
            "do": "random", "at": BEGIN, "every": how.every, "until": until, "lasts": 4 * how.every, "fresh": True,
            "kinds": list(KINDS), "jitter": 0.02,
        }
    ]  # fmt: skip
    raw["stop"] |= {"rounds": NO_END, "tolerance": 0.0, "seconds": until + how.rest}
    raw["peers"] |= {"report": experiment.peers.report or 50}
    return parse(raw | {"reference": True} | ({} if how.seed is None else {"seed": how.seed}))


def chaos(experiment: Experiment, how: Chaos, out: Path | None = None) -> Iterator[Event]:
    """Run the experiment under chaos. The summary of the last event has "checks", and "struck", the counts of faults by kind.

    Raises:
        GossipError: as `launch.run`.
    """
    asked = troubled(experiment, how)
    names = study(asked).names
    footprints, struck = Footprints(names), Counter[str]()
    events = run(asked, out)
    event = next(events)
    while not isinstance(event, Finished):
        if not isinstance(event, Started | Warned):  # a first warning comes before the peers
            footprints.look(time.monotonic())
        if isinstance(event, Struck) and event.begins:
            struck[event.do] += 1
        try:
            yield event
        except KeyboardInterrupt:
            if not isinstance(events, Generator):
                raise
            event = events.throw(KeyboardInterrupt())
        else:
            event = next(events)
    found = [check._asdict() for check in checks(event.summary, footprints)]
    yield Finished(event.folder, event.summary | {"checks": found, "struck": dict(struck)})


def checks(summary: Summary, footprints: Footprints) -> list[Check]:
    """The conditions after chaos, and whether they hold."""
    peers, apart = len(footprints.lives), summary["distance_to_optimum"]
    grown, leaked = footprints.grown(), footprints.leaked()
    fat = {name: part for name, part in grown.items() if part > GROWTH}
    most = max(grown.values(), default=0.0)
    seen = sum(map(len, footprints.lives.values()))
    return [
        Check("every peer is there", summary["peers"] == peers, f"{summary['peers']} of {peers}"),
        Check(
            "at the optimum of all data",
            apart is not None and apart <= EXACT,
            f"the largest relative distance is {'unknown' if apart is None else format(apart, '.1e')}; the limit is {EXACT:g}",
        ),
        Check(
            "memory is flat",
            not fat if grown else None,
            (f"grown: {', '.join(fat)}; " if fat else "")
            + f"at most {most:.1%} from the second to the last quarter of a life, beyond {SLACK >> 20} MB, of {len(grown)} "
            f"peers that lived {LONG} s; the limit is {GROWTH:.0%}"
            if grown
            else f"not checked: no peer lived {LONG} s",
        ),
        Check(
            "no descriptor or thread is left over",
            not leaked,
            f"more than at first: {', '.join(leaked) or 'no peer'}, of {seen} processes",
        ),
    ]
