"""No kernel loads a byte behind the captured ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="guards memory with Linux's mprotect")
def test_no_byte_behind_the_capture_is_touched() -> None:
    program = Path(__file__).with_name("guarded.py")
    ended = subprocess.run(
        [sys.executable, program, "1", "6000"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
