"""A peer's checkpoint: its progress, and what it needs to continue; must not know engines or neighbours.

checkpoint.safetensors       the model x, and as metadata round, seconds, age, the facts, the study and a digest of all this
checkpoint.old.safetensors   the checkpoint before

Only its owner can read it. It has nothing that a method remembers of neighbours: sessions end with the process, and so do
their accounts.
"""

import hashlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gossipfl import disk
from gossipfl.errors import BadMessage
from gossipfl.runs import folder as files
from gossipfl.runs.facts import Checkpoint, decode, encode
from gossipfl.runs.summary import FORMAT

NEW, OLD = "checkpoint.safetensors", "checkpoint.old.safetensors"


def write(folder: Path, study: bytes, point: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all, and keep the one before. After an OSError both files are unchanged."""
    metadata = {
        "format": str(FORMAT),
        "study": study.hex(),
        "round": str(point.round),
        "age": str(point.age),
        "seconds": repr(point.seconds),
        "facts": encode(point.facts),
    }
    content = save({"x": point.x.contiguous()}, metadata | {"digest": _digest(point.x, metadata)})
    disk.write(folder / NEW, content, before=folder / OLD, mode=files.PRIVATE)


def read(folder: Path, study: bytes) -> tuple[Checkpoint | None, list[str]]:
    """The newest valid checkpoint of this study in a folder, and a sentence for each newer file that is refused."""
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
        metadata, x = dict(file.metadata() or {}), file.get_tensor("x")
    digest, form = metadata.pop("digest", ""), metadata.get("format", "1")
    if form != str(FORMAT):
        raise ValueError(f"it has format {form}, and this version of gossipfl reads format {FORMAT} only")
    if metadata.get("study") != study.hex():
        raise ValueError("it is of another study (another experiment or topology file)")
    if digest != _digest(x, metadata):
        raise ValueError("it is damaged: its digest does not match its content")
    return Checkpoint(
        x, int(metadata["round"]), float(metadata["seconds"]), decode(metadata["facts"]), int(metadata["age"])
    )


def _digest(x: Tensor, metadata: dict[str, str]) -> str:
    text = "\n".join(f"{key}={metadata[key]}" for key in sorted(metadata))
    return hashlib.blake2b(x.contiguous().numpy().tobytes() + text.encode(), digest_size=16).hexdigest()
