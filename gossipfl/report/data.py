"""The rows of each peer as a table; must not know where the rows came from."""

from rich.console import RenderableType

from gossipfl.data import DataDescription
from gossipfl.report.tables import number, plain

CLASSES = 12  # with more classes there is no column per class


def shares(found: DataDescription) -> list[RenderableType]:
    """A line per peer: its rows, and the rows of each class or the mean and deviation of the target."""
    names = list({name: None for share in found.shares for name in share.classes or {}})
    wide = len(names) > CLASSES
    headings = ["peer", "training rows", "test rows"]
    headings += (
        (["classes"] if wide else [f"class {name}" for name in names])
        if names
        else ["target mean", "deviation"]
    )
    holes = any(share.missing for share in found.shares)
    rows = []
    for share in found.shares:
        row: list[object] = [share.peer, number(share.train), number(share.test)]
        if names:
            held = share.classes or {}
            row += [len(held)] if wide else [number(held.get(name, 0)) for name in names]
        else:
            row += [number(share.mean), number(share.sd)]
        rows.append([*row, number(sum(share.missing.values()))] if holes else row)
    headings += ["missing values"] if holes else []
    kind = "class" if names else "target"
    told = (
        f"{len(found.shares)} peers, {sum(s.train + s.test for s in found.shares):,} rows, "
        f"{len(found.columns)} columns; {kind} heterogeneity {number(found.heterogeneity, 3)} "
        "(0: all peers are alike, 1: they have nothing in common)"
    )
    return [told, plain(headings, rows, range(1, len(headings)))]
