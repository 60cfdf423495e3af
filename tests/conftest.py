"""What all tests share: property tests are not timed, because the machine may be busy, and draw the same examples each time.

So a failure is of the change that shows it. `--hypothesis-profile=explore` draws others.
"""

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("steady")
