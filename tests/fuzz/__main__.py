"""`python -m tests.fuzz TARGET [libFuzzer's options]`: fuzz by coverage, with atheris, from the kept corpus.

A finding is written to the working directory, as libFuzzer does; put it into corpus/TARGET when it is mended.
`-max_total_time=60` ends it after a minute.
"""

import sys
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"

with atheris.instrument_imports(include=["agentkeys"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[target])
    atheris.Fuzz()
