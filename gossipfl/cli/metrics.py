"""metrics: serves the status of a run's peers to Prometheus; must not know what the metrics are."""

from pathlib import Path
from typing import Annotated

import typer

from gossipfl.cli.garbage import imported
from gossipfl.errors import BadExperiment, NetworkError

EXAMPLES = """\b
Examples:
  gossipfl metrics /var/lib/gossipfl/oslo
  gossipfl metrics runs/latest --listen 127.0.0.1:9464"""


def metrics(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder of a peer, or of gossipfl run.")],
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where Prometheus finds the metrics.")
    ] = "127.0.0.1:9464",
) -> None:
    """Serve the status of peers to Prometheus, until it is interrupted.

    It reads the files of the run at each request. So it is a process of its own: it needs no keys, and a peer neither
    waits for it nor knows of it. Needs prometheus-client: pip install "gossipfl[metrics]".
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadExperiment(f"--listen {listen}: write HOST:PORT, for example 127.0.0.1:9464")
    if not (run / "config.toml").exists():
        raise BadExperiment(f"{run} is not the folder of a run: give the one that the peer prints")
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise BadExperiment('prometheus-client is missing: pip install "gossipfl[metrics]"') from None
    from gossipfl.report.metrics import Peers

    imported()
    registry = CollectorRegistry()
    registry.register(Peers(run))
    try:
        _, thread = start_http_server(int(port), host.strip("[]"), registry)
    except OSError as why:
        raise NetworkError(f"cannot listen on {listen}: {why.strerror or why}") from None
    typer.echo(f"http://{listen}/metrics has the status of the peers in {run}", err=True)
    thread.join()
