"""A finished linear model apart from its run: its file, what it predicts, its other forms; must not know how it was learned."""

from gossipfl.trained.file import describe, load, rebuilt
from gossipfl.trained.model import LinearModel, Prediction

__all__ = ["LinearModel", "Prediction", "describe", "load", "rebuilt"]
