"""``andon doctor`` says what an enforcer would find on this machine, and needs none of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from andon.run.doctor import capabilities, examine


def test_permissions_are_those_of_this_process() -> None:
    items = {item.name: item for item in examine()}
    held = capabilities(Path("/proc/self/status"))
    for name, bit in (("CAP_NET_RAW", 13), ("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)):
        item = items[f"permission {name}"]
        assert item.ok == bool(held >> bit & 1) and not item.needed
        assert item.ok or "not held" in item.detail
    assert "libnftables" in items and not items["libnftables"].needed and not items["ovs-ofctl"].needed


@pytest.mark.parametrize(
    ("text", "mask"), [("Name:\tx\nCapEff:\t0000000000003000\n", 0x3000), ("Name:\tx\n", 0), (None, 0)]
)
def test_capabilities_are_read_as_the_kernel_writes_them(tmp_path: Path, text: str | None, mask: int) -> None:
    file = tmp_path / "status"
    if text is not None:
        file.write_text(text)
    assert capabilities(file) == mask


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="needs root and setpriv, to give capabilities away",
)
def test_who_has_no_capability_is_told_so_and_libnftables_stays_silent() -> None:
    code = "from andon.run import doctor; print([i.ok for i in doctor._permissions()], doctor._nftables().detail)"
    dropped = ("--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups")
    done = subprocess.run(
        ["setpriv", *dropped, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "ModuleNotFoundError" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("an unprivileged user cannot read this installation")
    assert done.stdout.startswith("[False, False, False]") and done.stderr == "", (done.stdout, done.stderr)
