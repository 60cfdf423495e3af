"""Decentralised gossip learning of linear models: no server, no pooled data, one exact model."""

__version__ = "0.1.0"
