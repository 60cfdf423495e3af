"""What the forkserver imports once for all peers; must not start a thread or run a torch operation.

Frozen objects are left alone by the garbage collector, which would otherwise write to the pages that peers share: one
full collection in a peer makes 60 MB of them its own.
"""

import gc

import gossipfl.experiment.live.process

__all__ = ["gossipfl"]

gc.collect()
gc.freeze()
