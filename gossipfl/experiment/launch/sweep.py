"""Carries out the cells of a sweep, some at a time, a process each; must not know what is made of the results.

Every cell has a run folder of its own. Those that are complete already are kept, so that an interrupted sweep goes on where
it was; a cell that fails, or is killed, ends no other.
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
from gossipfl.errors import BadExperiment, GossipError
from gossipfl.experiment.evaluation.verdict import INTERRUPTED, verdict
from gossipfl.experiment.launch.processes import forkserver
from gossipfl.runs.events import Finished, Progress
from gossipfl.runs.summary import read_summary
from gossipfl.signals import interrupt_once, uninterrupted

EngineName = Literal["simulate", "run"]
PATIENCE = 10.0  # seconds that a cell has to end after it was interrupted


class CellProgress(NamedTuple):
    """A cell is so far: at most this share of its rounds is done."""

    cell: Cell
    share: float


class CellEnded(NamedTuple):
    """A cell is over: its exit code, its verdict or what went wrong, and its summary (empty where it has none)."""

    cell: Cell
    code: int
    told: str
    summary: dict[str, Any]


def sweep(
    cells: list[Cell], out: Path, engine: EngineName, jobs: int
) -> Generator[CellProgress | CellEnded, None, None]:
    """Carry out the cells, `jobs` at a time with one thread each; each ends once, the complete ones first.

    Args:
        cells: what to do.
        out: the folder of the run folders.
        engine: all peers of a cell in its process, or live peers.
        jobs: cells at a time.

    Raises:
        BadExperiment: `out` is a run folder itself, or cannot be made.
    """
    if (out / "config.toml").exists():
        raise BadExperiment(f"--out {out} is the folder of a single run: give another one")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadExperiment(f"cannot make the folder --out {out}: {error.strerror}") from None
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
                told = _hear(ready)
                if isinstance(told, float):
                    yield CellProgress(cell, told)
                    continue
                del running[ready]
                process.join()
                yield _ended(cell, out / cell.folder, told, process.exitcode)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.join(PATIENCE)
            process.kill()


def kept(cell: Cell, folder: Path) -> CellEnded | None:
    """How a cell ended whose run folder is complete already; None where it is to be carried out."""
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
    if (folder / "config.toml").exists():  # what an interruption has left
        shutil.rmtree(folder)
    context = forkserver()
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_carry_out, args=(theirs, cell.experiment, folder, engine), daemon=engine == "simulate"
    )
    process.start()
    theirs.close()
    return mine, process


def _hear(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:  # it has ended, and says nothing more
        return None


def _ended(cell: Cell, folder: Path, told: tuple[int, str] | None, exitcode: int) -> CellEnded:
    """What became of a cell that said its last word, or was killed before it could."""
    if told == (0, ""):
        if ended := kept(cell, folder):
            return ended
        told = INTERRUPTED, "interrupted"
    how = f"signal {-exitcode}" if exitcode < 0 else f"exit code {exitcode}"
    return CellEnded(cell, *(told or (1, f"its process ended early, with {how}")), {})


def _carry_out(pipe: Connection, experiment: Experiment, folder: Path, engine: EngineName) -> None:
    """The life of a cell's process: shares of the rounds, then exit code and sentence; (0, "") where there is a summary."""
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
        return  # whoever started the sweep is gone
    except Exception as bug:
        pipe.send((1, f"{type(bug).__name__}: {bug}"))
        raise


def exit_code(ended: list[CellEnded], interrupted: bool) -> int:
    """0 where every cell ended as asked; else 130, or what the first cell that could not run has, or 6."""
    if interrupted:
        return INTERRUPTED
    failed = [one.code for one in ended if one.code and not one.summary]
    return failed[0] if failed else max((one.code for one in ended), default=0)
