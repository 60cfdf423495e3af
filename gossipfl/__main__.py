"""`python -m gossipfl`: the command gossipfl; must not know what a command does."""

import sys

from gossipfl.cli import main

if __name__ == "__main__":
    sys.exit(main())
