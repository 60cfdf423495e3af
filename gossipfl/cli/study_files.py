"""The files of a study between sites: experiment, topology, and a page for each site; must not know who asks for them."""

import json
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple, Self

from gossipfl.disk import new_folder, unwritable
from gossipfl.errors import BadExperiment

LEAST, SECURE = 2, 3  # sites of a study, and of one with secure sums


class Site(NamedTuple):
    """A site, and the address at which its neighbours reach it; None if it opens no port."""

    name: str
    endpoint: str | None

    @classmethod
    def read(cls, text: str) -> Self:
        """The site in NAME or NAME=ENDPOINT. Raises BadExperiment."""
        from gossipfl.topology.endpoint import endpoint
        from gossipfl.topology.names import name_of

        name, _, place = text.partition("=")
        try:
            return cls(name_of(name.strip()), endpoint(place.strip()) if place else None)
        except ValueError as why:
            raise BadExperiment(f"site {text!r}: {why}") from None

    @property
    def port(self) -> str:
        return (self.endpoint or "").rpartition(":")[2]


class Agreed(NamedTuple):
    """What the sites agree on before they write down anything else."""

    name: str
    sites: tuple[Site, ...]
    edges: Sequence[tuple[str, str]]
    target: str
    kind: str
    categorical: tuple[str, ...]
    l2: float

    @property
    def plain(self) -> str:
        """Why the sums of these sites cannot be secure; "" if they can."""
        from gossipfl.experiment.study.refusals import PIECES

        if len(self.sites) < SECURE:
            return f"{len(self.sites)} sites are too few for secure sums: each would know the other's part"
        return f"secure sums are not for {self.kind}" if self.kind in (*PIECES, "svm") else ""

    def neighbours(self, site: Site) -> list[Site]:
        near = {end for edge in self.edges if site.name in edge for end in edge}
        return [other for other in self.sites if other.name in near and other != site]


def linked(sites: Sequence[Site], family: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The links between sites in a graph of this family, and those left out because neither end has an address.

    Raises:
        BadExperiment: there are too few sites, two have one name, or some cannot be reached by the others.
    """
    import networkx as nx

    from gossipfl.topology import load

    names = [site.name for site in sites]
    if len(names) < LEAST or len(set(names)) < len(names):
        raise BadExperiment(
            f"a study needs at least {LEAST} sites with different names: give --site for each"
        )
    graph = load(family if ":" in family else f"{family}:{len(names)}")
    if len(graph) != len(names) or graph.is_directed():
        raise BadExperiment(
            f"--graph {family} does not link {len(names)} sites in both directions: use full, ring, line or star"
        )
    graph = nx.relabel_nodes(graph, dict(zip(graph, names, strict=True)))
    dials = {site.name for site in sites if site.endpoint is None}
    mute = [(a, b) for a, b in graph.edges if a in dials and b in dials]
    graph.remove_edges_from(mute)
    if not nx.is_connected(graph):
        parts: list[set[str]] = list(nx.connected_components(graph))
        fewest = min(parts, key=len)
        raise BadExperiment(
            f"{', '.join(sorted(fewest))} would have no link to the others, since a link needs an address at one "
            "end: give more sites an endpoint, --site NAME=tcp://host:port"
        )
    return list(graph.edges), mute


def write(study: Agreed, folder: Path) -> list[Path]:
    """Write the files into a new folder; returns their paths. Nothing is written if they could not be read again.

    Raises:
        BadExperiment: the folder exists, cannot be written, or a value is not valid in an experiment.
        Unwritten: the disk is full or read-only.
    """
    from gossipfl.config.file import load
    from gossipfl.topology import load as load_topology

    texts = {f"{study.name}.toml": _experiment(study), "topology.toml": _topology(study)}
    texts |= {f"{site.name}.md": _page(study, site) for site in study.sites}
    if folder.exists():
        raise BadExperiment(f"{folder} exists already: choose another --out")
    try:
        with new_folder(folder):
            for name, text in texts.items():
                (folder / name).write_text(text, encoding="utf-8")
            load(folder / f"{study.name}.toml")
            load_topology(folder / "topology.toml")
    except OSError as why:
        raise unwritable(f"cannot write {folder}", why) from None
    return [folder / name for name in texts]


CLASSIFIERS = "logistic", "softmax", "squared-svm", "svm"


def _toml(key: str, value: Any) -> str:
    import tomli_w

    return tomli_w.dumps({key: value}).strip()


def _experiment(study: Agreed) -> str:
    lines = [_toml("target", study.target)]
    if study.categorical:
        lines.append(_toml("categorical", list(study.categorical)))
    if study.kind in CLASSIFIERS:
        lines.append('# classes = ["0", "1"] # all classes; else neighbours see which of them each site has')
    lines += [f'# levels.{_key(column)} = ["a", "b"] # all levels, likewise' for column in study.categorical]
    why = f" # {study.plain}: neighbours can rebuild rows" if study.plain else ""
    sums = _toml("sums", "plain" if study.plain else "secure") + why
    return f"""\
# The experiment of all sites: equal everywhere, to the letter of each value. docs/experiment.md has every key.

{_toml("name", study.name)}

[data]
source = "rows/*.csv" # for a rehearsal on one machine: one file for each site, such as rows/{study.sites[0].name}.csv
{chr(10).join(lines)}
missing = "refuse" # or "mean", "median", "mode", "level", "drop"
test = 0.2 # the share of each site's rows on which the model is tested

[topology]
graph = "topology.toml"

[model]
{_toml("kind", study.kind)}
{_toml("l2", study.l2)}

[stop]
tolerance = 1e-8

[privacy]
{sums}

[peers]
security = "keys"
"""


def _key(name: str) -> str:
    """A key of TOML, in quotes where it needs them."""
    return _toml(name, 0).rpartition(" =")[0]


def _topology(study: Agreed) -> str:
    edges = "\n".join(f"    {json.dumps(edge, ensure_ascii=False)}," for edge in study.edges)
    return f"""\
# The sites of the study and the links between them: equal at all sites. Compare it by telephone:
#
#     gossipfl topology fingerprint topology.toml

{_toml("name", study.name)}

edges = [
{edges}
]
""" + "".join(_peer(site) for site in study.sites)


def _peer(site: Site) -> str:
    import tomli_w

    where = [_toml("endpoint", site.endpoint)] if site.endpoint else []
    head = tomli_w.dumps({"peers": {site.name: {"endpoint": ""}}}).splitlines()[0]
    what = (
        ""
        if where
        else f"# {site.name} has no endpoint: it opens no port, and connects to its neighbours itself.\n"
    )
    return (
        "\n"
        + "\n".join([head, *where])
        + f"\n{what}# public_key = the line that gossipfl keys new prints at {site.name}\n"
    )


def _page(study: Agreed, site: Site) -> str:
    near = study.neighbours(site)
    reach = [f"- {other.name}: {other.endpoint or 'connects to you'}" for other in near]
    port = (
        f"Let these sites, and nobody else, connect to TCP port {site.port} of this machine: {', '.join(o.name for o in near)}."
        if site.endpoint
        else "Open no port. This machine connects to its neighbours."
    )
    return dedent("""\
        # {site} in the study "{study}"

        Neighbours:

        {reach}

        Rows stay in your file. docs/security.md says what the other sites learn from your messages.

        1. Install gossipfl, and put this folder on the machine that will run the peer.
        2. Make the keys. The file `{site}.key` stays on this machine; nobody else needs it.

               gossipfl keys new {site}

           Send the line `public_key = ...` to all sites. All write it into `topology.toml`, in place of the comment
           under `[peers.{site}]`.
        3. {port}
        4. When the file has the keys of all sites, print its fingerprint. Compare the words
           with each neighbour by telephone.

               gossipfl topology fingerprint topology.toml

        5. Check your rows, your key and your links. It says what is wrong, and waits for neighbours that check too.

               gossipfl peer check {file} {site} --data {site}.csv --wait 600

        6. Start the peer. The order of the sites does not matter; it waits for its neighbours.

               gossipfl peer {file} {site} --data {site}.csv --out {site}-run

        7. At the end it prints the scores on the test rows of all sites. The model is `{site}-run/model.json`. After a power
           cut, give the same command again. Ctrl-C stops it and keeps its model.

        docs/deploy.md describes the peer as a service, logs, backups and new keys.
        """).format(
        site=site.name, study=study.name, reach="\n".join(reach), port=port, file=f"{study.name}.toml"
    )
