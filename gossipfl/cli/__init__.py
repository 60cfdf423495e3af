"""The console command: turns arguments into calls and outcomes into exit codes; must not know mathematics.

Exit codes: 0 done, 2 usage, 3 configuration, 4 data, 5 network, 6 diverged or did not converge, 7 could
not write or print all, 130 interrupted.
"""

import atexit
import gc
import io
import sys
from collections.abc import Sequence
from itertools import pairwise

import typer

from gossipfl.cli.app import app
from gossipfl.cli.say import error
from gossipfl.disk import FULL
from gossipfl.errors import GossipError, Unwritten
from gossipfl.report.lasting import Lasting, forsake
from gossipfl.signals import insist

# typer has its own copy of click since 0.27, and no public name for its UsageError
UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (by default the arguments of this process), and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it may not have the sign of success, or letters of a path
            stream.reconfigure(errors="replace")
    gc.disable()  # looks for garbage while a command imports take a third of its time; one that goes on enables them
    atexit.register(gc.freeze)  # and so does the last look, at the exit
    as_json = "--format=json" in words or ("--format", "json") in pairwise(words)
    Lasting.full, code, hook = False, 0, sys.unraisablehook
    insist()
    try:
        code = _done(words or ["--help"], as_json)
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:  # `gossipfl ... | head`: the reader has closed the pipe
        forsake(sys.stdout)
        return 141
    except OSError as wrong:
        if wrong.errno not in FULL:
            raise
        full = _full(wrong)
        return code or full
    finally:
        sys.unraisablehook = hook
        gc.enable()
    return code or (Unwritten.exit_code if Lasting.full else 0)


def _done(words: list[str], as_json: bool) -> int:
    """The exit code of a command, or of the error that it ends with, which is printed."""
    try:
        return int(app(words, prog_name="gossipfl", standalone_mode=False) or 0)
    except GossipError as wrong:
        return error(str(wrong), wrong.exit_code, as_json)
    except UsageError as wrong:
        return _usage(wrong, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return error("interrupted", 130, as_json)


def _full(wrong: OSError) -> int:
    """A disk is full: that of standard output, or of a file."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        forsake(sys.stdout)
    where = f" ({wrong.filename})" if wrong.filename else ""
    what = "not all is written or printed; make room (what a study has learned is in its folder)"
    return error(f"{wrong.strerror}{where}: {what}", Unwritten.exit_code, False)


def _usage(wrong: Exception, as_json: bool) -> int:
    context = getattr(wrong, "ctx", None)
    command = context.command_path if context else "gossipfl"
    message = wrong.format_message() if hasattr(wrong, "format_message") else str(wrong)
    if not message or type(wrong).__name__ == "NoArgsIsHelpError":  # `gossipfl topology`
        typer.echo(context.get_help() if context else "")
        return 2
    return error(f"{message.rstrip('.')}; see {command} --help", 2, as_json)
