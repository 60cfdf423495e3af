"""One live peer's life, from its beginning to its report; must not know a launcher."""
