"""Profiles of malware (``intel.profile``) for others: JSON, a page in Markdown, a STIX 2.1 bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from andon.records.neutral import plain_json
from andon.share.profile.model import Profile, as_json, profiles
from andon.share.profile.page import markdown
from andon.share.profile.stix import bundle

__all__ = ["Profile", "as_json", "bundle", "markdown", "profiles", "write_profiles"]


def write_profiles(
    tables: Mapping[str, Sequence[pa.Table]], out: Path, findings: Sequence[Mapping[str, Any]] = ()
) -> int:
    """``profiles/NAME.json``, ``profiles/NAME.md`` and ``profiles.stix.json`` in a folder that exists; how many
    profiles there were. Nothing is written if there are none. Raises OSError."""
    every = profiles(tables, findings)
    if not every:
        return 0
    (out / "profiles").mkdir(exist_ok=True)
    for one in every:
        text = plain_json(json.dumps(as_json(one), ensure_ascii=False, indent=1)) + "\n"
        (out / "profiles" / f"{one.slug}.json").write_text(text, encoding="utf-8")
        (out / "profiles" / f"{one.slug}.md").write_text(markdown(one), encoding="utf-8")
    body = plain_json(json.dumps(bundle(every), ensure_ascii=False, indent=1)) + "\n"
    (out / "profiles.stix.json").write_text(body, encoding="utf-8")
    return len(every)
