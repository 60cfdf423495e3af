"""The keys of an experiment file, and reading the file; must not know what is built from it."""
