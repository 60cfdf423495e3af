"""The status of a run's peers as Prometheus metrics; must not know who asks for them."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from gossipfl.errors import BadExperiment
from gossipfl.runs.status import PeerStatus, statuses

STATES = "up", "suspected", "down", "left"
MESSAGES = "sent", "resent", "unsent", "refused", "late"


class Peers:
    """A Prometheus collector of the peers in a run folder. Each scrape reads the files again, and no peer notices it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        try:
            found = statuses(self._folder)
        except BadExperiment:  # the folder is being made, or was removed: nothing to show until it is there
            found = []
        return families(found)


def families(found: list[PeerStatus]) -> Iterator[Metric]:
    """The metrics of these peers; counters and gauges have the label `peer`."""
    ended = GaugeMetricFamily("gossipfl_ended", "1 if the peer has written its result", labels=["peer"])
    failed = GaugeMetricFamily("gossipfl_failed", "1 if the peer ended with an error", labels=["peer"])
    age = GaugeMetricFamily(
        "gossipfl_status_age_seconds", "Seconds since the peer wrote its status", labels=["peer"]
    )
    rounds = GaugeMetricFamily("gossipfl_round", "The last round that the peer has reported", labels=["peer"])
    near = GaugeMetricFamily(
        "gossipfl_neighbour", "1 for the state of a neighbour, else 0", labels=["peer", "neighbour", "state"]
    )
    sent = CounterMetricFamily(
        "gossipfl_messages", "Messages of the peer, by what became of them", labels=["peer", "kind"]
    )
    for one in found:
        ended.add_metric([one.peer], float(one.state.startswith("ended")))
        failed.add_metric([one.peer], float(bool(one.error)))
        if one.ago is not None:
            age.add_metric([one.peer], one.ago)
        if one.round is not None:
            rounds.add_metric([one.peer], one.round)
        for neighbour, status in one.neighbours.items():
            for state in STATES:
                near.add_metric([one.peer, neighbour, state], float(status.get("state") == state))
        for kind in MESSAGES:
            if kind in one.counters:
                sent.add_metric([one.peer, kind], one.counters[kind])
    yield from (ended, failed, age, rounds, near, sent)
