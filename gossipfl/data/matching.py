"""Which file or value belongs to which peer, by name; must not know what is in it."""

from collections.abc import Mapping, Sequence

from gossipfl.data.names import listed, natural
from gossipfl.data.table import Table
from gossipfl.errors import BadData


def by_name(tables: Mapping[str, Table], peers: Sequence[str]) -> list[Table]:
    """One table for each peer if each has its own file; see `match`."""
    return [tables[name] for name in match(list(tables), peers, "files")]


def match(found: Sequence[str], peers: Sequence[str], what: str) -> list[str]:
    """The item of `found` that belongs to each peer, in the order of `peers`.

    They are matched by name if the names are the same; otherwise in natural order, if the peers are plain numbers and there
    are equally many.
    """
    if set(found) == set(peers):
        return list(peers)
    if len(found) == len(peers) and all(peer.isdecimal() for peer in peers):
        return sorted(found, key=natural)
    raise BadData(
        f"the {what} ({len(found)}: {listed(sorted(found, key=natural))}) do not match the peers of the "
        f"topology ({len(peers)}: {listed(peers)}): give the peers these names, or number them and use equally many"
    )
