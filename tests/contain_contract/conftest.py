"""The lab's private place is that of tests/lab; receivers, switches and gateways are those of each enforcer's tests."""

from __future__ import annotations

import sys
from pathlib import Path

for name in ("lab", "contain_edl"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / name))
