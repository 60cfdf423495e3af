"""What totals would show of few rows or few peers, and how many numbers rows bear; must not know rows or how sums travel."""

from collections.abc import Sequence

from gossipfl.errors import BadData

FEWEST = 2  # sums that a method needs at least
FRONT = 5  # numbers in a sum beside gradient and Hessian
NAMED = 8


def refuse_cells(names: Sequence[str], rows: Sequence[float], least: int) -> None:
    """Refuse classes, levels and columns that fewer than `least` training rows of all peers have. Raises BadData."""
    if few := [name for name, count in zip(names, rows, strict=True) if 0 < count < least]:
        raise BadData(
            f"fewer than {least} training rows of all peers have {_listed(few)}: secure sums would show these rows. "
            "Leave such a column out with drop, or join the level or class with another one"
        )


def refuse_holders(names: Sequence[str], peers: Sequence[float], least: int) -> None:
    """Refuse levels and columns of which fewer than `least` peers have rows. Raises BadData."""
    if alone := [name for name, count in zip(names, peers, strict=True) if 0 < count < least]:
        raise BadData(
            f"fewer than {least} peers have rows with {_listed(alone)}: a sum over these rows is no secret of one "
            "peer among many. Leave such a column out with drop, or join the level with another one, at all peers"
        )


def borne(rows: int, width: int, curved: bool, peers: int, most: float) -> tuple[float, str]:
    """The numbers whose totals may become known, at most half as many as the rows hold, and a sentence for them.

    Args:
        rows: of all peers.
        width: parameters.
        curved: a sum has a Hessian, and not only a gradient.
        peers: that add up.
        most: parameters for each row.

    Raises:
        BadData: there are too few rows for two sums, or for so many parameters.
    """
    allowance = rows * width / 2
    each = width * (width + 3) // 2 + FRONT if curved else width + FRONT
    sums, known = int(allowance // each), f"{rows:,} training rows and {width:,} parameters"
    if width > most * rows:
        raise BadData(
            f"{known} are more than {most:g} parameters for each row (privacy.max_parameters_per_row): totals would show "
            "rows. Use fewer columns, or more rows"
        )
    if sums < FEWEST:
        raise BadData(
            f"{known} do not bear {FEWEST} sums of {each:,} numbers: more would be known of the rows than half of what they "
            'hold. Use fewer columns, more rows or algorithm.kind = "lbfgs", which sums gradients only'
        )
    return allowance, (
        f"secure sums: a peer learns the totals of all {peers} peers and nothing else of other peers' rows; {known} "
        f"bear {sums:,} sums of {each:,} numbers"
    )


def shown(columns: Sequence[str], hidden: bool) -> str:
    """What is shown besides totals: the levels of columns, and the classes if they are not hidden; the end of a sentence."""
    parts = [f"levels of {_listed(columns)}"] if columns else []
    if not (parts := [*parts, *([] if hidden else ["classes"])]):
        return ""
    return f". Neighbours see which {' and '.join(parts)} each peer has: data.levels and data.classes can hide that"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more
