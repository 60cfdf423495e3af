"""Output of a command, as text or JSON; must not know what the command does."""

import sys
from typing import Any, Literal

Format = Literal["text", "json"]


def say(format: Format, value: Any, *readable: Any) -> None:
    """Print `value` as one JSON object on stdout, or print the readable renderables.

    In JSON, numbers that are not finite become null, and paths become strings. A sentence is one line where stdout is
    a file or a pipe, so that a script can read it by lines.
    """
    if format == "json":
        import json

        import msgspec

        text = msgspec.json.encode(value, enc_hook=str).decode()
        if sys.stdout:  # else it was closed from the start
            if not str(sys.stdout.encoding).lower().startswith("utf"):
                text = json.dumps(json.loads(text))
            sys.stdout.write(text + "\n")
        return
    from rich.text import Text

    from gossipfl.report.console import console, safe

    screen = console()
    for part in readable:
        screen.print(safe(part), soft_wrap=isinstance(part, str | Text) and not screen.is_terminal)


def error(sentence: str, exit_code: int, as_json: bool) -> int:
    """Print an error on stderr, and as a JSON object on stdout if asked; returns the exit code."""
    from rich.text import Text

    from gossipfl.report.console import console, visible

    told = Text.assemble(("error: ", "bold red"), visible(sentence))
    console(stderr=True).print(told, soft_wrap=True)
    if as_json:
        say("json", {"error": sentence, "exit_code": exit_code})
    return exit_code
