"""Each format gives, byte for byte, what a person has read through once (``golden/``).

After a change that is meant: ANDON_GOLDEN=write pytest tests/share_formats/test_format_goldens.py, and read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from told_records import CASE_DOCUMENT, INFECTED, INTENTS, TOOL

from andon.share.formats.export import FORMATS, Told
from andon.share.policy import Gate, Ground, Policy

GOLDEN = Path(__file__).parent / "golden"
SOME = [TOOL.to_dict(), INFECTED.to_dict(), CASE_DOCUMENT, INTENTS[0]]


def told(format: str) -> str:
    made = Told(format, Gate(Policy("golden"), Ground(organisation="Example SOC"))).all(SOME)
    parts = made.files or {"": made.text}
    text = ""
    for name, part in sorted(parts.items()):
        head = f"=== {name}\n" if name else ""
        try:
            whole = (
                [json.loads(line) for line in part.splitlines()]
                if name != "manifest.json"
                else [json.loads(part)]
            )
            part = "".join(json.dumps(one, indent=1, ensure_ascii=False) + "\n" for one in whole)
        except ValueError:
            pass  # no JSON: as it is
        text += head + part
    return text


@pytest.mark.parametrize("format", FORMATS)
def test_a_format_gives_what_was_read_through(format: str) -> None:
    path, made = GOLDEN / f"{format}.txt", told(format)
    version = __import__("andon").__version__
    made = made.replace(f'"{version}"', '"VERSION"').replace(f"|{version}|", "|VERSION|")
    if os.environ.get("ANDON_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(made, encoding="utf-8")
    assert made == path.read_text(encoding="utf-8")
