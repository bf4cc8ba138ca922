"""Writing into the work folder, where several workers and drivers may be at the same place at once.

Each writer has a temporary file of its own beside the place and puts it there whole; whoever comes last wins, and all
of them wrote the same. What a killed writer leaves is taken away a day later by whoever writes into that folder next.
JSON files hold a digest of themselves (``check``), so that a damaged one is not taken for what was written.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from andon.run.cluster.errors import ClusterError
from andon.store.durable import TEMPORARY, make_folder, sync_path, write_durable
from andon.store.errors import StoreError, StoreFull, StoreReadOnly, explained

_LEFT: Final = 86_400.0  # seconds after which a temporary file is nobody's any more
_MOST: Final = 64 << 20  # bytes of a JSON file; ours have some hundred kilobytes at most


@contextmanager
def writing(path: Path, doing: str) -> Iterator[None]:
    """Turns what goes wrong in the block into a ClusterError that says what to do about the work folder."""
    try:
        with explained(path, doing):
            yield
    except StoreFull as error:
        raise ClusterError(
            f"{path}: no room left while {doing}: free some and submit the job again; what is finished stays"
        ) from error
    except StoreReadOnly as error:
        raise ClusterError(
            f"{path}: not writable while {doing}: every worker and the driver write into the work folder"
        ) from error
    except StoreError as error:
        raise ClusterError(f"{error}") from error


def ensure(path: Path) -> None:
    """The folder and its parents, made if they are not there. Raises ClusterError."""
    with writing(path, "making a folder"):
        make_folder(path)


def temporary(path: Path) -> Path:
    """A name beside ``path`` that nobody else has."""
    return path.with_name(f".{path.name}.{os.uname().nodename}.{uuid4().hex}{TEMPORARY}")


def place(made: Path, path: Path) -> None:
    """A file that is whole and on disk, at its place. Raises OSError."""
    made.replace(path)
    sync_path(path.parent)


def put(path: Path, data: bytes | memoryview) -> None:
    """A file that is there, whole and on disk, when this returns. Raises ClusterError."""
    made = temporary(path)
    with writing(path, "writing"):
        try:
            write_durable(made, [data])
            place(made, path)
        finally:
            made.unlink(missing_ok=True)


def put_json(path: Path, said: Mapping[str, Any]) -> None:
    """JSON values with a digest of them. Raises ClusterError."""
    put(path, json.dumps({**said, "check": _check(said)}).encode())


def read_json(path: Path) -> dict[str, Any]:
    """What ``put_json`` wrote. Raises OSError, and ValueError for anything else."""
    with path.open("rb") as file:
        data = file.read(_MOST + 1)
    try:
        said = json.loads(data)
    except RecursionError as error:
        raise ValueError("not a file of a work folder") from error
    if not isinstance(said, dict) or said.pop("check", "") != _check(said):
        raise ValueError("not what was written")
    return said


def take_away(path: Path) -> None:
    """Remove a file that is not what was written, so that it is made again. Raises ClusterError."""
    with writing(path, "removing a damaged file"):
        path.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Remove temporary files that killed writers left in a folder long ago; what cannot be removed stays."""
    before = time.time() - _LEFT
    for one in path.glob(f".*{TEMPORARY}"):
        try:
            if one.stat().st_mtime < before:
                one.unlink()
        except OSError:
            continue


def _check(said: Mapping[str, Any]) -> str:
    text = json.dumps(said, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=16).hexdigest()
