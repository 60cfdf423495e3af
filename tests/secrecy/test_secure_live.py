"""Secure sums of real peers: the simulator's bits, and what happens when a peer is gone or comes back."""

from pathlib import Path

import pytest
import torch
from runs import carry_out, models, settings


@pytest.mark.slow
def test_sixteen_peers_have_the_simulators_bits(tmp_path: Path) -> None:
    raw = settings(
        reference=True, privacy__sums="secure", algorithm__kind="newton", topology__graph="ring:16", model__l2=1e-3,
        stop__rounds=500, stop__tolerance=1e-8, data__partition={"scheme": "sorted"}, peers__security="keys",
    )  # fmt: skip
    found = {}
    for engine in ("simulator", "peers"):
        summary, _ = carry_out(engine, raw, tmp_path / engine)
        assert summary["stopped"] == "tolerance"
        assert summary["distance_to_optimum"] <= 1e-10
        assert summary["rounds"] <= 13 * 15
        found[engine] = models(tmp_path / engine, [str(i) for i in range(16)])
    assert torch.equal(found["simulator"], found["peers"])
