"""From [[faults]] to a plain list of what happens when, and to whom; must not know how it is carried out."""

from gossipfl.faults.due import Due, Plan
from gossipfl.faults.plan import plan

__all__ = ["Due", "Plan", "plan"]
