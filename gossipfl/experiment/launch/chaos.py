"""An experiment under random faults, then quiet, and whether all is well afterwards; must not know how faults are done."""

import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gossipfl.algorithms import METHODS
from gossipfl.config.file import Experiment, parse
from gossipfl.errors import Incompatible
from gossipfl.experiment.launch.launch import run
from gossipfl.experiment.study.method import study
from gossipfl.faults.footprint import GROWTH, LONG, SLACK, Footprints
from gossipfl.runs.events import Event, Finished, Started, Struck
from gossipfl.runs.learned import Summary

EXACT = 1e-8  # relative distance to the optimum of all data that counts as reached
BEGIN = 3.0  # seconds of peace at first
KINDS = ("kill", "kill", "stop", "cut", "delay", "loss", "duplicate", "reset")
NO_END = 2**53


class Chaos(NamedTuple):
    """How much of it."""

    minutes: float
    every: float = 2.0  # seconds between two faults
    rest: float = 20.0  # seconds of quiet in the end
    seed: int | None = None  # the experiment's, unless given


class Check(NamedTuple):
    """One thing that should hold in the end. `holds` is None where it could not be judged."""

    what: str
    holds: bool | None
    told: str


def troubled(experiment: Experiment, how: Chaos) -> Experiment:
    """The experiment with random faults in place of its own, which ends by the clock and is compared with the optimum."""
    method = METHODS.get(experiment.algorithm.kind)
    if method is not None and not method.rounds:
        raise Incompatible(
            "chaos asks whether the optimum is reached in the end, which gossip learning only comes near: give gossipfl run "
            "[[faults]] of your own"
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
    """Carry the troubled experiment out; the summary of the last event has "checks", and "struck": what began how often.

    Raises:
        GossipError: as `launch.run`.
    """
    asked = troubled(experiment, how)
    names = study(asked).names
    footprints, struck = Footprints(names), Counter[str]()
    events = run(asked, out)
    event = next(events)
    while not isinstance(event, Finished):
        if not isinstance(event, Started):
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
    told = [check._asdict() for check in checks(event.summary, footprints)]
    yield Finished(event.folder, event.summary | {"checks": told, "struck": dict(struck)})


def checks(summary: Summary, footprints: Footprints) -> list[Check]:
    """What should hold after chaos, and whether it does."""
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
            f"{'nowhere' if apart is None else format(apart, '.1e')}, relative, of the farthest; {EXACT:g} is asked for",
        ),
        Check(
            "memory is flat",
            not fat if grown else None,
            (f"{', '.join(fat)} grew; " if fat else "")
            + f"at most {most:.1%} more in the last quarter of a life than in the second, beyond {SLACK >> 20} MB, of "
            f"{len(grown)} peers that lived {LONG} s; {GROWTH:.0%} is allowed"
            if grown
            else f"not judged: nobody lived {LONG} s",
        ),
        Check(
            "no descriptor or thread is left over",
            not leaked,
            f"{', '.join(leaked) or 'nobody'} has more than at first, of {seen} processes",
        ),
    ]
