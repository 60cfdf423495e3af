"""What a member that lies can do to the others: what the table of docs/security.md says, and no more.

The liar is a real peer of a ring that learns with the others. Its messages are forged on their way, with the numbers of its
sessions as they are.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from virtual import MOST, World
from worlds import Toy, newton

from gossipfl import topology
from gossipfl.engine import relative_distance
from gossipfl.peer.letter import Letter
from gossipfl.peer.rumours import TABLE, Rumours
from gossipfl.peer.wire import Opening, decode, encode

LIAR, HONEST = 1, (0, 2, 3)
Lie = Callable[[Any, bytes], tuple[dict[str, Any], bytes]]


def ring(kind: str, lie: Lie, begins: float = 0.03, ends: float = 0.3) -> World:
    """Peer 1 of 4 lies for a while."""
    world = World(topology.load("ring:4"), kind, absent=1.0)

    def forged(frames: list[bytes]) -> list[bytes]:
        header = decode(frames[0])
        if header.leaving or not 100 + begins <= world.now <= 100 + ends:
            return frames
        changes, payload = lie(header, frames[1])
        return [encode(msgspec.structs.replace(header, **changes)), payload]

    world.lies[LIAR] = forged
    return world


def honest_ends(world: World, rows: list[int]) -> int:
    """All honest peers end at the optimum of these peers' rows, and at most one round apart; return the last round."""
    world.run(60.0)
    assert not [life.wrong for life in world.lives.values() if life.wrong]
    ends = {me: world.ended[me] for me in HONEST}
    optimum = newton(Toy(rows, peers=4))
    for _, x in ends.values():
        assert float(relative_distance(x, optimum[None]).max()) <= 1e-8
    rounds = {round for round, _ in ends.values()}
    assert max(rounds) - min(rounds) <= 1
    return max(rounds)


def rumour(**words: Any) -> Lie:
    return lambda header, payload: ({"rumours": Rumours(**words)}, payload)


def opening(**words: Any) -> Lie:
    return lambda header, payload: (
        {"opens": Opening(**{"weight": 1 / 3, "graph": b"8 bytes."} | words)},
        payload,
    )


def numbers(value: float) -> Lie:
    return lambda header, payload: ({}, np.full(len(payload) // 8, value).tobytes())


ABSURD: dict[str, tuple[Lie, str]] = {
    "over": (rumour(over=True), "p1 says that the time is up, and it is not"),
    "depth": (rumour(depth=20_000), "p1 says that the network is 20000 hops wide, and it has 4 peers"),
    "broken": (rumour(broken=2**61), r"p1 speaks of exchange \d+, which this study does not"),
    "cuts": (rumour(cuts=((0, 3, 2**61 + 1),)), r"p1 speaks of exchange \d+, which this study does not"),
    "far": (lambda h, p: ({"number": h.number + 2**40}, p), r"p1 speaks of exchange \d+, which this study does not"),
    "not-finite": (numbers(float("nan")), "p1 sent numbers that are not finite"),
    "large": (numbers(1e300), "p1 sent numbers that are far too large"),
    "short": (lambda h, p: ({}, p[:-1]), r"p1 sent \d+ bytes; this exchange has \d+"),
    "study": (lambda h, p: ({"study": b"another!"}, p), "p1 takes part in another study"),
}  # fmt: skip


@pytest.mark.parametrize("lie", ABSURD)
def test_what_no_peer_says_changes_nothing_and_its_sender_is_named(lie: str, caplog: Any) -> None:
    words, named = ABSURD[lie]
    world = ring("exact-diffusion", words)
    honest_ends(world, [0, 1, 2, 3])
    assert re.search(named, caplog.text)
    lines = [record for record in caplog.records if re.search(named, record.getMessage())]
    assert len(lines) <= 2 * (1 + (world.now - 100)), "each neighbour says so at most once a second"
    for me in (0, 2):
        neighbours = world.exchanges[me].neighbours
        assert neighbours[LIAR].refused > 0
        assert re.search(named, f"p1 {neighbours[LIAR].refusal}")
        assert world.exchanges[me].refused >= neighbours[LIAR].refused
    assert not any(one.refused for one in world.exchanges[3].neighbours.values()), "the others are believed"


def test_a_step_below_the_shortest_is_refused_and_another_one_is_told_by_name(caplog: Any) -> None:
    world = ring("exact-diffusion", opening(step=1e-300))
    world.at(100.02, world.lives[LIAR].kill)
    world.at(100.04, lambda: world.begin(LIAR))  # only a new session has an opening
    honest_ends(world, [0, 1, 2, 3])
    assert "p1 asks for a step of 1e-300; the shortest one is" in caplog.text
    assert {world.exchanges[me].neighbours.step for me in HONEST} == {0.0}


@pytest.mark.parametrize("kind", ["exact-diffusion", "newton"])
@pytest.mark.parametrize("why", ["diverged", "settled", "done", "failed"])
def test_a_goodbye_ends_nobody_else(kind: str, why: str, caplog: Any) -> None:
    """The liar leaves in the middle; the others learn the optimum without its rows."""
    caplog.set_level("INFO")
    world = ring(kind, lambda header, payload: ({"leaving": why}, b""), ends=0.05)
    world.at(100.06, world.lives[LIAR].kill)
    honest_ends(world, [0, 2, 3])
    assert f"p1 left: {why}" in caplog.text


def test_trouble_that_is_made_up_only_slows_newton_down() -> None:
    whole = World(topology.load("ring:4"), "newton")
    rounds = honest_ends(whole, [0, 1, 2, 3])
    world = ring("newton", lambda h, p: ({"rumours": Rumours(broken=h.number)}, p))
    assert honest_ends(world, [0, 1, 2, 3]) > rounds
    assert not world.exchanges[0].refused


@pytest.mark.slow
def test_nobody_follows_one_neighbour_that_runs_ahead() -> None:
    """But to the last tenth of the study, if it was away. When it is gone, what it has said is gone, too."""
    for ends, least, most in ((0.3, 0, 1_000), (1.0, 0.9 * MOST, 0.9 * MOST + 1_000)):
        world = ring("exact-diffusion", lambda h, p: ({"number": h.number + MOST}, p), ends=ends)
        world.at(100 + ends, world.lives[LIAR].kill)
        assert least <= honest_ends(world, [0, 2, 3]) <= most


def test_a_mask_ends_nobody_that_has_not_converged() -> None:
    world = ring("exact-diffusion", lambda h, p: ({"converged": b"\xff" * 4}, p))
    honest_ends(world, [0, 1, 2, 3])


def test_the_table_of_the_documentation_is_that_of_the_code_and_has_all_that_a_message_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    page = page.partition("## What a member may do to the others")[2].partition("\n## ")[0]
    for row in TABLE:
        assert f"| `{row.fields}` | {row.says} | {row.effect} | {row.bound} |\n" in page, row.fields
    assert page.count("\n| `") == len(TABLE)
    said = set(re.findall(r"[a-z.]+", " ".join(row.fields for row in TABLE)))
    parts = {"rumours": Rumours, "opens": Opening}
    for name in Letter.__struct_fields__:
        for field in parts[name].__struct_fields__ if name in parts else ("",):
            assert f"{name}.{field}".rstrip(".") in said
