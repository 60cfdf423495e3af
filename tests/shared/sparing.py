"""Of many cases that are alike the first runs each time, and the others with `-m slow`, too."""

from collections.abc import Iterable
from typing import Any

import pytest


def sparing(cases: Iterable[Any], keep: int = 1) -> list[Any]:
    """The cases, as parametrize takes them: all but the first `keep` are slow."""
    return [
        case if number < keep else pytest.param(case, marks=pytest.mark.slow)
        for number, case in enumerate(cases)
    ]
