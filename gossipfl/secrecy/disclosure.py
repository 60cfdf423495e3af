"""What totals would show of few rows or few peers, and how many numbers rows bear; must not know rows or how sums travel."""

from collections.abc import Mapping, Sequence

from gossipfl.errors import BadData

FEWEST = 2  # sums that a method needs at least
FRONT = 5  # numbers in a sum beside gradient and Hessian
NAMED = 40


def refuse(rows: Mapping[str, float], peers: Mapping[str, float], min_cell: int, min_peers: int) -> None:
    """Refuse classes, levels and columns that few training rows of all peers have, or few peers; 0 is none.

    Raises:
        BadData: it names all of them.
    """
    few = [name for name, count in rows.items() if 0 < count < min_cell]
    alone = [name for name, count in peers.items() if 0 < count < min_peers]
    parts = [f"fewer than {min_cell} training rows of all peers have {_listed(few)}"] if few else []
    parts += [f"fewer than {min_peers} peers have rows with {_listed(alone)}"] if alone else []
    if parts:
        raise BadData(
            f"{', and '.join(parts)}: secure sums would show these rows, or whose they are. Leave such columns out with drop, "
            "or join such a level or class with another one, at all peers"
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
