"""What a member with a key can do to learning peers, and what the decoder makes of any bytes.

    python benchmarks/hostile_member.py [--frames 100000] [--decoded 300000] [--seed 0]

The full figures are those of --frames 1000000 --decoded 10000000. Frames are sent in runs of half a minute, each with a seed of
its own and a line of its result. To go on after an interruption, ask for the rest of the frames, from the next seed on.

*Frames.* Logistic regression on scikit-learn's breast cancer data, sorted by diagnosis, by four peers in a ring over encrypted
links. Three are real, one process each. The fourth is real, too, and takes part; beside each message that it sends, it sends
others that are made of it: some bytes of the header are others, a field of it has an extreme value, the message is cut off or
longer, its numbers are not finite or far too large, and now and then it says goodbye. So these know the numbers of its
sessions. (A payload with other finite numbers is not among them: no peer can tell it from an honest one.) When all frames are
sent it leaves, and the others go on. The distance is that of their models to the optimum of their own rows.

*Decoder.* Headers of real messages with other bytes: each is a header in bounds, or BadMessage.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from hostile import DISTANCE, experiment

from gossipfl.config.file import parse
from gossipfl.errors import BadMessage
from gossipfl.experiment.evaluation.finish import finish
from gossipfl.experiment.launch.processes import forkserver, throwaway
from gossipfl.experiment.learning.tables import tables
from gossipfl.experiment.live.largest import largest
from gossipfl.experiment.live.process import live, main
from gossipfl.experiment.live.reports import Report, collect
from gossipfl.experiment.study.make import study
from gossipfl.peer import ZeroMQ
from gossipfl.peer.check import is_card
from gossipfl.peer.letter import Letter, opened
from gossipfl.peer.rumours import CUTS, MAX_EXCHANGE, Rumours
from gossipfl.peer.wire import Header, Opening, decode, encode
from gossipfl.runs import folder as files

MEMBER = 1
HALT_S = 5.0  # so long a member halts its neighbours by saying nothing, while they do not know its pace
AFTER = 10.0  # seconds of learning after the member has left: the model may be far away by then
AT_ONCE = 5  # frames before the member listens again
LONGEST, LEAST_RATE = 30.0, 10_000.0  # seconds of sending in a run, and frames a second
FLAT_MB = 16.0  # by which the largest peer may grow under mutated frames
SELDOM = 0.0002  # the chance that a frame is a goodbye
GOODBYES = "diverged", "settled", "done", "failed", "rewired", "x"
EXTREME: list[dict[str, Any]] = [
    *({"number": number} for number in (0, 1, 2**20, 2**55, MAX_EXCHANGE - 1)),
    *({"rumours": Rumours(*said)} for said in ((2**61,), (0, 24_000), (0, 0, True))),
    {"rumours": Rumours(cuts=tuple((k, k + 1, 2**61 + 1) for k in range(CUTS)))},
    *({"last": last, "used": used} for last in (-1, 0, 2**61) for used in (0, 2**63 - 1)),
    *({"converged": mask} for mask in (b"\xff" * 3072, b"\xff")),
    *({"mine": 5, "opens": Opening(w, b"8 bytes.", s)} for w in (-1e6, 0.0, 1e6) for s in (0.0, 1e-300, 1e308)),
    {"transfer": True},
    *({"method": method} for method in (1, 2)),
    {"yours": 0},
]  # fmt: skip


def other_bytes(frame: bytes, chance: random.Random) -> bytes:
    """The frame with some bytes changed, left out or added."""
    made = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(made) or 1)
        match chance.randrange(8):
            case 0:
                del made[place : place + chance.randint(1, 9)]
            case 1:
                made[place:place] = chance.randbytes(chance.randint(1, 9))
            case _:
                made[place : place + 1] = chance.randbytes(1)
    return bytes(made)


def mutated(frames: list[bytes], chance: random.Random) -> list[bytes]:
    """Another message made of this one."""
    header, payload = frames
    if chance.random() < SELDOM:
        return [encode(msgspec.structs.replace(decode(header), leaving=chance.choice(GOODBYES))), b""]
    match chance.randrange(6):
        case 0:
            return [header, payload[: chance.randrange(len(payload) + 1)]]
        case 1:
            return [header, payload + bytes(chance.randint(1, 2000))]
        case 2:
            value = chance.choice([np.nan, np.inf, -np.inf, 1e300, -1e300])
            return [header, np.full(len(payload) // 8, value).tobytes()]
        case 3:
            return [encode(msgspec.structs.replace(decode(header), **chance.choice(EXTREME))), payload]
        case _:
            return [other_bytes(header, chance), payload]


class Member(ZeroMQ):
    """A peer's transport that sends mutated frames beside its own, once it learns: so many, for so many seconds at most."""

    left, sent, tries, learns = 0, 0, 0, False
    seconds, until = 0.0, 0.0
    chance, own = random.Random(0), dict[int, list[bytes]]()

    def send(self, to: int, frames: list[bytes]) -> bool:
        if self.learns and not is_card(frames) and not decode(frames[0]).leaving:
            self.own[to] = frames
        return super().send(to, frames)

    def recv(self, timeout: float) -> list[bytes] | None:
        until = time.monotonic() + timeout
        if self.learns:
            self.until = self.until or time.monotonic() + self.seconds
        while self.learns and self.left > 0 and time.monotonic() < self.until:
            for to, frames in self.own.items():
                for _ in range(AT_ONCE):
                    sent = super().send(to, mutated(frames, self.chance))
                    self.left, self.sent, self.tries = self.left - sent, self.sent + sent, self.tries + 1
            heard = super().recv(0.0 if self.own else 0.01)
            if heard or time.monotonic() >= until:
                return heard
        if self.learns:
            self.learns = False
            raise KeyboardInterrupt
        return super().recv(timeout)


def resident(pid: int) -> float:
    """The memory of a process, in MB; 0 when it has ended."""
    size = Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()
    return int(size[0]) / 1024 if size else 0.0


def by_a_member(frames: int, seed: int) -> bool:
    """Run the experiment with a hostile member until it has sent so many frames; return whether all is fine."""
    fine, left = True, frames
    while left > 0:
        sent, good = one_run(left, seed)
        fine, left, seed = fine and good and sent > 0, left - sent, seed + 1
        print(f"  {frames - left:,} of {frames:,} frames so far; the next seed is {seed}", flush=True)
        if not sent:
            break
    return fine


def longest_halt(folder: Path) -> float:
    """The longest time between two lines of a peer's metrics, in seconds."""
    times = [json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").open()]
    return max(b - a for a, b in pairwise([0.0, *times]))


def course(folder: Path) -> str:
    """Round, seconds and loss of some lines of a peer's metrics, the last ones included."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").open()][::-10][:12]
    return "; ".join(f"{line['round']:,} {line['seconds']:.1f} s {line['loss']:.4g}" for line in lines[::-1])


def tell_of(names: Sequence[str], own: Sequence[Path], reports: Mapping[int, Report], fine: bool) -> None:
    """Print what each peer has refused; and how it learned, if something is wrong."""
    for me, report in sorted(reports.items()):
        print(f"  {names[me]} refused {report.refused:,}: {'; '.join(report.refusals) or '-'} {report.error}")
        if not fine:
            print(f"    {course(own[me])}")


def failed(folder: Path) -> bool:
    """Whether a peer's log has the trace of an exception."""
    log = folder / "log.jsonl"
    return log.exists() and '"trace"' in log.read_text()


def one_run(frames: int, seed: int) -> tuple[int, bool]:
    """Run the experiment once; print what came of it, and return how many frames were sent, and whether that is fine."""
    sending = min(LONGEST, 2.0 + frames / LEAST_RATE)
    seconds = sending + 2.0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        made = study(parse(experiment("ring:4", seconds=seconds + AFTER)))
        keys, rows = throwaway(made), tables(made)
        files.create(made.experiment, made.graph, folder, made.names)
        own = [files.peer_folder(folder, name) for name in made.names]
        context = forkserver()
        pipes, processes = {}, {}
        for me in range(4):
            if me != MEMBER:
                pipes[me], theirs = context.Pipe()
                words = theirs, made, me, rows[me], own[me], "tcp://127.0.0.1:*", False, (), keys[me]
                processes[me] = context.Process(target=main, args=words)
                processes[me].start()
        places = {me: pipe.recv()[1] for me, pipe in pipes.items()}
        member = Member("tcp://127.0.0.1:*", largest(made, rows[MEMBER]), keys[MEMBER])
        member.left, member.seconds, places[MEMBER] = frames, sending, member.endpoint
        member.chance, member.own = random.Random(seed), {}
        near = {me: {other % 4: places[other % 4] for other in (me + 1, me + 3)} for me in range(4)}
        for me, pipe in pipes.items():
            pipe.send(near[me])

        def tell(what: str, _: Any) -> None:
            member.learns |= what == "learning"

        def lives() -> None:
            live(made, MEMBER, rows[MEMBER], own[MEMBER], member, near[MEMBER], tell)

        thread = threading.Thread(target=lives)
        thread.start()
        began, before, most, spent, reports = 0.0, 0.0, 0.0, 0.0, {}
        while len(reports) < len(pipes):
            for me, pipe in pipes.items():
                while me not in reports and pipe.poll(0.02):
                    word, what = pipe.recv()
                    if word == "report":
                        reports[me] = what
                    began = began or (time.monotonic() if word == "learning" else 0.0)
            alive = [process.pid for process in processes.values() if process.is_alive()]
            if began and alive:
                most = max(most, *map(resident, alive))
                before = before or (most if time.monotonic() > began + 2.0 else 0.0)
            if began and not (member.learns or spent) and member.until:
                spent = time.monotonic() - began
        thread.join()
        status = {made.names[me]: report.stopped for me, report in reports.items()}
        learned = collect(made, reports, dict(enumerate(rows)), status, 0.0)
        assert learned is not None
        summary = finish(made, [rows[made.names.index(name)] for name in learned.names], learned, folder)
        halt, distance = max(longest_halt(own[me]) for me in reports), summary["distance_to_optimum"]
        print(
            f"seed {seed}: {member.sent:,} mutated frames of {member.tries:,} in {spent:.0f} s: {status}; longest halt "
            f"{halt:.2f} s, memory {before:.1f} -> {most:.1f} MB, distance {distance:.1e}, round {summary['rounds']:,}"
        )
        fine = (
            distance <= DISTANCE and halt <= HALT_S and most - before <= FLAT_MB and not any(map(failed, own))
        )
        tell_of(made.names, own, reports, fine)
        return member.sent, fine and {*status.values()} == {"seconds"}


def through_the_decoder(count: int, seed: int) -> bool:
    """Decode mutated headers; print what came of it, and return whether that is fine."""
    chance, pid = random.Random(seed), int(Path("/proc/self").resolve().name)
    whole = Header(
        b"8 bytes.", 2**30, 10_000, converged=b"\xff\x01", mine=2**62, yours=2**61, last=9_999, used=2**63 - 1
    )
    headers = [
        encode(whole),
        encode(msgspec.structs.replace(whole, rumours=Rumours(9, 3, True, ((1, 2, 3),)), opens=Opening(0.3, b"8 bytes."))),
        encode(Letter(b"8 bytes.", 2**30, 77, age=12)),
    ]  # fmt: skip
    began, good, before = time.monotonic(), 0, 0.0
    for k, header in zip(range(count), cycle(headers), strict=False):
        frame = other_bytes(header, chance)
        try:
            decode(frame) if k % 3 < 2 else opened([frame, b""])
            good += 1
        except BadMessage:
            pass
        if k == count // 10:
            before = resident(pid)
        if k % 1_000_000 == 999_999:
            print(f"  {k + 1:,} headers in {time.monotonic() - began:.0f} s", flush=True)
    after = resident(pid)
    print(
        f"{count:,} headers through the decoder in {time.monotonic() - began:.0f} s: {good:,} are in bounds, no error but "
        f"BadMessage; memory {before:.1f} -> {after:.1f} MB"
    )
    return after - before <= 1.0


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--frames", type=int, default=100_000)
    asked.add_argument("--decoded", type=int, default=300_000)
    asked.add_argument("--seed", type=int, default=0)
    told = asked.parse_args()
    fine = [
        through_the_decoder(told.decoded, told.seed) if told.decoded else True,
        by_a_member(told.frames, told.seed) if told.frames else True,
    ]
    sys.exit(not all(fine))
