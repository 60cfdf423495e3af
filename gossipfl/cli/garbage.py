"""When the garbage collector works; must not know commands.

While a command imports it is off: it would take a third of that time. A command that goes on for longer calls `imported`.
"""

import gc


def imported() -> None:
    """Look for garbage from now on, but not among what has been imported: the first look would take .1 s."""
    gc.freeze()
    gc.enable()
