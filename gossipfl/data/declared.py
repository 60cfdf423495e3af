"""Levels and classes that the study declares, so that peers need not tell theirs; must not know how peers agree."""

from collections.abc import Mapping, Sequence, Set

from gossipfl.data.names import listed
from gossipfl.errors import BadData

Word = tuple[str | None, str, bool]  # of a column, None for the target; whether training rows have it


def flags(own: Set[Word], declared: Mapping[str | None, Sequence[str]], where: str) -> list[float]:
    """Which declared words the training rows of a peer have, 1 or 0, one column after the other.

    Raises:
        BadData: its rows have words that are not declared.
    """
    for column, words in declared.items():
        if strange := sorted({word for name, word, _ in own if name == column} - set(words)):
            what = "the target" if column is None else f"column {column!r}"
            key = "data.classes" if column is None else "data.levels"
            raise BadData(
                f"{where}: {what} has {listed(strange)}, which {key} does not declare: correct one of them"
            )
    return [float((name, word, True) in own) for name, words in declared.items() for word in words]
