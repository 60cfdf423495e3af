"""Whether a peer that starts again in its folder has the rows with which it began; must not know what it does with them.

rows.hash    0600: a salted hash of the rows, in JSON.
"""

import logging
import secrets
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from gossipfl.data import Table
from gossipfl.disk import write
from gossipfl.errors import BadData
from gossipfl.runs.folder import PRIVATE, read_json

FILE = "rows.hash"
log = logging.getLogger(__name__)


def keep(folder: Path, table: Table) -> None:
    """Keep a hash of the rows, unless one is kept. Call this before the first sum over them."""
    path = folder / FILE
    if path.exists():
        return
    salt = secrets.token_bytes(16)
    kept = {"salt": salt.hex(), "hash": _hash(table, salt).hex()}
    try:
        write(path, msgspec.json.encode(kept) + b"\n", mode=PRIVATE)
    except OSError as why:
        log.warning(
            "%s cannot be written (%s): a later start cannot see whether rows have changed", path, why
        )


def unchanged(folder: Path, table: Table) -> None:
    """Compare the rows with the hash that is kept, if one is.

    Raises:
        BadData: they are others.
    """
    path = folder / FILE
    try:
        known = read_json(path)
        salt, before = (bytes.fromhex(known[key]) for key in ("salt", "hash"))
    except FileNotFoundError:
        return
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValueError) as why:
        raise BadData(f"{path} says which rows this peer began with, and cannot be read: {why}") from None
    if _hash(table, salt) != before:
        raise BadData(
            f"{table.where} has other rows than those with which this peer began in {folder}: the difference of two totals "
            "would tell the others the rows that have changed. Use the rows as they were; or, if the others may learn that, "
            "begin in another folder"
        )


def _hash(table: Table, salt: bytes) -> bytes:
    found = blake2b(key=salt, digest_size=32)
    x = table.features
    parts = [x] if isinstance(x, pd.DataFrame) else [x.data, x.indices, x.indptr]
    for part in (*parts, table.target, table.test, table.weights, table.offset):
        match part:
            case None:
                found.update(b"none")
            case pd.DataFrame() | pd.Series():
                found.update(pd.util.hash_pandas_object(part).to_numpy().tobytes())
            case _:
                found.update(np.ascontiguousarray(part).tobytes())
    return found.digest()
