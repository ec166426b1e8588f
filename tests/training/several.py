"""Run several votecast commands, separated by ++, in the same processes."""

from __future__ import annotations

import itertools
import sys

from votecast.cli import main

if __name__ == "__main__":
    for is_mark, words in itertools.groupby(sys.argv[1:], lambda word: word == "++"):
        if not is_mark and (code := main(list(words))):
            sys.exit(code)
