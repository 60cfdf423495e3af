"""What all tests share: property tests are not timed, because the machine may be busy, and draw the same examples each time.

So a failure is of the change that shows it. `--hypothesis-profile=explore` draws others.

Nothing that is imported or collected becomes garbage. So the collector is off until then, and never looks at it again.
"""

import gc

from hypothesis import settings

gc.disable()
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("steady")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
