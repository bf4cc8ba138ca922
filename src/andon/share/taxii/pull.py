"""Objects of a collection into a bundle file, from where the last pull ended; lists are read from that file.

The file holds the newest version of each object. Beside it, ``FILE.state`` says up to where the server was read; it is
written after the bundle, so that a pull that is killed repeats a page and loses none.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from andon.share.taxii.client import Account, Bounds, Listed, TaxiiClient, TaxiiTrouble
from andon.share.taxii.wire import NotStix, Stix, moment, read_json, stix
from andon.store.durable import write_durable
from andon.store.errors import explained

SCHEMA: Final = "andon.taxii-state/1"
_NAMESPACE: Final = uuid.UUID("6b8f0f1e-5a34-5d3b-b0b2-0c1d9b5f7e55")  # ours, for ids of these bundles
_LARGEST: Final = 1 << 30  # the readers of lists take no more


@dataclass
class Pulled:
    """What a pull did. ``trouble``: what ended it early, if anything; what came before that is kept."""

    pages: int = 0
    objects: int = 0
    new: int = 0
    changed: int = 0
    held: int = 0
    skipped: int = 0
    examples: list[str] = field(default_factory=list)
    more: bool = False
    trouble: str = ""


def pull(
    account: Account,
    collection: str,
    out: Path,
    bounds: Bounds | None = None,
    afresh: bool = False,
    heard: Callable[[int], None] = lambda objects: None,
) -> Pulled:
    """Read what is new in a collection and merge it into the bundle ``out``. ``afresh``: from the beginning.
    ``heard`` is told how many objects have come.

    Raises TaxiiTrouble if nothing could be read, StoreError where the file cannot be written, ValueError for a file
    that is no bundle."""
    client = TaxiiClient(account, bounds)
    where = client.collection(collection)
    held = _held(out)
    after = "" if afresh else _resume(_state(out), where)
    done, last = Pulled(), ""
    try:
        for page in client.pages(where, after):
            done.pages += 1
            done.objects += len(page.objects)
            done.more = page.more
            _merge(held, page.objects, done)
            last = _later(last, page.last)
            heard(done.objects)
            if len(held) > client.bounds.objects:
                raise TaxiiTrouble(f"{out} would hold more than {client.bounds.objects:,} objects")
    except TaxiiTrouble as error:
        if not done.pages:
            raise
        done.trouble = str(error)
    done.skipped, done.examples = client.skipped.lines, client.skipped.examples
    done.held = len(held)
    if done.new or done.changed or not out.exists():
        write_durable(out, [_bundle(held, where)])
    # A server may add another object in the unit of time of its last one, and a pull that ended early may have stopped
    # between two of the same time: one goes back by one unit, and what comes twice is known by id and version.
    if last:
        resume = _one_unit_before(last)
        write_durable(_beside(out), [json.dumps(_saved(where, _later(resume, after))).encode()])
    return done


def _merge(held: dict[str, Stix], objects: list[Stix], done: Pulled) -> None:
    for one in objects:
        old = held.get(one.id)
        if old is None:
            done.new += 1
        elif one.version > old.version:
            done.changed += 1
        else:
            continue
        held[one.id] = one


def _held(out: Path) -> dict[str, Stix]:
    if not out.exists():
        return {}
    with explained(out, "reading"):
        if out.stat().st_size > _LARGEST:
            raise ValueError(f"{out}: more than {_LARGEST:,} bytes")
        data = out.read_bytes()
    try:
        bundle = read_json(data)
        if not isinstance(bundle, dict) or bundle.get("type") != "bundle":
            raise ValueError("it is there already and is no STIX bundle: name another file")
        return {one.id: one for one in map(stix, bundle.get("objects", []))}
    except (NotStix, ValueError, TypeError) as error:
        raise ValueError(f"{out}: {error}") from error


def _bundle(held: dict[str, Stix], where: Listed) -> bytes:
    head = {"type": "bundle", "id": f"bundle--{uuid.uuid5(_NAMESPACE, where.url)}"}
    listed = ",\n".join(one.text for one in held.values())
    return (json.dumps(head)[:-1] + f', "objects": [\n{listed}\n]}}\n').encode()


def _beside(out: Path) -> Path:
    return out.with_name(out.name + ".state")


def _saved(where: Listed, added_after: str) -> dict[str, str]:
    return {"schema": SCHEMA, "collection": where.url, "added_after": added_after}


def _state(out: Path) -> dict[str, Any]:
    try:
        state = read_json(_beside(out).read_bytes()) if out.exists() else {}
    except (OSError, ValueError):
        return {}  # then everything is read again, which costs time and nothing else
    return state if isinstance(state, dict) else {}


def _resume(state: dict[str, Any], where: Listed) -> str:
    after = state.get("added_after")
    same = state.get("schema") == SCHEMA and state.get("collection") == where.url
    try:
        return after if same and isinstance(after, str) and moment(after) else ""
    except (ValueError, OverflowError):
        return ""


def _later(a: str, b: str) -> str:
    """The later of two times; "" is before all."""
    return max(a, b, key=lambda text: moment(text) if text else -1)


def _one_unit_before(text: str) -> str:
    """A time less one of its last digit, at most of six.

    >>> _one_unit_before("2026-01-01T00:00:00.000Z"), _one_unit_before("2026-01-01T00:00:00Z")
    ('2025-12-31T23:59:59.999Z', '2025-12-31T23:59:59Z')
    """
    digits = len(text.partition(".")[2].rstrip("Z"))
    digits = min(digits, 6)
    moment = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
    before = moment - timedelta(microseconds=10 ** (6 - digits))
    fraction = f".{before.microsecond:06d}"[: digits + 1] if digits else ""
    return f"{before:%Y-%m-%dT%H:%M:%S}{fraction}Z"
