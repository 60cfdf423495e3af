"""The processes of the peers on this machine: how they begin, stop and end; must not know what they tell."""

import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from gossipfl.data import Table
from gossipfl.experiment.live.process import main
from gossipfl.experiment.study.study import Study
from gossipfl.runs import folder as files
from gossipfl.signals import deaf, uninterrupted


def forkserver() -> ForkServerContext:
    """The context whose server forks the peers. Starts it, if it is not running, and does not wait for its imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gossipfl.experiment.launch.preload"])
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # for the server and all that it forks
    try:
        multiprocessing.resource_tracker.ensure_running()  # which unblocks SIGINT
        with deaf():  # a Ctrl-C is for whoever waits for the imports
            multiprocessing.forkserver.ensure_running()
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads
    return context


class Lives:
    """Each peer's process of today, and the pipe to it. A peer may die, and live again in the same folder.

    Args:
        made: the study.
        rows: each peer's.
        folder: of the run.
        rejoin: all go on from their checkpoints there.
    """

    def __init__(self, made: Study, rows: list[Table], folder: Path, rejoin: bool = False) -> None:
        self.pipes: dict[int, Connection] = {}  # of the peers that have not ended
        self.stopped: set[int] = set()  # by SIGSTOP
        self.context = forkserver()
        self._made, self._rows = made, rows
        self._folders = [files.peer_folder(folder, name) for name in made.names]
        self._processes: dict[int, Any] = {}
        ipc = made.experiment.peers.transport == "ipc"
        self._sockets = Path(tempfile.mkdtemp(prefix="gossipfl-")) if ipc else None
        unreliable = made.faults.unreliable
        self._chances = [self.context.RawArray("d", 2) for _ in made.names] if unreliable else []
        for me in range(len(made.names)):
            self._begin(me, self._endpoint(me), rejoin=rejoin)

    @property
    def running(self) -> set[int]:
        """Those that have not ended, and do not hang by our doing."""
        return set(self.pipes) - self.stopped

    def again(self, me: int, endpoint: str, fresh: bool) -> None:
        """A dead peer lives again, where it listened before; `fresh`: without what it had written down."""
        if fresh:
            for checkpoint in self._folders[me].glob("checkpoint*"):
                with suppress(OSError):  # on a read-only disk it stays, and is not read
                    checkpoint.unlink()
        self._begin(me, endpoint, rejoin=not fresh)

    def kill(self, me: int) -> None:
        self._signal(me, signal.SIGKILL)
        self.stopped.discard(me)

    def stop(self, me: int) -> None:
        self._signal(me, signal.SIGSTOP)
        self.stopped.add(me)

    def resume(self, me: int) -> None:
        self._signal(me, signal.SIGCONT)
        self.stopped.discard(me)

    def chance(self, me: int, place: int, amount: float) -> None:
        """The probability that what a peer sends is lost (place 0) or doubled (1), from now on."""
        self._chances[me][place] = amount

    def interrupt(self) -> None:
        """Ask all peers to end early and politely, those that hang included."""
        for me in list(self.stopped):
            self.resume(me)
        for process in self._processes.values():
            if process.is_alive():
                process.terminate()

    def end(self, me: int) -> str:
        """Wait for a peer whose pipe has ended; what became of its process."""
        self.pipes.pop(me).close()
        self.stopped.discard(me)
        process = self._processes[me]
        process.join()
        if process.exitcode is not None and process.exitcode < 0:
            return f"killed by {signal.Signals(-process.exitcode).name}"
        return f"died with exit code {process.exitcode}"

    def close(self) -> None:
        """End whatever still runs, and wait for it."""
        self.interrupt()
        for process in self._processes.values():
            process.join()
        for pipe in self.pipes.values():
            pipe.close()
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _begin(self, me: int, endpoint: str, **how: Any) -> None:
        mine, theirs = self.context.Pipe()
        arguments = (theirs, self._made, me, self._rows[me], self._folders[me], endpoint)
        if self._chances:
            how["chances"] = self._chances[me]
        process = self.context.Process(
            target=main, args=arguments, kwargs=how, name=self._made.names[me], daemon=True
        )
        with uninterrupted():  # half a start would tear the server
            process.start()
            theirs.close()
            self.pipes[me], self._processes[me] = mine, process

    def _signal(self, me: int, number: signal.Signals) -> None:
        if self._processes[me].is_alive():
            os.kill(self._processes[me].pid, number)

    def _endpoint(self, me: int) -> str:
        """Where a peer listens: as the topology file says, or wherever this machine has room."""
        fixed: str | None = self._made.graph.nodes[self._made.names[me]].get("endpoint")
        if fixed:
            return fixed
        return f"ipc://{self._sockets}/{me}" if self._sockets else "tcp://127.0.0.1:*"
