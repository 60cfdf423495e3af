"""Which keys a peer's links have, from the topology and its own file; must not know sockets or messages."""

from collections.abc import Mapping
from pathlib import Path

import networkx as nx

from gossipfl.errors import BadExperiment
from gossipfl.experiment.study.study import Study
from gossipfl.keys import SecretKey, fresh, load
from gossipfl.peer.gate import LinkKeys
from gossipfl.peer.wire import ident
from gossipfl.secrecy.start import Identity
from gossipfl.topology.endpoint import local
from gossipfl.topology.names import several
from gossipfl.topology.public_key import SIZE, PublicKey, public_keys


def link_keys(
    study: Study, name: str, places: Mapping[str, str], file: Path | None = None
) -> LinkKeys | None:
    """The keys of a peer's links; None if links are open.

    Args:
        study: its topology names the public keys.
        name: of the peer.
        places: the endpoints of the peer and its neighbours, by name.
        file: its secret keys; None: NAME.key beside the topology file.

    Raises:
        BadExperiment: the peer's secret key is missing, is another one than the topology names, or links would be open to
            other machines although the experiment does not say so.
    """
    security, listed = study.experiment.peers.security, study.experiment.topology.graph
    if security == "none":
        return None
    if not keyed(study):
        if security == "auto" and all(map(local, places.values())):
            return None
        raise BadExperiment(
            f"{listed} names no public keys, so that anybody could read and forge the messages between machines. Make keys at "
            'each peer with gossipfl keys new, or write security = "none" in [peers]'
        )
    path = file or Path(listed).parent / f"{name}.key"
    owner, secrets = load(path)
    if owner != name:
        raise BadExperiment(
            f"{path} has the keys of {owner}, and this peer is {name}: give the right file with --key"
        )
    return LinkKeys(
        _presented(_public(study.graph, name), secrets, path, listed).link, neighbour_keys(study, name)
    )


def keyed(study: Study) -> bool:
    """Whether the topology names public keys. Raises BadExperiment if it has them for some peers only."""
    keyless = [peer for peer, about in study.graph.nodes.items() if "public_key" not in about]
    if 0 < len(keyless) < len(study.names):
        raise BadExperiment(
            f"{study.experiment.topology.graph} has no public_key for {several(keyless)}, but for other peers: each of them "
            "makes its own with gossipfl keys new"
        )
    return not keyless


def throwaway(study: Study) -> dict[int, LinkKeys]:
    """New keys for each peer of a run on one machine, by number."""
    secrets = {name: fresh() for name in study.names}
    public = {name: secret.public.link for name, secret in secrets.items()}
    near = {name: set(nx.all_neighbors(study.graph, name)) for name in study.names}
    return {
        me: LinkKeys(secrets[name].link, {ident(other): [public[other]] for other in near[name]})
        for me, name in enumerate(study.names)
    }


def signing(study: Study) -> dict[int, Identity]:
    """New keys that sign, for each peer of a run on one machine, by number."""
    secrets = [fresh() for _ in study.names]
    public = {name: [secret.public.signature] for name, secret in zip(study.names, secrets, strict=True)}
    return {me: Identity(secret.signature, public) for me, secret in enumerate(secrets)}


def identity(study: Study, name: str, file: Path | None = None) -> Identity | None:
    """What signs the keys of a peer; None if the topology names no public keys. Raises BadExperiment as `link_keys` does."""
    if not keyed(study):
        return None
    listed = study.experiment.topology.graph
    path = file or Path(listed).parent / f"{name}.key"
    own = _presented(_public(study.graph, name), load(path)[1], path, listed)
    return Identity(own.signature, signature_keys(study))


def signature_keys(study: Study, listed: nx.Graph | None = None) -> dict[str, list[bytes]]:
    """The public keys of all peers' signatures, by name; `listed` is the topology that names them, default: the study's."""
    graph = study.graph if listed is None else listed
    return {name: [key.signature for key in _public(graph, name)] for name in study.names}


def neighbour_keys(study: Study, name: str, listed: nx.Graph | None = None) -> dict[int, list[bytes]]:
    """The public keys of a peer's neighbours, by what messages call them; none for peers without keys. `listed`: as above."""
    graph = study.graph if listed is None else listed
    near = set(nx.all_neighbors(study.graph, name))
    return {ident(other): [key.link for key in _public(graph, other)] for other in near}


def presents(keys: LinkKeys, listed: nx.Graph, name: str) -> bool:
    """Whether a topology names the key that this peer presents."""
    public = SecretKey(keys.secret, bytes(SIZE)).public.link
    return any(key.link == public for key in _public(listed, name))


def _public(graph: nx.Graph, name: str) -> tuple[PublicKey, ...]:
    text = graph.nodes[name].get("public_key") if name in graph else None
    return public_keys(text) if text else ()


def _presented(
    public: tuple[PublicKey, ...], secrets: tuple[SecretKey, ...], path: Path, listed: str
) -> SecretKey:
    """The key that a peer presents: the oldest one that the topology still names, which all neighbours know."""
    known = {secret.public: secret for secret in secrets}
    for key in reversed(public):
        if key in known:
            return known[key]
    raise BadExperiment(
        f"{listed} names another public key than that of {path}: gossipfl keys show {path} prints the line for the topology"
    )
