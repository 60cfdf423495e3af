"""Writing and reading the files of a run; must not know how anything is learned or evaluated."""
