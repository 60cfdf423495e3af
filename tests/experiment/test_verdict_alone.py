"""What a peer that was started by hand says at its end: the launcher's code and sentence, from what one peer knows."""

from pathlib import Path
from typing import Any

import pytest
from runs import carry_out
from test_scores import alone, world

from gossipfl.cli.peer import ended
from gossipfl.experiment.evaluation.verdict import verdict
from gossipfl.experiment.live.reports import Report


def told(folder: Path, tolerance: float, **changes: Any) -> list[tuple[dict[str, Any], int, str]]:
    """The summary, the code and the sentence: of the launcher of four peers, and of each of them, started by hand."""
    raw = world(folder, 60, 0.4)
    raw["data"]["test"] = 0.0
    raw |= changes
    raw["stop"]["tolerance"] = tolerance
    summaries = [carry_out("simulator", raw, folder / "simulated")[0], *alone(raw, folder)]
    return [(summary, *verdict(summary, tolerance)) for summary in summaries]


def test_the_last_round_may_meet_the_tolerance_before_all_can_stop_for_it(tmp_path: Path) -> None:
    how = {"model": {"l2": 1.0}, "algorithm": {"kind": "exact-diffusion"}}
    for summary, code, sentence in told(tmp_path, 1e-4, **how, stop={"rounds": 70}):
        assert summary["stopped"] == "rounds"
        assert code == 0
        assert summary["certificate"] <= 1e-4
        assert f"{summary['certificate']:.1e} from the optimum of all data" in sentence
    apart = summary | {"certified": summary["certified"] | {"spread": 2e-4}}
    assert verdict(apart, 1e-4)[0] == 6, "its own model is farther off"


def test_far_from_the_optimum_the_distance_is_told_and_what_newton_would_cost(tmp_path: Path) -> None:
    how = {"model": {"l2": 1e-6}, "algorithm": {"kind": "exact-diffusion"}}
    (launched, *_), *peers = every = told(tmp_path, 1e-4, **how, stop={"rounds": 30})
    for summary, code, sentence in every:
        assert code == 6
        assert summary["certificate"] == pytest.approx(launched["certificate"], rel=1e-6)
        assert (
            f"{summary['certificate']:.1e} from the optimum of all data, and Newton's method would"
            in sentence
        )
        assert f"get there in {launched['certified']['newton']} exchanges more" in sentence
    spreads = [summary["certified"]["spread"] for summary, _, _ in peers]
    assert max(spreads) == pytest.approx(launched["consensus_distance"], rel=1e-6)
    for spread, (_, _, sentence) in zip(spreads, peers, strict=True):
        assert f"this peer is {spread:.1e} from the mean model" in sentence


def test_a_peer_of_a_biased_method_tells_its_own_distance_and_that_of_the_mean(tmp_path: Path) -> None:
    (launched, *_), *peers = told(
        tmp_path, 0.0, algorithm={"kind": "d-psgd", "step": 0.5}, stop={"rounds": 20}
    )
    away = launched["certificate"]
    for summary, code, sentence in peers:
        spread = summary["certified"]["spread"]
        assert code == 0
        assert spread <= launched["consensus_distance"] * (1 + 1e-6)
        assert f"this peer is {spread:.2g} from the mean, which is {away:.2g} from the optimum" in sentence
        assert f"{spread + away:.2g} together: d-psgd has that bias" in sentence


def test_what_the_command_says_is_the_verdict_and_what_it_could_not_write() -> None:
    known = {
        "peers": 1,
        "rounds": 30,
        "stopped": "tolerance",
        "learned_with": ["b"],
        "without": [],
        "why": "",
    }
    report = Report(summary=known)
    sentence = "learned with b; all stopped together after 30 rounds, below tolerance 1e-08"
    assert ended(report, 1e-8) == (0, sentence) == verdict(known, 1e-8)
    full = Report(summary=known, unwritten="could not write model.json: no space")
    assert ended(full, 1e-8) == (7, f"{sentence}; but it could not write model.json: no space")
    assert ended(Report(error="b is gone", exit_code=5, summary=known), 1e-8) == (5, "b is gone")
    early = known | {"stopped": "interrupted", "why": "interrupted in round 31", "without": ["c"]}
    assert verdict(early, 1e-8) == (130, "interrupted in round 31; learned with b, without c")
    assert verdict(early | {"stopped": "dropped", "why": "removed", "without": []}, 1e-8) == (0, "removed")
