"""Reads a PDF from standard input and writes its text as JSON: run by ``pdf`` in a process of its own.

A hostile PDF can keep any reader busy for hours or make it ask for all memory there is. Here it meets the limits of a
process that can do nothing else: CPU time, memory, no files. This file imports nothing of Andon, so that it
starts fast.
"""

from __future__ import annotations

import io
import json
import logging
import resource
import sys
from typing import Any


def main(seconds: int, megabytes: int, pages: int, characters: int) -> int:
    from pypdf import PdfReader

    logging.disable(logging.CRITICAL)
    data = sys.stdin.buffer.read()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))
    answer: dict[str, Any] = {"text": "", "title": "", "date": "", "pages": 0, "left_out": 0, "trouble": ""}
    parts: list[str] = []
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            answer["trouble"] = "encrypted"
        else:
            answer |= _about(reader)
            total = len(reader.pages)
            length = 0
            for number in range(min(total, pages)):
                try:
                    text = reader.pages[number].extract_text() or ""
                except MemoryError:
                    raise
                except Exception as error:
                    answer["trouble"] = f"page {number + 1}: {type(error).__name__}"
                    continue
                parts.append(text[: characters - length])
                length += len(parts[-1])
                answer["pages"] += 1
                if length >= characters:
                    break
            answer["left_out"] = total - answer["pages"]
    except MemoryError:
        parts, answer["trouble"] = parts[:1], "needs too much memory"
    except Exception as error:
        answer["trouble"] = f"{type(error).__name__}: {error}"[:200]
    answer["text"] = "\f".join(parts)
    sys.stdout.write(json.dumps(answer))
    return 0


def _about(reader: Any) -> dict[str, str]:
    try:
        about = reader.metadata or {}
        return {
            "title": str(about.get("/Title") or "")[:1000],
            "date": str(about.get("/CreationDate") or "")[:60],
        }
    except Exception:
        return {"title": "", "date": ""}


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:5])))
