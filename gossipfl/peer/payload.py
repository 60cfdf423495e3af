"""Payloads as raw little-endian bytes, and back; must not know what the numbers mean or how they travel."""

from collections.abc import Sequence

import numpy as np
import torch

from gossipfl.mixing import Payload


def to_bytes(payload: Payload) -> bytes:
    """One peer's payload, each tensor (1, ...), as its numbers lie in memory, one tensor after the other."""
    parts = [_bytes(tensor) for tensor in payload]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def from_bytes(messages: Sequence[bytes], like: Payload) -> Payload:
    """Several peers' payloads as one, axis 0 being the peers, with the types and shapes of `like`, one peer's own.

    Every message has as many bytes as `like` makes, and every pattern of them is some number.
    """
    table = np.frombuffer(bytearray().join(messages), np.uint8).reshape(len(messages), -1)
    made, here = [], 0
    for tensor in like:
        size = tensor[0].numel() * tensor.element_size()
        part = table if len(like) == 1 else np.ascontiguousarray(table[:, here : here + size])
        made.append(torch.from_numpy(part).view(tensor.dtype).view(len(messages), *tensor.shape[1:]))
        here += size
    return tuple(made)


def _bytes(tensor: torch.Tensor) -> bytes:
    if tensor.dtype == torch.bfloat16:  # numpy has no such type
        tensor = tensor.view(torch.int16)
    return tensor.numpy().tobytes()
