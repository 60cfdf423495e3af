"""Imports that the forkserver makes once for all peers; must not start a thread or run a torch operation.

The garbage collector ignores frozen objects. Otherwise it would write to the memory pages that peers share: one full collection
in a peer copies 60 MB of them.
"""

import gc

import gossipfl.experiment.live.process

__all__ = ["gossipfl"]

gc.collect()
gc.freeze()
