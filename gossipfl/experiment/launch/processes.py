"""Peers as processes of this machine: start, signal and end them; must not know what their messages mean."""

import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import shutil
import signal
import tempfile
from collections.abc import Set
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from gossipfl.data import Table
from gossipfl.experiment.launch.placement import Signal
from gossipfl.experiment.live.keyring import signing, throwaway
from gossipfl.experiment.live.process import main
from gossipfl.experiment.study.study import Study
from gossipfl.runs import folder as files
from gossipfl.signals import deaf, uninterrupted

NUMBERS: dict[Signal, signal.Signals] = {
    "kill": signal.SIGKILL,
    "stop": signal.SIGSTOP,
    "continue": signal.SIGCONT,
    "interrupt": signal.SIGTERM,
}


LONGEST = 70  # bytes of a temporary folder in which sockets have paths that the system accepts


def short_temporary() -> None:
    """Make temporary files in another folder, if the path of the present one is too long for sockets."""
    if len(os.fsencode(tempfile.gettempdir())) > LONGEST:
        tempfile.tempdir = next(
            (place for place in ("/tmp", "/var/tmp") if os.access(place, os.W_OK | os.X_OK)),
            tempfile.tempdir,
        )


def forkserver() -> ForkServerContext:
    """The context whose server forks the peers. Starts the server if none runs, and does not wait for its imports."""
    short_temporary()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gossipfl.experiment.launch.preload"])
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # for the server and all that it forks
    try:
        multiprocessing.resource_tracker.ensure_running()  # this unblocks SIGINT
        with deaf():  # Ctrl-C goes to the launcher, not to the server
            multiprocessing.forkserver.ensure_running()
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads
    return context


class Processes:
    """A process of this machine for each peer, with a pipe to it (a `Placement`).

    Args:
        made: the study.
        rows: the table of each peer.
        folder: the folder of the run.
    """

    def __init__(self, made: Study, rows: list[Table], folder: Path) -> None:
        self.stopped: set[int] = set()  # by SIGSTOP
        self.context = forkserver()
        self._pipes: dict[int, Connection] = {}  # of the peers that have not ended
        self._made, self._rows = made, rows
        self._folders = [files.peer_folder(folder, name) for name in made.names]
        self._processes: dict[int, Any] = {}
        ipc = made.experiment.peers.transport == "ipc"
        self._sockets = Path(tempfile.mkdtemp(prefix="gossipfl-")) if ipc else None
        unreliable = made.faults.unreliable
        self._keys = throwaway(made) if made.experiment.peers.security == "keys" else {}
        self._identities = signing(made) if made.secure else {}
        self._chances = [self.context.RawArray("d", 2) for _ in made.names] if unreliable else []

    @property
    def present(self) -> Set[int]:
        return self._pipes.keys()

    def endpoint(self, me: int) -> str:
        fixed: str | None = self._made.graph.nodes[self._made.names[me]].get("endpoint")
        if fixed:
            return fixed
        return f"ipc://{self._sockets}/{me}" if self._sockets else "tcp://127.0.0.1:*"

    def start(self, me: int, endpoint: str, rejoin: bool, fresh: bool = False) -> None:
        if fresh:
            for checkpoint in self._folders[me].glob("checkpoint*"):
                with suppress(OSError):  # on a read-only disk it stays, and is not read
                    checkpoint.unlink()
        mine, theirs = self.context.Pipe()
        arguments = (theirs, self._made, me, self._rows[me], self._folders[me], endpoint)
        how: dict[str, Any] = {"rejoin": rejoin}
        if self._chances:
            how["chances"] = self._chances[me]
        if self._keys:
            how["keys"] = self._keys[me]
        if self._identities:
            how["identity"] = self._identities[me]
        process = self.context.Process(
            target=main, args=arguments, kwargs=how, name=self._made.names[me], daemon=True
        )
        with uninterrupted():  # an interrupted start breaks the server
            process.start()
            theirs.close()
            self._pipes[me], self._processes[me] = mine, process

    def signal(self, me: int, what: Signal) -> None:
        process = self._processes[me]
        if process.is_alive():
            os.kill(process.pid, NUMBERS[what])
        if what == "stop":
            self.stopped.add(me)
        elif what != "interrupt":
            self.stopped.discard(me)

    def chance(self, me: int, place: int, amount: float) -> None:
        self._chances[me][place] = amount

    def wait(self, timeout: float | None) -> list[int]:
        # A stopped peer may be in the middle of a message.
        pipes = {self._pipes[me]: me for me in self._pipes if me not in self.stopped}
        return [pipes[pipe] for pipe in wait(list(pipes), timeout)]  # type: ignore[index]

    def hear(self, me: int) -> tuple[str, Any] | None:
        try:
            word, what = self._pipes[me].recv()
            return word, what
        except (EOFError, OSError):
            return None

    def say(self, me: int, what: Any) -> None:
        with suppress(BrokenPipeError):
            self._pipes[me].send(what)

    def outcome(self, me: int) -> str:
        self._pipes.pop(me).close()
        self.stopped.discard(me)
        process = self._processes[me]
        process.join()
        if process.exitcode is not None and process.exitcode < 0:
            return f"killed by {signal.Signals(-process.exitcode).name}"
        return f"died with exit code {process.exitcode}"

    def close(self) -> None:
        for me in self._processes:
            if me in self.stopped:
                self.signal(me, "continue")
            self.signal(me, "interrupt")
        for pipe in self._pipes.values():
            pipe.close()  # before the wait for a peer, because the peer may wait at the other end
        for process in self._processes.values():
            process.join()
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)
