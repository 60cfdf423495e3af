"""What an experiment file may say, and reading it; must not know what is built from it."""
