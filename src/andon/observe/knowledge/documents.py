"""Opening a knowledge file: JSON, plain or gzip, of bounded size and depth, with errors that name the file."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

LARGEST: Final = 256 << 20  # bytes, unpacked; ATT&CK Enterprise has about 45 MB
MOST: Final = 2_000_000  # objects of a bundle or cluster


class KnowledgeError(ValueError):
    """A file is not what it should be; the text says which file, why, and what is expected."""


def text_of(path: Path) -> str:
    """Raises OSError, KnowledgeError."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            data = file.read(LARGEST + 1)
        else:
            try:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    data = unpacked.read(LARGEST + 1)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise KnowledgeError(f"{path}: damaged gzip: {error}") from error
    if len(data) > LARGEST:
        raise KnowledgeError(f"{path}: more than {LARGEST >> 20} MB unpacked")
    return data.decode("utf-8-sig", "replace")


def document(path: Path) -> Any:
    """The JSON of a file. Raises OSError, KnowledgeError."""
    try:
        return json.loads(text_of(path))
    except RecursionError:
        raise KnowledgeError(f"{path}: JSON nested too deeply") from None
    except ValueError as error:
        if isinstance(error, KnowledgeError):
            raise
        raise KnowledgeError(f"{path}: not JSON: {error}") from error


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """(number from 1, object) of a file that is a JSON array, one object, or an object a line; None where something
    else stands or a line is damaged. Raises OSError, KnowledgeError for a file with no JSON object at all."""
    text = text_of(path)
    try:
        whole = json.loads(text)
    except RecursionError:
        raise KnowledgeError(f"{path}: JSON nested too deeply") from None
    except ValueError:
        yield from _lines(path, text)
        return
    if isinstance(whole, dict):
        yield 1, whole
    elif isinstance(whole, list):
        for number, item in enumerate(whole[:MOST], 1):
            yield number, item if isinstance(item, dict) else None
    else:
        raise KnowledgeError(f"{path}: JSON, but neither an object nor an array of objects")


def _lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any] | None]]:
    good = 0
    for number, line in enumerate(text.splitlines()[:MOST], 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            item = None
        good += isinstance(item, dict)
        yield number, item if isinstance(item, dict) else None
    if not good:
        raise KnowledgeError(f"{path}: neither JSON nor lines of JSON objects")
