"""What a peer's terminal shows while it learns: who comes and goes, and how fast it is."""

import io
import threading
from types import SimpleNamespace

from rich.console import Console

from gossipfl.experiment.live.news import HUSHED, MANY, SOURCES, WHILE, News, news
from gossipfl.peer.limits import RefusalLog
from gossipfl.report import live
from gossipfl.runs.events import Progress, Started


def test_what_is_logged_around_a_peer_is_told_in_its_own_thread_and_only_meanwhile():
    said, around = [], SOURCES[0]
    with news(said.append):
        around.warning("%s is given up: %s", "b", "silent")
        other = threading.Thread(target=around.warning, args=("another peer's",))
        other.start()
        other.join()
    around.warning("too late")
    assert said == ["b is given up: silent"]


def test_of_refusals_that_go_on_the_first_is_news():
    said, refuse = [], RefusalLog(SOURCES[0])
    with news(said.append):
        for now in (0.0, 0.1, 5.0):
            refuse("b takes part in another study", now)
    assert said == ["refused a message: b takes part in another study"]


def test_a_neighbour_that_flaps_does_not_flood_and_the_silence_is_said():
    said, now = [], 0.0
    handler = News(said.append, lambda: now)

    def flap() -> None:
        record = SOURCES[0].makeRecord("", 20, "", 0, "b is back", (), None)
        handler.emit(record)

    for _ in range(1000):
        flap()
        now += WHILE / 1000
    assert said == ["b is back"] * MANY + [HUSHED]
    now += WHILE
    flap()
    assert said[-1] == "b is back", "it is quiet enough again"


def test_who_comes_late_is_as_fast_as_its_own_rounds(monkeypatch):
    now = iter(range(0, 1000, 10))
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: next(now)))
    screen = Console(file=io.StringIO(), width=200)
    with live.View(screen, quiet=False, silent=False, plain=True) as view:
        view.show(Started("run", 1, 1100))
        view.show(Progress(1000, 1.0, 0.0, 0.5))
        view.show(Progress(1020, 1.0, 0.0, 10.5))
    first, later = screen.file.getvalue().splitlines()[-2:]
    assert "rounds/s" not in first
    assert "2 rounds/s, at most 40" in later
