"""What a peer has spent of its budget for private sums, in its folder; must not know what it was spent on.

budget.json    0600, written and synced before a message leaves that costs something. Who deletes it is not held to the promise.
"""

from functools import partial
from pathlib import Path

import msgspec

from gossipfl.disk import unwritable, write
from gossipfl.errors import BadExperiment
from gossipfl.runs.folder import PRIVATE, read_json
from gossipfl.secrecy.promise import Promise, Spending

FILE = "budget.json"
SAME = "epsilon", "delta", "colluders", "peers"  # what a promise says


def read(folder: Path, promise: Promise) -> Spending:
    """What is spent so far; nothing if there is no file.

    Raises:
        BadExperiment: it cannot be read, or is of another epsilon or delta, or of other numbers of colluders and peers.
    """
    path = folder / FILE
    spent, sums = 0.0, 0
    if path.exists():
        known = told(folder)
        kept = {name: known[name] for name in SAME}
        spent, sums = known["mu_squared"], int(known["sums"])
        if kept != {name: getattr(promise, name) for name in SAME}:
            promised = ", ".join(f"{name} = {value:g}" for name, value in kept.items())
            raise BadExperiment(
                f"{path} is of {promised}: what its rows have told counts for another promise, too. Set these again, or give "
                "another folder and add both up"
            )
    return Spending(promise, spent, partial(keep, path), sums)


def told(folder: Path) -> dict[str, float]:
    """The record in the file. Raises BadExperiment if it cannot be read."""
    path = folder / FILE
    try:
        known = read_json(path)
        return {name: float(known[name]) for name in (*SAME, "spent", "mu_squared", "sums")}
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValueError) as why:
        raise BadExperiment(
            f"{path} says what is spent of the budget, and cannot be read ({why}): without it no private sum is sent"
        ) from None


def keep(path: Path, record: dict[str, float]) -> None:
    """Raises as `unwritable` says where the disk does not keep it; then nothing is sent."""
    try:
        write(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n", mode=PRIVATE)
    except OSError as why:
        raise unwritable(
            f"what is spent of the budget must be on disk before a sum is sent; cannot write {path}", why
        ) from None
