"""Centralised optimisers that every peer runs on the same totals over all peers; must not know any engine."""

from gossipfl.algorithms.sums.adassp import SufficientStatistics
from gossipfl.algorithms.sums.carrier import PLAIN, Carrier, Integers, Noised
from gossipfl.algorithms.sums.certificate import Units, distance
from gossipfl.algorithms.sums.dp_gd import UNKNOWN, Clipped, ClippedDescent
from gossipfl.algorithms.sums.dp_newton import ClippedNewton
from gossipfl.algorithms.sums.lbfgs import LBFGS
from gossipfl.algorithms.sums.newton import DampedNewton
from gossipfl.algorithms.sums.objective import Objective
from gossipfl.algorithms.sums.probe import Bound, Probe, probe
from gossipfl.algorithms.sums.summed import Summed, SumMethod, Summing

__all__ = [
    "LBFGS",
    "PLAIN",
    "UNKNOWN",
    "Bound",
    "Carrier",
    "Clipped",
    "ClippedDescent",
    "ClippedNewton",
    "DampedNewton",
    "Integers",
    "Noised",
    "Objective",
    "Probe",
    "SufficientStatistics",
    "SumMethod",
    "Summed",
    "Summing",
    "Units",
    "distance",
    "probe",
]
