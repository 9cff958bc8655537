"""The fuzz targets: the corpus and what is near it in every run, coverage-guided for many minutes in `make soak`."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS
from tests.support.runner import Runner
from tests.support.uids import REPO, require

CORPUS = Path(__file__).parent / "corpus"

EXAMPLES = 150
"""Of each target, in every run: a second or two."""

SOAK_SECONDS = 300
"""Of each target, in `make soak`: at 2,000 to 4,000 runs a second, about a million."""

MAX_FILES, MAX_BYTES = 40, 2048
"""Of a target's kept corpus: what was found once is in it, and a reader can look at it all."""


def corpus(target: str) -> "list[bytes]":
    """What is kept for a target."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def near(target: str) -> "st.SearchStrategy[bytes]":
    """Bytes of the corpus with a piece exchanged, and any bytes at all."""
    places = st.integers(0, MAX_BYTES)
    exchanged = st.builds(
        lambda data, at, skipped, piece: data[:at] + piece + data[at + skipped :],
        st.sampled_from(corpus(target)),
        places,
        st.integers(0, 8),
        st.binary(max_size=8),
    )
    return exchanged | st.binary(max_size=200)


@pytest.mark.parametrize("target", TARGETS)
def test_the_kept_corpus_breaks_nothing(target: str) -> None:
    """Every input that once found something, or leads to where something might be."""
    found = corpus(target)
    for data in found:
        TARGETS[target](data)
    assert 0 < len(found) <= MAX_FILES
    assert max(map(len, found)) <= MAX_BYTES


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_is_near_the_corpus_breaks_nothing(target: str, data: st.DataObject) -> None:
    """150 inputs, others in each run."""
    TARGETS[target](data.draw(near(target)))


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_minutes_of_fuzzing_break_nothing(target: str, cli: Runner, tmp_path: Path) -> None:
    """atheris follows what is reached, from the corpus on; a crash or ten seconds of silence is a finding."""
    require(importlib.util.find_spec("atheris"), "atheris (`make soak` installs it)")
    found = tmp_path / "corpus"
    shutil.copytree(CORPUS / target, found)
    fuzz = cli.with_prefix(sys.executable, "-m", "tests.fuzz", target)
    options = (f"-max_total_time={SOAK_SECONDS}", "-timeout=10", f"-artifact_prefix={tmp_path}/", str(found))
    done = fuzz(*options, cwd=REPO, timeout=SOAK_SECONDS + 120)
    assert done.code == 0, done.err[-3000:].decode(errors="replace")
