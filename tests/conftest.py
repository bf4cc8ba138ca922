"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# One seed, so that the same code passes or fails the same way; `make nightly-properties` explores with others. Times
# of a shared machine prove nothing, so no example has a deadline.
settings.register_profile("one-seed", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("ANDON_HYPOTHESIS", "one-seed"))

ROOT = Path(__file__).resolve().parent.parent


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
