"""A peer process that only counts rounds, for tests of the crew. It writes a checkpoint, and can be made to die."""

import os
import signal
import socket
import struct

from gossipfl.experiment.live.reports import Report
from gossipfl.runs.events import Progress

TICK = 0.002  # seconds of a round


def main(pipe, made, me, table, folder, endpoint, rejoin=False, chances=None):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if made.experiment.name == f"early-{me}":
        os._exit(3)
    if made.experiment.name == "stubborn":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(4))
    port = 0 if endpoint.endswith("*") else int(endpoint.rpartition(":")[2])
    listening = socket.create_server(("127.0.0.1", port))
    own = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
    pipe.send(("endpoint", own))
    near = pipe.recv()
    checkpoint = folder / "checkpoint-0.safetensors"
    partial = folder / "partial"
    began = round = int(checkpoint.read_text()) if rejoin and checkpoint.exists() else 0
    pipe.send(("learning", None))
    lost = []
    while round < made.experiment.stop.rounds:
        pipe.poll(TICK)
        round += 1
        if made.experiment.name == f"dies-{me}" and round == 20:
            os._exit(3)
        if made.experiment.name == f"torn-{me}" and round == 20:
            os.write(pipe.fileno(), struct.pack("!i", 1000) + b"half of it")
            os._exit(3)
        if made.experiment.name == "warns" and round == 20:
            pipe.send(("warning", "cannot write"))
        partial.write_text(str(round))
        partial.replace(checkpoint)
        lost.append(tuple(chances) if chances else None)
        pipe.send(("progress", Progress(round, 1.0, 0.0, 0.0)))
    told = f"{own} {sorted(near.items())} {began} {rejoin} {sorted({*lost}, key=str)}"
    pipe.send(("report", Report(rounds=round, stopped="rounds", why=told, model=[0.0])))
    listening.close()
