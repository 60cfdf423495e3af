"""The files of a run, written and read again; must not know how anything is learned or judged."""
