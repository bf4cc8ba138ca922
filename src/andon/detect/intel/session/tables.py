"""The tables of a span: sessions, behaviours, clusters, steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.intel.session import families, techniques, words
from andon.detect.intel.session.clusters import Script, assigned
from andon.detect.intel.session.digest import CONTROLLER, EXPLOITED, LOGIN, RELAY, SEPARATOR, STEPS, TRIED
from andon.detect.intel.session.exploits import Exploits
from andon.detect.intel.session.memory import Memory
from andon.detect.intel.session.patterns import Understood, understood
from andon.detect.intel.session.roles import roles
from andon.detect.intel.session.summary import Sessions
from andon.records.joint import BEHAVIOURS, CLUSTER, PAYLOAD, SESSIONS, TACTICS, TOKEN, URL_BASE

_TIME: Final = pa.timestamp("ns", tz="UTC")


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])


CLUSTERS: Final = _schema(
    ("cluster", pa.string()),
    ("label", pa.string()),  # commands of its medoid
    ("patterns", pa.int64()),
    ("sessions", pa.int64()),
    ("sources", pa.int64()),
    ("first", _TIME),
    ("last", _TIME),
    ("tactics", pa.string()),  # of its most frequent pattern
    ("example", pa.string()),  # its most frequent pattern, shortened
)
STEPS_SEEN: Final = _schema(
    ("step", pa.string()),  # of digest.STEPS
    ("sessions", pa.int64()),
    ("times", pa.int64()),
)
CONTROLLERS: Final = _schema(  # where a program that a session left behind connected to
    ("session", pa.string()),
    ("at", _TIME),
    ("address", pa.int64()),  # of the attacker; IPv4 as a number, else -1
    ("server", pa.string()),  # "host:port", or what the honeypot says instead
)
_EXAMPLE: Final = 400  # characters of a pattern that are shown
UNDERSTOOD: Final = 10_000  # patterns of a span that get tactics, those of most sessions first
_SURE: Final = 0.9  # share of sessions with one token that names a payload or a base
_SEVERAL: Final = 3  # sessions with a token that it takes
_SINGLE: Final = 2  # sessions in which a word that looks random may be before it is taken for a name


def tables(
    summary: Sessions, memory: Memory, exploits: Exploits, start: int
) -> tuple[dict[str, pa.Table], Memory]:
    """All tables of a span, and the memory after it."""
    rows = summary.rows()
    number = rows.column("pattern").to_numpy()
    distinct, place = np.unique(number, return_inverse=True)
    counts = np.bincount(place, minlength=len(distinct))
    # Patterns whose text did not stay are not understood; their sessions have no cluster.
    said: dict[int, Understood] = {}
    for at in np.lexsort((distinct, -counts)).tolist():
        if (text := summary.patterns.get(int(distinct[at]))) is not None:
            said[int(distinct[at])] = understood(text, len(said) < UNDERSTOOD)
    scripts = {
        int(one): (said[int(one)].script, int(count))
        for one, count in zip(distinct, counts, strict=True)
        if int(one) in said
    }
    medoids = assigned(scripts, [medoid for medoid, _ in memory.medoids])
    cluster = [medoids[int(one)].name if int(one) in medoids else "" for one in distinct]
    read = [said.get(int(one)) for one in distinct]
    parent, kind, value = _behaviours(rows)
    value = _pooled(parent, kind, value)
    flags = rows.column("flags").to_numpy().astype(np.int64)
    token = np.zeros(rows.num_rows, np.bool_)
    token[parent[kind == TOKEN]] = True
    role, sure = roles(flags, rows.column("tried").to_numpy(), rows.column("commands").to_numpy(), token,
                       rows.column("source").to_numpy())  # fmt: skip
    made = {
        "sessions": _sessions(rows, flags, role, sure, read, place, cluster, parent, kind, value, exploits),
        "behaviours": _behaviour_table(rows, role, read, place, cluster, parent, kind, value),
        "clusters": _clusters(rows, distinct, place, said, medoids, summary.patterns),
        "steps": _steps(summary.steps),
        "controllers": _controllers(rows, parent, kind, value),
    }
    seen = {medoid.name: medoid for medoid in medoids.values()}
    return made, memory.after(seen, start)


def _behaviours(rows: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, kind, value) of each behaviour, as arrays of objects."""
    column = rows.column("behaviours").combine_chunks()
    parent = pc.list_parent_indices(column).to_numpy(zero_copy_only=False).astype(np.int64)
    coded = pc.list_flatten(column).dictionary_encode()
    split = [text.partition(SEPARATOR) for text in coded.dictionary.to_pylist()]
    codes = coded.indices.to_numpy(zero_copy_only=False)
    kinds = np.array([one[0] for one in split], dtype=object)
    values = np.array([one[2] for one in split], dtype=object)
    if not split:
        return parent, kinds, values
    return parent, kinds[codes], values[codes]


def _pooled(parent: np.ndarray, kind: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Tokens that look drawn at random and are in one session only are one class."""
    at = np.flatnonzero(kind == TOKEN)
    if not len(at):
        return value
    distinct, place, count = np.unique(value[at].astype(str), return_inverse=True, return_counts=True)
    pool = np.array([words.random_token(one) for one in distinct]) & (count < _SINGLE)
    value = value.copy()
    value[at[pool[place]]] = families.RANDOM
    return value


def _lists(count: int, rows: np.ndarray, values: list[str]) -> pa.ListArray:
    """List of texts for each row; ``rows`` ascending."""
    offsets = np.searchsorted(rows, np.arange(count + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, pa.string()))


def _sessions(
    rows: pa.Table, flags: np.ndarray, role: np.ndarray, sure: np.ndarray, read: list[Understood | None],
    place: np.ndarray, cluster: list[str], parent: np.ndarray, kind: np.ndarray, value: np.ndarray, exploits: Exploits,
) -> pa.Table:  # fmt: skip
    count = rows.num_rows
    family = _families(count, read, place, parent, kind, value)
    steps = np.stack([rows.column(f"step{number}").to_numpy() > 0 for number in range(len(STEPS))], axis=1)
    of_row, which = np.nonzero(steps)
    shown = np.flatnonzero(kind == "exploit")
    cves, targets = _exploited(count, parent[shown], value[shown], exploits)
    made: dict[str, Any] = {
        "session": rows.column("session"),
        "start": rows.column("start").cast(_TIME),
        "end": rows.column("end").cast(_TIME),
        "src": rows.column("src"),
        "address": rows.column("address"),
        "honeypot": rows.column("honeypot"),
        "protocol": rows.column("protocol"),
        "dst_port": rows.column("port"),
        "role": pa.array(role, pa.string()),
        "role_confidence": pa.array(sure),
        "family": pa.array([one[0] for one in family], pa.string()),
        "family_confidence": pa.array([one[1] for one in family], pa.float64()),
        "family_evidence": pa.array([one[2] for one in family], pa.string()),
        "steps": _lists(count, of_row, [STEPS[step] for step in which.tolist()]),
        "techniques": _techniques(flags, steps, read, place),
        "cves": cves,
        "targets": targets,
        "cluster": pa.array([cluster[at] for at in place.tolist()], pa.string()),
        "login": pa.array(flags & LOGIN > 0),
        "commands": rows.column("commands").cast(pa.int64()),
    }
    return pa.table([made[field.name] for field in SESSIONS], schema=SESSIONS).combine_chunks()


def _families(
    count: int,
    read: list[Understood | None],
    place: np.ndarray,
    parent: np.ndarray,
    kind: np.ndarray,
    value: np.ndarray,
) -> list[tuple[str, float, str]]:
    """(family, confidence, evidence) of each session."""
    evidence: list[tuple[families.Evidence, ...]] = [one.marks if one else () for one in read]
    found: list[tuple[families.Evidence, ...]] = [evidence[at] for at in place.tolist()]
    wanted = (
        np.isin(kind.astype(str), ("token", "url-base", "url", "credential"))
        if len(kind)
        else np.empty(0, np.bool_)
    )
    for row, one, text in zip(
        parent[wanted].tolist(), kind[wanted].tolist(), value[wanted].tolist(), strict=True
    ):
        says = families.of_behaviour(one, text)
        if says is not None:
            found[row] = (*found[row], says)
    for row, says in _carried(parent, kind, value):
        found[row] = (*found[row], says)
    return _cached(families.decided, found)


def _carried(parent: np.ndarray, kind: np.ndarray, value: np.ndarray) -> list[tuple[int, families.Evidence]]:
    """Sessions without a token whose payload or URL base comes with one token wherever it comes with any."""
    at = np.flatnonzero(kind == TOKEN)
    token: dict[int, str] = {}
    for row, text in zip(parent[at].tolist(), value[at].tolist(), strict=True):
        token.setdefault(row, text)
    shown = np.flatnonzero((kind == PAYLOAD) | (kind == URL_BASE))
    pairs = list(zip(parent[shown].tolist(), kind[shown].tolist(), value[shown].tolist(), strict=True))
    with_token: dict[tuple[str, str], Counter[str]] = {}
    for row, one, text in pairs:
        if row in token:
            with_token.setdefault((one, text), Counter())[token[row]] += 1
    named = {}
    for (one, text), counts in with_token.items():
        most, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
        says = families.of_behaviour(TOKEN, most)
        if count >= _SEVERAL and count >= _SURE * counts.total() and says is not None:
            what = "payload" if one == PAYLOAD else f"URL base {text}"
            named[one, text] = (says[0], 0.7 * says[1], f"{what} of sessions with token {most}")
    return [(row, named[one, text]) for row, one, text in pairs if row not in token and (one, text) in named]


def _cached(function: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    """A function of each value, computed once for equal ones."""
    known: dict[Any, Any] = {}
    made = []
    for value in values:
        if value not in known:
            known[value] = function(value)
        made.append(known[value])
    return made


def _techniques(
    flags: np.ndarray, steps: np.ndarray, read: list[Understood | None], place: np.ndarray
) -> pa.ListArray:
    of_flag = (
        (TRIED, techniques.BRUTE_FORCE),
        (EXPLOITED, techniques.EXPLOITATION),
        (RELAY, techniques.PROXY),
    )
    mask = sum(flag for flag, _ in of_flag)
    packed = (steps * (1 << np.arange(len(STEPS)))).sum(axis=1)
    keys = list(zip(place.tolist(), (flags & mask).tolist(), packed.tolist(), strict=True))

    def named(key: tuple[int, int, int]) -> list[str]:
        at, flag, step = key
        one = read[at]
        made = [technique for bit, technique in of_flag if flag & bit]
        made += [
            techniques.OF_STEP[name]
            for n, name in enumerate(STEPS)
            if n and step >> n & 1 and name in techniques.OF_STEP
        ]
        made += one.techniques if one else ()
        return list(dict.fromkeys(made))

    return pa.array(_cached(named, keys), pa.list_(pa.string()))


def _exploited(
    count: int, rows: np.ndarray, values: np.ndarray, exploits: Exploits
) -> tuple[pa.ListArray, pa.ListArray]:
    """(CVEs, systems) of each session."""
    cves: dict[int, dict[str, None]] = {}
    systems: dict[int, dict[str, None]] = {}
    for row, value in zip(rows.tolist(), values.tolist(), strict=True):
        if value.startswith("CVE-"):
            cves.setdefault(row, {})[value] = None
        for system in exploits.systems(value):
            systems.setdefault(row, {})[system] = None
    made = []
    for found in (cves, systems):
        flat = [(row, text) for row in sorted(found) for text in found[row]]
        made.append(_lists(count, np.array([row for row, _ in flat], np.int64), [text for _, text in flat]))
    return made[0], made[1]


def _behaviour_table(
    rows: pa.Table, role: np.ndarray, read: list[Understood | None], place: np.ndarray, cluster: list[str],
    parent: np.ndarray, kind: np.ndarray, value: np.ndarray,
) -> pa.Table:  # fmt: skip
    texts = [one.tactics if one else "" for one in read]
    shown = kind != CONTROLLER
    parent, kind, value = parent[shown], kind[shown], value[shown]
    every = np.arange(rows.num_rows)
    parents, kinds, values = [parent], [kind], [value]
    for name, of_pattern in ((CLUSTER, cluster), (TACTICS, texts)):
        column = np.array(of_pattern, dtype=object)[place] if len(of_pattern) else np.empty(0, dtype=object)
        there = np.flatnonzero(column != "")
        parents.append(every[there])
        kinds.append(np.full(len(there), name, dtype=object))
        values.append(column[there])
    parent, kind, value = np.concatenate(parents), np.concatenate(kinds), np.concatenate(values)
    order = np.argsort(parent, kind="stable")
    at = pa.array(parent[order])
    columns = [
        rows.column("session").take(at),
        rows.column("start").take(at).cast(_TIME),
        rows.column("address").take(at),
        rows.column("sensor").take(at),
        pa.array(kind[order], pa.string()),
        pa.array(value[order], pa.string()),
        pa.array(role, pa.string()).take(at),
    ]
    return pa.table(columns, schema=BEHAVIOURS).combine_chunks()


def _clusters(
    rows: pa.Table, distinct: np.ndarray, place: np.ndarray, said: dict[int, Understood], medoids: dict[int, Script],
    patterns: dict[int, str],
) -> pa.Table:  # fmt: skip
    counts = np.bincount(place, minlength=len(distinct))
    members: dict[str, list[int]] = {}
    for at, number in enumerate(distinct.tolist()):
        if number in medoids:
            members.setdefault(medoids[number].name, []).append(at)
    start, end = rows.column("start").to_numpy(), rows.column("end").to_numpy()
    source = rows.column("source").to_numpy()
    order = np.argsort(place, kind="stable")
    begin = np.searchsorted(place[order], np.arange(len(distinct) + 1))
    made: list[dict[str, Any]] = []
    for name, mine in members.items():
        top = min(mine, key=lambda at: (-int(counts[at]), int(distinct[at])))
        number = int(distinct[top])
        within = np.concatenate([order[begin[at] : begin[at + 1]] for at in mine])
        made.append({
            "cluster": name, "label": medoids[number].label, "patterns": len(mine), "sessions": len(within),
            "sources": len(np.unique(source[within])), "first": int(start[within].min()),
            "last": int(end[within].max()),
            "tactics": said[number].tactics, "example": patterns[number][:_EXAMPLE],
        })  # fmt: skip
    made.sort(key=lambda row: (-row["sessions"], row["cluster"]))
    columns = [
        pa.array([row[field.name] for row in made], pa.int64() if field.type == _TIME else field.type).cast(
            field.type
        )
        for field in CLUSTERS
    ]
    return pa.table(columns, schema=CLUSTERS)


def _steps(seen: np.ndarray) -> pa.Table:
    return pa.table([pa.array(STEPS), pa.array(seen[0]), pa.array(seen[1])], schema=STEPS_SEEN)


def _controllers(rows: pa.Table, parent: np.ndarray, kind: np.ndarray, value: np.ndarray) -> pa.Table:
    at = np.flatnonzero(kind == CONTROLLER)
    row = pa.array(parent[at])
    columns = [
        rows.column("session").take(row), rows.column("start").take(row).cast(_TIME), rows.column("address").take(row),
        pa.array(value[at], pa.string()),
    ]  # fmt: skip
    return pa.table(columns, schema=CONTROLLERS).combine_chunks()
