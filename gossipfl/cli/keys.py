"""keys new, show and rotate; must not know how keys are made or used."""

from pathlib import Path
from typing import Annotated

import typer

from gossipfl.cli.options import As
from gossipfl.cli.say import Format, say
from gossipfl.errors import BadExperiment

app = typer.Typer(help="Make and show the keys that peers know each other by.", no_args_is_help=True)

KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The file with the secret keys of one peer.")]


@app.command(
    epilog="""\b
Examples:
  gossipfl keys new oslo
  gossipfl keys new oslo --out /etc/gossipfl"""
)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the peer in the topology.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder of the file NAME.key. Default: this one.")
    ] = Path(),
    format: As = "text",
) -> None:
    """Make the secret keys of a peer, on the machine where it will run.

    Writes them to NAME.key, which only its owner can read, and prints the public key for the topology file.
    """
    from gossipfl.keys import fresh, save
    from gossipfl.topology.names import name_of

    try:
        named = name_of(name)
    except ValueError as why:
        raise BadExperiment(str(why)) from None
    key, path = fresh(), out / f"{named}.key"
    save(named, (key,), path)
    _tell(
        format,
        named,
        path,
        str(key.public),
        f"the secret keys of {named} are in {path}: keep this file secret",
    )


@app.command(
    epilog="""\b
Examples:
  gossipfl keys show oslo.key"""
)
def show(file: KeyFile, format: As = "text") -> None:
    """Print the public key of a peer, as the topology file has it."""
    from gossipfl.keys import load
    from gossipfl.topology.public_key import written

    name, keys = load(file)
    _tell(format, name, file, written(tuple(key.public for key in keys)))


@app.command(
    epilog="""\b
Examples:
  gossipfl keys rotate oslo.key"""
)
def rotate(file: KeyFile, format: As = "text") -> None:
    """Make new keys for a peer. The old ones stay valid until the topology file no longer names them.

    Prints both public keys: with this line in all topology files, no peer stops. When all have it, leave out the
    second key there. Rotate again to replace the old secret keys in the file.
    """
    from gossipfl.keys import fresh, load, save
    from gossipfl.topology.public_key import written

    name, keys = load(file)
    both = (fresh(), keys[0])
    save(name, both, file, replace=True)
    _tell(format, name, file, written(tuple(key.public for key in both)), f"{name} has new keys in {file}")


def _tell(format: Format, name: str, path: Path, public: str, *before: str) -> None:
    table = (
        f"[peers.{name}]"
        if name.replace("-", "").replace("_", "").isalnum() and name.isascii()
        else f'[peers."{name}"]'
    )
    lines = f"in the topology file, {name} has this public key:", "", table, f'public_key = "{public}"'
    say(format, {"peer": name, "file": str(path), "public_key": public}, *before, *lines)
