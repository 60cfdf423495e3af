"""Which file or value belongs to which peer, by name; must not know what is in it."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gossipfl.data.names import listed, natural
from gossipfl.data.table import Table
from gossipfl.errors import BadData


def by_name(tables: Mapping[str, Table], peers: Sequence[str]) -> list[Table]:
    """One table for each peer if each has its own file; see `match`.

    If whole names do not match, the words before a dot that all files begin with are left out: `processed.va` is `va`.
    """
    if set(map(_composed, tables)) != set(map(_composed, peers)):
        tables = dict(zip(_shortened(list(tables)), tables.values(), strict=True))
    found = match(list(tables), peers, "files")
    return [replace(tables[name], owner=peer) for name, peer in zip(found, peers, strict=True)]


def match(found: Sequence[str], peers: Sequence[str], what: str) -> list[str]:
    """The item of `found` that belongs to each peer, in the order of `peers`.

    They are matched by name if the names are the same; otherwise in natural order, if the peers are plain numbers and there
    are equally many.
    """
    named = {_composed(name): name for name in found}
    if named.keys() == set(map(_composed, peers)):
        return [named[_composed(peer)] for peer in peers]
    if len(found) == len(peers) and all(peer.isdecimal() for peer in peers):
        return sorted(found, key=natural)
    strays = [name for name in found if name not in peers]
    stray = f"; {listed(strays)} may be no data" if set(peers) < set(found) and what == "files" else ""
    raise BadData(
        f"the {what} ({len(found)}: {listed(sorted(found, key=natural))}) do not match the peers of the "
        f"topology ({len(peers)}: {listed(peers)}){stray}: give the peers these names, or number them and use equally many"
    )


def _shortened(names: Sequence[str]) -> list[str]:
    words = [name.split(".") for name in names]
    while len(words) > 1 and all(len(w) > 1 and w[0] == words[0][0] for w in words):
        words = [w[1:] for w in words]
    return list(map(".".join, words))


def _composed(name: str) -> str:
    """The name as a file system may have changed it: with "ü" as one letter, not as u and two dots."""
    return unicodedata.normalize("NFC", name)
