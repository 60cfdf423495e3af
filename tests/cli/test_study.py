"""study new writes what the program itself accepts; metrics and the unit say what Prometheus and systemd accept."""

import shutil
import subprocess
from pathlib import Path

import pytest
from commands import gossipfl, small
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gossipfl.config.file import load as load_experiment
from gossipfl.report.metrics import Peers, families
from gossipfl.runs.status import PeerStatus
from gossipfl.topology import load as load_topology

LABELS = "peer", "neighbour", "state", "kind"
UNIT = Path(__file__).parents[2] / "docs" / "deploy" / "gossipfl@.service"
SITES = (
    "--site",
    "oslo=tcp://oslo.example.org:7001",
    "--site",
    "bergen=tcp://[2001:db8::1]:7001",
    "--site",
    "tromsø",
)


def test_a_new_study_has_an_experiment_a_topology_and_a_page_for_each_site(tmp_path: Path) -> None:
    words = "--target", 'sick "now"', "--kind", "logistic", "--categorical", "cp", "--out", tmp_path / "heart"
    assert gossipfl("study", "new", "heart", *SITES, *words).code == 0
    experiment = load_experiment(tmp_path / "heart" / "heart.toml")
    graph = load_topology(tmp_path / "heart" / "topology.toml")
    assert (experiment.data.target, experiment.data.categorical) == ('sick "now"', ("cp",))
    assert experiment.peers.security == "keys"
    assert experiment.privacy.sums == "secure"
    assert set(graph) == {"oslo", "bergen", "tromsø"}
    assert graph.number_of_edges() == 3
    assert [graph.nodes[peer].get("endpoint") for peer in ("bergen", "tromsø")] == [
        "tcp://[2001:db8::1]:7001",
        None,
    ]
    page = (tmp_path / "heart" / "oslo.md").read_text()
    assert "TCP port 7001" in page
    assert "bergen, tromsø" in page
    assert "Open no port" in (tmp_path / "heart" / "tromsø.md").read_text()


@pytest.mark.parametrize(
    ("sites", "kind", "sentence"),
    [(SITES[:4], "logistic", "2 sites are too few for secure sums"), (SITES, "huber", "not for huber")],
)
def test_where_sums_cannot_be_secure_the_study_says_so(
    sites: tuple[str, ...], kind: str, sentence: str, tmp_path: Path
) -> None:
    said = gossipfl("study", "new", "s", *sites, "--target", "y", "--kind", kind, "--out", tmp_path / "s")
    assert sentence in said.out
    assert "neighbours can rebuild rows" in said.out
    assert load_experiment(tmp_path / "s" / "s.toml").privacy.sums == "plain"


def test_sites_without_an_address_have_no_link_and_must_be_reached_over_others(tmp_path: Path) -> None:
    words = "--target", "y", "--kind", "linear", "--out", tmp_path / "new"
    said = gossipfl("study", "new", "s", *SITES, "--site", "bodø", *words)
    assert "tromsø and bodø have no address, so there is no link between them" in said.out
    assert not load_topology(tmp_path / "new" / "topology.toml").has_edge("tromsø", "bodø")
    said = gossipfl("study", "new", "s", "--site", "a", "--site", "b", *words[:-1], tmp_path / "other")
    assert (said.code, "a would have no link to the others" in said.err) == (3, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "there is no terminal to ask questions on"),
        (("s", *SITES, "--target", "y", "--kind", "lnear"), 'did you mean "linear"?'),
        (("s", "--site", "a=tcp://h:99999", "--target", "y", "--kind", "linear"), "is not an endpoint"),
        (("s", *SITES, *SITES, "--target", "y", "--kind", "linear"), "with different names"),
        (("s", *SITES, "--target", "y", "--kind", "linear", "--graph", "hypercube"), "does not link 3 sites"),
    ],
)
def test_what_cannot_be_used_is_a_sentence_and_writes_nothing(
    words: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = gossipfl("study", "new", *words)
    assert said.code == 3
    assert sentence in said.err
    assert not list(tmp_path.iterdir())


def test_metrics_are_what_prometheus_reads(tmp_path: Path) -> None:
    near = {"a\\b": {"state": "up", "seconds": 1.0}, 'c"d': {"state": "down", "seconds": 2.0}}
    status = PeerStatus("oslo", "ended: failed", 1.5, 7, near, {"sent": 12, "refused": 3}, "a reason")

    class Found(Peers):
        def collect(self):  # type: ignore[no-untyped-def]
            return families([status, PeerStatus("new", "not begun", None, None, {}, {}, "")])

    registry = CollectorRegistry()
    registry.register(Found(tmp_path))
    found = {
        (sample.name, *(sample.labels[label] for label in LABELS if label in sample.labels)): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }
    assert found["gossipfl_round", "oslo"] == 7
    assert found["gossipfl_neighbour", "oslo", "a\\b", "up"] == 1
    assert found["gossipfl_neighbour", "oslo", 'c"d', "up"] == 0
    assert found["gossipfl_messages_total", "oslo", "refused"] == 3
    assert (found["gossipfl_failed", "oslo"], found["gossipfl_failed", "new"]) == (1, 0)
    assert ("gossipfl_round", "new") not in found


def test_metrics_refuse_what_they_cannot_serve(tmp_path: Path) -> None:
    assert "is not the folder of a run" in gossipfl("metrics", tmp_path).err
    assert "write HOST:PORT" in gossipfl("metrics", small(tmp_path).parent, "--listen", "9464").err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_unit_and_finds_it_safe(tmp_path: Path) -> None:
    unit = tmp_path / "gossipfl@oslo.service"
    unit.write_text(UNIT.read_text().replace("/opt/gossipfl/.venv/bin/gossipfl", shutil.which("true") or ""))
    found = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    rated = ["systemd-analyze", "security", "--offline=true", "--threshold=40", unit]
    assert subprocess.run(rated, capture_output=True, text=True, check=False).returncode == 0
