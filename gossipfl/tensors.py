"""torch, which is imported when something of it is used for the first time; must not know what for.

Importing it takes most of a second. What checks or lists methods imports their code, and never computes:

    from gossipfl.tensors import Tensor, torch
"""

from typing import TYPE_CHECKING, Any

__all__ = ["Tensor", "torch"]

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:

    class _Torch:
        """Has the names of torch. Each is looked up there once."""

        def __getattr__(self, name: str) -> Any:
            import torch

            found = getattr(torch, name)
            setattr(self, name, found)
            return found

    torch = _Torch()

    class _Kind(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, torch.Tensor)

    class Tensor(metaclass=_Kind):
        """Stands for torch.Tensor in annotations and `isinstance`."""
