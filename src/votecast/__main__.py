"""`python -m votecast` is the same as `votecast`."""

import sys

from votecast.cli import main

if __name__ == "__main__":
    sys.exit(main())
