"""Run the command line as `python -m votecast`."""

import sys

from votecast.cli import main

if __name__ == "__main__":
    sys.exit(main())
