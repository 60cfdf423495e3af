"""From [[faults]] tables to a list of events: what happens, when, to which peers; must not know how it is carried out."""

from gossipfl.faults.course import Due, Plan
from gossipfl.faults.plan import plan

__all__ = ["Due", "Plan", "plan"]
