"""Progress, tables and drawings for people; must not know the command line."""
