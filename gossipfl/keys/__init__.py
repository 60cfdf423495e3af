"""The secret keys of peers; must not know sockets, studies or what is learned."""

from gossipfl.keys.secret import SecretKey, fresh, load, save

__all__ = ["SecretKey", "fresh", "load", "save"]
