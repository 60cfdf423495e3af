"""Learning in this process for a caller in Python; must not know live peers, and writes no file."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

from gossipfl.experiment.learning.simulated import Simulated
from gossipfl.experiment.learning.tables import Given
from gossipfl.experiment.learning.train import training
from gossipfl.runs.events import Progress, Warned
from gossipfl.runs.learned import Learned

Show = Callable[[Progress | Warned], None]


class Lesson(NamedTuple):
    """What the peers learned, and each line of metrics on the way."""

    learned: Learned
    lines: list[Progress]


def learn(given: Given, show: Show = lambda _: None) -> Lesson:
    """Let the peers learn; Ctrl-C ends it early, with the models of that moment.

    Raises:
        GossipError: study or rows are not valid.
    """
    lines: list[Progress] = []
    with one_thread():
        learning = training(given.study, given.rows, Simulated(given.study))
        interrupted = False
        while True:
            try:
                event = learning.throw(KeyboardInterrupt()) if interrupted else next(learning)
                if isinstance(event, Progress):
                    lines.append(event)
                show(event)
            except StopIteration as end:
                return Lesson(end.value, lines)
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch, as several wait for each other on small tensors; the caller's number is set again at the end."""
    before = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
