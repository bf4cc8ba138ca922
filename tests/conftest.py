"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from databases import place, postgres  # noqa: F401

# One seed, so that the same code passes or fails the same way; `make nightly-properties` explores with others. Times
# of a shared machine prove nothing, so no example has a deadline.
settings.register_profile("one-seed", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("ANDON_HYPOTHESIS", "one-seed"))

ROOT = Path(__file__).resolve().parent.parent

# Descriptors that may stay open: fonts, a database's connections, what a library keeps for the rest of its life.
_OF_A_FILE, _OF_ALL = 40, 120


def _open_files() -> int:
    """Descriptors of this process; 0 where that cannot be looked up."""
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0


def _grown(before: int, most: int) -> int:
    """How many more are open; what only waits for the collector does not count."""
    if _open_files() - before > most:
        gc.collect()
    return _open_files() - before


@pytest.fixture(scope="session", autouse=True)
def no_descriptors_lost() -> Iterator[None]:
    """All tests together: more than 1,024 open ones break ``select``."""
    before = _open_files()
    yield
    assert _grown(before, _OF_ALL) <= _OF_ALL, "descriptors stay open: who opens files does not close them"


@pytest.fixture(scope="module", autouse=True)
def no_descriptors_lost_in_a_file(
    no_descriptors_lost: None, request: pytest.FixtureRequest
) -> Iterator[None]:
    before = _open_files()
    yield
    grown = _grown(before, _OF_A_FILE)
    assert grown <= _OF_A_FILE, f"{request.node.nodeid}: {grown} descriptors stay open"


@pytest.fixture(scope="session")
def andon_data() -> Path:
    """Folder of real captures and labels: ``ANDON_DATA``, by default ``../shared/data``."""
    folder = Path(os.environ.get("ANDON_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "darknet-data").is_dir():
        pytest.skip(f"no real data at {folder} (set ANDON_DATA)")
    return folder


@pytest.fixture(scope="session")
def tcpdump() -> str:
    """Path of tcpdump, whose verdict on our filters counts."""
    path = shutil.which("tcpdump")
    if path is None:
        pytest.skip("tcpdump is not installed")
    return path
