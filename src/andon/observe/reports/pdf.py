"""PDF to text through ``pdf_worker`` in a process of its own, with limits of CPU time, memory, pages and characters.

A PDF has no lines and no words, only glyphs at places: what an author broke at the end of a line is put together again
for hashes, URLs and words with a hyphen. Fonts without a table of characters (old Japanese ones) give no text; that is
said.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from andon.observe.reports import dates
from andon.observe.reports.documents import MOST_CHARACTERS, Document

CPU_SECONDS, MEGABYTES, PAGES = 30, 1024, 400
MOST_BYTES: Final = 64 << 20
_WALL: Final = 300  # seconds; only a process that sleeps gets there
_DIGEST: Final = (32, 40, 64)


class UnreadablePdf(ValueError):
    """No text could be got out of a PDF; the message says why."""


def read_pdf(data: bytes) -> tuple[Document, str]:
    """(document, what was left out or went wrong, "" if nothing). Raises UnreadablePdf."""
    if len(data) > MOST_BYTES:
        raise UnreadablePdf(f"{len(data):,} bytes; at most {MOST_BYTES:,} are read")
    limits = [str(number) for number in (CPU_SECONDS, MEGABYTES, PAGES, MOST_CHARACTERS)]
    worker = str(Path(__file__).with_name("pdf_worker.py"))
    # -I: neither the folder it is started in nor the environment decides what code runs.
    command = [sys.executable, "-I", worker, *limits]
    environment = {name: os.environ[name] for name in ("LANG", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=_WALL, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnreadablePdf(f"not read within {_WALL} seconds") from error
    if done.returncode:
        why = "took more than its CPU time or memory" if done.returncode < 0 else "the reader failed"
        if b"No module named 'pypdf'" in done.stderr:
            why = "the library pypdf is not installed"
        raise UnreadablePdf(why)
    answer: dict[str, Any] = json.loads(done.stdout)
    text = joined(answer["text"])
    if not text.strip():
        raise UnreadablePdf(
            answer["trouble"] or "no text in it (pictures of pages, or fonts without characters)"
        )
    trouble = [answer["trouble"]] if answer["trouble"] else []
    if answer["left_out"]:
        trouble.append(f"{answer['left_out']:,} pages left out")
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    title = answer["title"] or (first if len(first) <= 200 else "")
    published = dates.of_head(text) or dates.of_field(answer["date"])
    return Document(text, title, "", published), "; ".join(trouble)


def joined(text: str) -> str:
    """Lines that belong together: hashes and URLs that a table wrapped, words hyphenated at the end of a line.

    >>> joined("74578d5bf8e61b77ec23a1e0c9f3d8a1\\n6a6438c73b84a9dbd60443ea14c809ad the bot-\\nnet")
    '74578d5bf8e61b77ec23a1e0c9f3d8a16a6438c73b84a9dbd60443ea14c809ad the botnet'
    """
    text = re.sub(r"([a-z]{2,})-\n([a-z]{2,})", r"\1\2", text)

    def hexes(match: re.Match[str]) -> str:
        parts = match.group().split()
        whole = "".join(parts)
        # A list of whole hashes, one a line, is left alone.
        return whole if (len(whole) in _DIGEST and len(parts[0]) not in (*_DIGEST,)) or (
            len(whole) == 64 and len(parts) == 2 and len(parts[0]) in (32,
            40) and len(parts[1]) not in (40,) and text.count(parts[0]) == 1
        ) else match.group()  # fmt: skip

    text = re.sub(
        r"(?<![0-9A-Za-z])[0-9a-f]{8,60}(?:\s?\n\s?[0-9a-f]{4,56}){1,3}(?![0-9A-Za-z])", hexes, text
    )
    return re.sub(r"((?:h..ps?|ftp)\[?:\]?//[^\s]{20,300}[/_=&?-])\n(?=[A-Za-z0-9_%.=&-]{2,})", r"\1", text)
