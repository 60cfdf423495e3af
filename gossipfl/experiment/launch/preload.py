"""Imports that the forkserver makes once for all peers; must not start a thread or run a torch operation.

The garbage collector ignores frozen objects. Otherwise it would write to the memory pages that peers share: one full collection
in a peer copies 60 MB of them. While the imports last it is off, which saves a third of their time.
"""

import gc

gc.disable()
import gossipfl.experiment.live.process  # noqa: E402

__all__ = ["gossipfl"]

gc.freeze()
gc.enable()
