"""Runs the cells of a sweep, several at a time, each in its own process; must not know how the results are used.

Every cell has its own run folder. Complete cells are kept, so that an interrupted sweep can continue. A cell that fails or is
killed does not affect others.
"""

import multiprocessing.connection
import shutil
from collections import deque
from collections.abc import Generator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gossipfl.config.experiment import Experiment
from gossipfl.config.file import dump
from gossipfl.config.grid import Cell
from gossipfl.disk import unwritable
from gossipfl.errors import BadExperiment, GossipError
from gossipfl.experiment.evaluation.verdict import INTERRUPTED, verdict
from gossipfl.experiment.launch.processes import forkserver
from gossipfl.runs.events import Finished, Progress
from gossipfl.runs.summary import read_summary
from gossipfl.signals import interrupt_once, uninterrupted

EngineName = Literal["simulate", "run"]
PATIENCE = 10.0  # seconds that an interrupted cell has to end


class CellProgress(NamedTuple):
    """The progress of a cell: at most this share of its rounds is done."""

    cell: Cell
    share: float


class CellEnded(NamedTuple):
    """The end of a cell: its exit code, its verdict or its error, and its summary (empty if it has none)."""

    cell: Cell
    code: int
    told: str
    summary: dict[str, Any]


def sweep(
    cells: list[Cell], out: Path, engine: EngineName, jobs: int
) -> Generator[CellProgress | CellEnded, None, None]:
    """Run the cells, `jobs` at a time with one thread each. Each cell gives one CellEnded, complete ones first.

    Args:
        cells: what to run.
        out: the folder of the run folders.
        engine: "simulate" for all peers in the cell's process, "run" for live peers.
        jobs: number of cells at a time.

    Raises:
        BadExperiment: `out` is itself a run folder, or cannot be created.
    """
    if (out / "config.toml").exists():
        raise BadExperiment(f"--out {out} is the folder of a single run: give another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(f"cannot create the folder --out {out}", error) from None
    todo: deque[Cell] = deque()
    for cell in cells:
        ended = kept(cell, out / cell.folder)
        if ended:
            yield ended
        else:
            todo.append(cell)
    running: dict[Connection, tuple[Any, Cell]] = {}
    try:
        while todo or running:
            while todo and len(running) < jobs:
                with uninterrupted():
                    pipe, process = _start(todo[0], out.absolute() / todo[0].folder, engine)
                    running[pipe] = (process, todo.popleft())
            for ready in multiprocessing.connection.wait(list(running)):
                assert isinstance(ready, Connection)
                process, cell = running[ready]
                message = _receive(ready)
                if isinstance(message, float):
                    yield CellProgress(cell, message)
                    continue
                del running[ready]
                process.join()
                yield _ended(cell, out / cell.folder, message, process.exitcode)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.join(PATIENCE)
            process.kill()


def kept(cell: Cell, folder: Path) -> CellEnded | None:
    """The end of a cell whose run folder is complete; None if the cell must run."""
    try:
        found = read_summary(folder)
    except BadExperiment:  # damaged
        return None
    if not found or found["stopped"] == "interrupted" or "error" in found:
        return None
    if (folder / "config.toml").read_text(encoding="utf-8") != dump(cell.experiment):
        return None
    return CellEnded(cell, *verdict(found, cell.experiment.stop.tolerance), found)


def _start(cell: Cell, folder: Path, engine: EngineName) -> tuple[Connection, Any]:
    if (folder / "config.toml").exists():  # the rest of an interrupted run
        shutil.rmtree(folder)
    context = forkserver()
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_carry_out, args=(theirs, cell.experiment, folder, engine), daemon=engine == "simulate"
    )
    process.start()
    theirs.close()
    return mine, process


def _receive(pipe: Connection) -> Any:
    """A message of a cell; None if its process has ended."""
    try:
        return pipe.recv()
    except EOFError:
        return None


def _ended(cell: Cell, folder: Path, message: tuple[int, str] | None, exitcode: int) -> CellEnded:
    """The end of a cell, from its last message; None means that its process ended without one."""
    if message == (0, ""):
        if ended := kept(cell, folder):
            return ended
        message = INTERRUPTED, "interrupted"
    how = f"signal {-exitcode}" if exitcode < 0 else f"exit code {exitcode}"
    return CellEnded(cell, *(message or (1, f"its process ended early, with {how}")), {})


def _carry_out(pipe: Connection, experiment: Experiment, folder: Path, engine: EngineName) -> None:
    """The main function of a cell's process: it sends shares of the rounds, then an exit code and a sentence.

    (0, "") means that there is a summary.
    """
    import torch

    from gossipfl.experiment.launch.launch import run
    from gossipfl.experiment.launch.simulate import simulate

    interrupt_once()
    torch.set_num_threads(1)
    try:
        for event in (simulate if engine == "simulate" else run)(experiment, folder):
            if isinstance(event, Progress):
                pipe.send(event.round / experiment.stop.rounds)
            elif isinstance(event, Finished):
                pipe.send((0, ""))
    except GossipError as wrong:
        pipe.send((wrong.exit_code, str(wrong)))
    except KeyboardInterrupt:
        pipe.send((INTERRUPTED, "interrupted"))
    except BrokenPipeError:
        return  # the process of the sweep has ended
    except Exception as bug:
        pipe.send((1, f"{type(bug).__name__}: {bug}"))
        raise


def exit_code(ended: list[CellEnded], interrupted: bool) -> int:
    """0 if every cell succeeded; else 130, or the code of the first cell that could not run, or 6."""
    if interrupted:
        return INTERRUPTED
    failed = [one.code for one in ended if one.code and not one.summary]
    return failed[0] if failed else max((one.code for one in ended), default=0)
