"""The peers' processes on this machine, and what they tell; must not take part in the learning.

It waits for events only: a message in a pipe, or the end of a process.
"""

import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import networkx as nx

from gossipfl.data import Table
from gossipfl.errors import GossipError, NetworkError
from gossipfl.experiment import folder as files
from gossipfl.experiment.learn import Progress
from gossipfl.experiment.process import Report, main
from gossipfl.experiment.study import Study


class Failed(GossipError):
    """A peer could not go on; `exit_code` is that of its own error."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]


def forkserver() -> multiprocessing.context.ForkServerContext:
    """The context whose server forks the peers. Starts it, if it is not running, and does not wait for its imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gossipfl.experiment.preload"])
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # for the server and all that it forks
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads
    return context


class Crew:
    """The peers' processes, from a preloaded forkserver, and what they have said so far."""

    def __init__(self, made: Study, rows: list[Table], folder: Path) -> None:
        self.names = made.names
        self.reports: dict[int, Report] = {}
        self.status: dict[int, str] = {}
        self.learning_since = time.monotonic()
        self._sockets = (
            Path(tempfile.mkdtemp(prefix="gossipfl-")) if made.experiment.peers.transport == "ipc" else None
        )
        self._endpoints: dict[int, str] = {}
        self._learning = 0
        self._asked = False
        self._lines: dict[int, dict[int, Progress]] = {}
        self._graph = made.graph
        context = forkserver()
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        for me, name in enumerate(self.names):
            mine, theirs = context.Pipe()
            own = files.peer_folder(folder, name)
            arguments = (theirs, made, me, rows[me], own, self._endpoint(me))
            process = context.Process(target=main, args=arguments, name=name, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(mine)
            self._processes.append(process)

    def follow(self) -> Iterator[Progress]:
        """Everything that the peers tell until all have ended, as one line for each round that all have reported."""
        interrupted = False
        alive = dict(enumerate(self._pipes))
        while alive:
            try:
                for pipe in wait(list(alive.values())):
                    me = self._pipes.index(pipe)  # type: ignore[arg-type]
                    try:
                        kind, what = self._pipes[me].recv()
                    except (EOFError, ConnectionResetError):
                        kind, what = "end", None
                        del alive[me]
                    line = self._heard(me, kind, what)
                    if line:
                        yield line
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                self.interrupt()

    def _heard(self, me: int, kind: str, what: Any) -> Progress | None:
        """What one peer told: a line of metrics, once all that live have told theirs of that round."""
        match kind:
            case "endpoint":
                self._endpoints[me] = what
                if len(self._endpoints) == len(self.names):
                    self._introduce()
            case "learning":
                self._learning += 1
                if self._learning == len(self.names):
                    self.learning_since = time.monotonic()
            case "progress":
                return self._line(me, what)
            case "report":
                self.reports[me] = what
            case "end":
                self._ended(me)
                if len(self._endpoints) < len(self.names):  # it never listened, so that nobody can begin
                    self.interrupt()
        return None

    def _introduce(self) -> None:
        """Everybody listens: tell each peer where its neighbours do."""
        for me, name in enumerate(self.names):
            near = sorted({self.names.index(other) for other in nx.all_neighbors(self._graph, name)})
            with contextlib.suppress(BrokenPipeError):  # it has ended meanwhile, which its pipe tells next
                self._pipes[me].send({other: self._endpoints[other] for other in near})

    def _ended(self, me: int) -> None:
        process, report = self._processes[me], self.reports.get(me)
        process.join()
        if report is not None:
            self.status[me] = f"failed: {report.error}" if report.error else report.stopped
        elif process.exitcode is not None and process.exitcode < 0:
            self.status[me] = f"killed by {signal.Signals(-process.exitcode).name}"
        else:
            self.status[me] = f"died with exit code {process.exitcode}"

    def _line(self, me: int, line: Progress) -> Progress | None:
        told = self._lines.setdefault(line.round, {})
        told[me] = line
        if any(peer not in told and peer not in self.status for peer in range(len(self.names))):
            return None
        for past in [round for round in self._lines if round <= line.round]:
            del self._lines[past]
        lines = list(told.values())
        return Progress(
            line.round,
            sum(one.loss for one in lines) / len(lines),
            max(one.disagreement for one in lines),
            max(one.seconds for one in lines),
        )

    def interrupt(self) -> None:
        """Ask all peers to end early and politely."""
        self._asked = True
        for process in self._processes:
            if process.is_alive():
                process.terminate()

    def failure(self) -> GossipError | None:
        """The first cause of why a peer could not go on, if one could not."""
        causes = [r for r in self.reports.values() if r.error and not r.departed]
        if not self._asked and (dead := [me for me in self.status if me not in self.reports]):
            who = ", ".join(f"{self.names[me]} {self.status[me]}" for me in dead[:8])
            waited = any(report.error for report in self.reports.values())
            rest = "its neighbours waited for it in vain" if waited else "the others went on without it"
            return NetworkError(f"peer {who}, and {rest}; see its log.jsonl in the run folder")
        if causes:
            return Failed(causes[0].error, causes[0].exit_code)
        departed = [r for r in self.reports.values() if r.error]
        return Failed(departed[0].error, departed[0].exit_code) if departed else None

    def close(self) -> None:
        """End whatever still runs, and wait for it."""
        for process in self._processes:
            if process.is_alive():
                process.terminate()
            process.join()
        for pipe in self._pipes:
            pipe.close()
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _endpoint(self, me: int) -> str:
        """Where a peer listens: as the topology file says, or wherever this machine has room."""
        fixed: str | None = self._graph.nodes[self.names[me]].get("endpoint")
        if fixed:
            return fixed
        return f"ipc://{self._sockets}/{me}" if self._sockets else "tcp://127.0.0.1:*"
