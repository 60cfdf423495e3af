"""A peer's checkpoint: how far it was, and what it needs to go on; must not know engines or neighbours.

checkpoint.safetensors       the model x and, beside it, round, seconds, age, the facts, the study, and a digest of all that
checkpoint.old.safetensors   the one before

What a method remembers of its neighbours is not kept: sessions end with the process, and their accounts with them.
"""

import hashlib
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gossipfl.errors import BadMessage
from gossipfl.runs import folder as files
from gossipfl.runs.facts import Checkpoint, decode, encode

NEW, OLD = "checkpoint.safetensors", "checkpoint.old.safetensors"


def write(folder: Path, study: bytes, point: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all, and keep the one before. Raises OSError, with both as they were."""
    words = {
        "study": study.hex(),
        "round": str(point.round),
        "age": str(point.age),
        "seconds": repr(point.seconds),
        "facts": encode(point.facts),
    }
    content = save({"x": point.x.contiguous()}, words | {"digest": _digest(point.x, words)})
    files.write(folder / NEW, content, before=folder / OLD)
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def read(folder: Path, study: bytes) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint in a folder that is whole and of this study, and why newer ones are refused, by name."""
    refused: list[str] = []
    for path in (folder / NEW, folder / OLD):
        try:
            return _read(path, study), refused
        except FileNotFoundError:
            continue
        except (OSError, SafetensorError, BadMessage, ValueError, KeyError) as error:
            refused.append(f"{path} is not used: {error}")
    return None, refused


def _read(path: Path, study: bytes) -> Checkpoint:
    if not path.exists():
        raise FileNotFoundError(path)
    with safe_open(path, "pt") as file:
        words, x = dict(file.metadata() or {}), file.get_tensor("x")
    digest = words.pop("digest", "")
    if words.get("study") != study.hex():
        raise ValueError("it is of another study (another experiment or topology file)")
    if digest != _digest(x, words):
        raise ValueError("it is damaged: its digest is another one")
    return Checkpoint(
        x, int(words["round"]), float(words["seconds"]), decode(words["facts"]), int(words["age"])
    )


def _digest(x: Tensor, words: dict[str, str]) -> str:
    said = "\n".join(f"{key}={words[key]}" for key in sorted(words))
    return hashlib.blake2b(x.contiguous().numpy().tobytes() + said.encode(), digest_size=16).hexdigest()
