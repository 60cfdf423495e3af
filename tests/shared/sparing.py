"""Of many similar cases, run the first ones always and the others only with `-m slow`."""

from collections.abc import Iterable
from typing import Any

import pytest


def sparing(cases: Iterable[Any], keep: int = 1) -> list[Any]:
    """The cases for parametrize, a tuple for several arguments. All but the first `keep` are marked as slow."""
    return [
        case
        if number < keep
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]
