"""A topology as words that people compare by telephone; must not know rounds, weight rules or files."""

import hashlib
import json

import networkx as nx

WORDS = 8  # of a list of 2,048: 88 bits


def phrase(graph: nx.Graph) -> str:
    """Eight words that are equal for two topologies with the same names, links, keys and endpoints, and only for these.

    The words are those of BIP-39, whose first four letters tell them apart. To find another topology with the same phrase takes
    some 2^88 attempts for a given one.
    """
    from mnemonic import Mnemonic

    peers = [[peer, about.get("endpoint"), about.get("public_key")] for peer, about in graph.nodes.items()]
    links = sorted([one, other, sorted(about.items())] for (one, other), about in graph.edges.items())
    content = [graph.is_directed(), graph.graph.get("schedule"), sorted(peers), links]
    digest = hashlib.sha256(b"gossipfl topology\n" + json.dumps(content).encode()).digest()
    number = int.from_bytes(digest)
    words = Mnemonic("english").wordlist
    return " ".join(words[number >> (256 - 11 * (place + 1)) & 2047] for place in range(WORDS))
