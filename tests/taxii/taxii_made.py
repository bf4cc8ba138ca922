"""Objects to share, with markings."""

from __future__ import annotations

import uuid
from typing import Any

NOW = 1_767_268_800_000_000_000  # 2026-01-01 12:00 UTC
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
CLEAR = "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"
RED = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"  # of TLP 1


def made(
    number: int, modified: str = "2026-01-01T00:00:00.000Z", tlp: str = GREEN, **more: Any
) -> dict[str, Any]:
    """An indicator."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid5(uuid.NAMESPACE_OID, str(number))}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": modified,
        "name": f"C2 {number}",
        "pattern": f"[ipv4-addr:value = '198.51.{number // 256 % 256}.{number % 256}']",
        "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [tlp],
        **more,
    }
