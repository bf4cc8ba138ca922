"""Figures of the second read merge to the same bytes however the packets were divided, also beyond the limits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.records.columns import column
from andon.run.exactly import Counted, Relation, Wanted, count, count_packets, figures, merge
from andon.sketch.state import StateError, pack, unpack
from made_packets import packets

HOUR = 3600
SYN = "tcp.flags & 0x3f == 2"
PLAIN = "tcp.seq == ip.dst"
TTL = "ip.ttl == 3"
KEYED = f"{SYN} and (tcp.seq == ip.dst ^ key32)"
SOME = f"{KEYED} and (ip.src == 0.0.0.1 or ip.src == 0.0.0.2 or ip.src == 0.0.0.3)"
HOURS = [(hour * HOUR * 10**9, (hour + 1) * HOUR * 10**9) for hour in range(3)]
WINDOWS = [*HOURS, (0, 3 * HOUR * 10**9), (5 * HOUR * 10**9, 6 * HOUR * 10**9)]
WANTED = Wanted(
    tuple(
        sorted(
            Relation(*window, text, exact)
            for window in WINDOWS
            for text, exact in ((PLAIN, True), (TTL, False), (KEYED, False), (SOME, True))
        )
    )
)


@dataclass
class Part:
    path: str
    vlan_depth: int = 0


@pytest.fixture(
    autouse=True, scope="module", params=[False, True], ids=["within the limits", "beyond the limits"]
)
def beyond(request: pytest.FixtureRequest) -> Iterator[bool]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param:
            patch.setattr(figures, "SOURCES", 12)
            patch.setattr(figures, "PAIRS", 25)
        yield request.param


def traffic(seed: int, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    dst = rng.integers(0, 50, rows)
    seq = np.where(rng.random(rows) < 0.5, dst, dst ^ rng.integers(1, 4, rows))
    return {
        "second": rng.integers(-HOUR, 4 * HOUR, rows),
        "src": rng.integers(1, 60, rows),
        "dst": dst,
        "dst_port": rng.choice([0, 22, 23, 80, 443, 65535], rows),
        "tcp_seq": seq,
        "tcp_flags": rng.choice([2, 2, 2, 18], rows),
        "ttl": rng.integers(1, 6, rows),
    }


def batch_of(values: dict[str, np.ndarray], rows: np.ndarray) -> tuple[int, Any, np.ndarray]:
    batch = packets(("ts", *WANTED.columns), **{name: one[rows] for name, one in values.items()})
    return 0, batch, column(batch, "ts")


def counted(values: dict[str, np.ndarray], pieces: list[np.ndarray], path: str, depth: int = 0) -> Counted:
    return count(WANTED, [batch_of(values, rows) for rows in pieces], [Part(path, depth)])


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 400),
    workers=st.integers(1, 6),
    cuts=st.integers(1, 5),
    paths=st.integers(1, 3),
)
@settings(max_examples=25)
def test_any_split_over_workers_gives_the_bytes_of_one_pass(
    seed: int, rows: int, workers: int, cuts: int, paths: int
) -> None:
    values, rng = traffic(seed, rows), np.random.default_rng(seed + 1)
    path_of = rng.integers(0, paths, rows)
    every = [f"{n}.pcap" for n in range(paths)]
    # One pass: every file whole, one after the other.
    batches = [batch_of(values, np.flatnonzero(path_of == n))[1:] for n in range(paths)]
    parts = [Part(path, n) for n, path in enumerate(every)]
    whole = count(WANTED, [(n, *batch) for n, batch in enumerate(batches)], parts)
    # Many: each file in parts to whatever worker, in whatever order, its deepest tag seen by one of them only.
    made = []
    for n, path in enumerate(every):
        mine = rng.permutation(np.flatnonzero(path_of == n))
        for number, share in enumerate(np.array_split(mine, workers)):
            piece = counted(values, np.array_split(share, cuts), path, n if number == 0 else 0)
            made.append(Counted.from_bytes(piece.to_bytes()))
    while len(made) > 1:
        first, second = (made.pop(int(rng.integers(len(made)))) for _ in range(2))
        before = first.to_bytes(), second.to_bytes()
        made.append(merge(first, second))
        assert before == (first.to_bytes(), second.to_bytes()), "merging changed its parts"
    assert made[0].to_bytes() == whole.to_bytes()
    assert merge(whole, Counted(WANTED.digest)).to_bytes() == whole.to_bytes()


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 300))
@settings(max_examples=25)
def test_what_is_counted_is_what_is_there(seed: int, rows: int, beyond: bool) -> None:
    values = traffic(seed, rows)
    ts = values["second"] * 10**9
    mixed = np.random.default_rng(seed).permutation(rows)  # some batches lie in one window, in no order
    got = counted(values, np.array_split(mixed, max(rows // 4, 1)), "a.pcap")
    for number, relation in enumerate(WANTED.relations):
        inside = (ts >= relation.start) & (ts < relation.end)
        tally = got.tallies.get(number)
        if relation.keyed:
            assert (tally is not None) == bool(inside.any())
            if tally is None:
                continue
            hit = inside & (values["tcp_flags"] == 2)
            if relation.text == SOME:
                hit &= values["src"] <= 3
            pairs = values["src"][hit] << 32 | (values["tcp_seq"] ^ values["dst"])[hit]
            _, counts = np.unique(pairs, return_counts=True)
            assert tally.sessions is not None and tally.packets == 0 and tally.exact is None
            for least in (1, 2, 3):
                expected = None if beyond and len(counts) > 25 else int((counts >= least).sum())
                assert tally.sessions.number(least) == expected
            continue
        hit = inside & (
            (values["ttl"] == 3) if relation.text == TTL else (values["tcp_seq"] == values["dst"])
        )
        assert (tally is not None) == bool(hit.any())
        if tally is None:
            continue
        assert (tally.packets, tally.first, tally.last) == (hit.sum(), ts[hit].min(), ts[hit].max())
        assert tally.inputs == {"a.pcap"} and (tally.exact is not None) == relation.exact
        if tally.exact is None:
            continue
        told = tally.exact.to_dict("x", tally.packets, tally.first, tally.last)
        sources = len(np.unique(values["src"][hit]))
        assert told["sources_exact"] == (not beyond or sources <= 12)
        assert not told["sources_exact"] or told["sources"] == sources
        ports, counts = np.unique(values["dst_port"][hit], return_counts=True)
        assert [(one["port"], one["packets"]) for one in told["ports"]] == sorted(
            zip(ports.tolist(), counts.tolist(), strict=True), key=lambda one: (-one[1], one[0])
        )


def test_figures_of_other_relations_are_not_merged() -> None:
    other = Wanted(WANTED.relations[:1])
    with pytest.raises(ValueError, match="other relations"):
        merge(Counted(WANTED.digest), Counted(other.digest))
    with pytest.raises(ValueError, match="no figures"):
        merge()


def test_damaged_figures_are_refused_wherever_the_damage_is() -> None:
    data = counted(traffic(3, 300), [np.arange(300)], "a.pcap").to_bytes()
    assert Counted.from_bytes(data).to_bytes() == data
    places = np.random.default_rng(1).choice(len(data), 60, replace=False).tolist()
    for at in [0, 1, 5, len(data) - 1, *places]:
        with pytest.raises(ValueError):
            Counted.from_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
    for end in (0, 10, 24, len(data) // 2, len(data) - 1):
        with pytest.raises(ValueError, match="state"):
            Counted.from_bytes(data[:end])
    with pytest.raises(ValueError):
        Counted.from_bytes(data + b"\0")


def test_figures_with_a_good_checksum_and_bad_content_are_refused() -> None:
    data = counted(traffic(3, 300), [np.arange(300)], "a.pcap").to_bytes()
    arrays, limits = unpack("exact-figures", 1, data)
    assert pack("exact-figures", 1, arrays, limits) == data
    keys, counts, size = arrays["keys"], arrays["counts"], arrays["size"]
    big = np.flatnonzero(size > 3)[0]
    inside = int(size[:big].sum()) + 1
    for changed in (
        {"packets": -arrays["packets"]},
        {"packets": arrays["packets"].astype(np.float64)},
        {"packets": arrays["packets"].reshape(1, -1)},
        {"relation": arrays["relation"][::-1].copy()},
        {"relation": arrays["relation"][1:]},
        {"relation": arrays["relation"] - 99},
        {"inputs": arrays["inputs"] + 1},
        {"inputs": arrays["inputs"] - 1},
        {"inputs_of": arrays["inputs_of"] - 2},
        {"inputs_of": np.zeros_like(arrays["inputs_of"])},
        {"names": np.frombuffer(b'["a.pcap","a.pcap"]', np.uint8)},
        {"names": np.frombuffer(b'[ "a.pcap"]', np.uint8)},
        {"names": np.frombuffer(b"{}", np.uint8)},
        {"names": np.frombuffer(b"[7]", np.uint8)},
        {"names": np.frombuffer(b"[" * 100_000, np.uint8)},
        {"depth": arrays["depth"] - 1},
        {"depth": np.zeros(2, np.int64)},
        {"size": size - 1},
        {"size": size[:-1]},
        {"size": np.where(np.arange(len(size)) == big, size + (1 << 62), size)},
        {"level": arrays["level"] + 64},
        {"level": arrays["level"] - 9},
        {"keys": keys[:-1]},
        {"keys": keys[::-1].copy()},
        {"keys": np.where(np.arange(len(keys)) == inside, keys[inside - 1], keys)},
        {"keys": np.where(np.arange(len(keys)) == len(keys) - 1, np.uint64(2**64 - 1), keys)},
        {"counts": counts[:-1]},
        {"counts": counts - counts},
        {"more": arrays["more"] | 8},
        {"more": arrays["more"] ^ 3},
        {"first": arrays["last"] + 1},
        {"extra": arrays["last"]},
    ):
        with pytest.raises(StateError):
            Counted.from_bytes(pack("exact-figures", 1, {**arrays, **changed}, limits))
    for missing in arrays:
        rest = {name: array for name, array in arrays.items() if name != missing}
        with pytest.raises(StateError):
            Counted.from_bytes(pack("exact-figures", 1, rest, limits))
    for other in ({}, {**limits, "pairs": 7}, {**limits, "more": 7}):
        with pytest.raises(StateError, match="other limits"):
            Counted.from_bytes(pack("exact-figures", 1, arrays, other))
    with pytest.raises(StateError, match="version 2"):
        Counted.from_bytes(pack("exact-figures", 2, arrays, limits))


def test_a_sample_that_its_keys_do_not_belong_to_is_refused(beyond: bool) -> None:
    data = counted(traffic(3, 300), [np.arange(300)], "a.pcap").to_bytes()
    arrays, limits = unpack("exact-figures", 1, data)
    assert bool(arrays["level"].any()) == beyond
    deeper = np.where(arrays["size"] > 3, arrays["level"] + 9, arrays["level"])
    with pytest.raises(StateError, match="sample"):
        Counted.from_bytes(pack("exact-figures", 1, {**arrays, "level": deeper}, limits))


def test_figures_of_another_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = counted(traffic(3, 300), [np.arange(300)], "a.pcap").to_bytes()
    monkeypatch.setattr(figures, "SOURCES", 13)
    with pytest.raises(ValueError, match="limit"):
        Counted.from_bytes(data)


def test_batches_outside_of_all_windows_are_not_looked_at() -> None:
    outside = packets(("ts",), second=[-9, 4 * HOUR, 6 * HOUR])  # it has no column that could be counted
    for n in range(3):
        one = outside.slice(n, 1)
        got = count(WANTED, [(0, one, column(one, "ts"))], [Part("a.pcap")])
        assert got.tallies == {} and got.depth == {"a.pcap": 0}
    inside = packets(("ts",), second=[1])
    with pytest.raises(KeyError):
        count(WANTED, [(0, inside, column(inside, "ts"))], [Part("a.pcap")])


def test_windows_begin_with_their_start_and_end_before_their_end() -> None:
    at = [0, HOUR, 3 * HOUR, 5 * HOUR, 6 * HOUR]
    for second, windows in zip(at, ([0, 3], [1, 3], [], [4], []), strict=True):
        one = packets(("ts", *WANTED.columns), second=[second], ttl=3, tcp_seq=7, dst=9)
        got = count(WANTED, [(0, one, column(one, "ts"))], [Part("a.pcap")])
        expected = {(*WINDOWS[n], TTL) for n in windows}
        assert {
            (r.start, r.end, r.text) for r in map(WANTED.relations.__getitem__, got.tallies) if r.text == TTL
        } == expected
        assert WANTED.meets(second * 10**9, second * 10**9) == bool(windows)
        assert len(WANTED.meeting(second * 10**9, second * 10**9)) == 4 * len(windows)


def test_a_partition_that_meets_no_window_is_not_opened() -> None:
    def closed(columns: tuple[str, ...]) -> Any:
        raise AssertionError(f"opened for {columns}")

    for span in ((-9, -1), (3 * HOUR * 10**9, 5 * HOUR * 10**9 - 1), (6 * HOUR * 10**9, 7 * HOUR * 10**9)):
        assert count_packets(WANTED, closed, [], span).tallies == {}
    with pytest.raises(AssertionError, match="opened"):
        count_packets(WANTED, closed, [], (5 * HOUR * 10**9 - 1, 5 * HOUR * 10**9))


def test_a_partition_is_asked_for_the_columns_that_its_windows_need() -> None:
    early, late = Relation(0, 10, "ip.ttl == 1"), Relation(10, 20, "tcp.seq == ip.dst", exact=True)
    both = Wanted((early, late))
    told: list[tuple[str, ...]] = []

    def rows(columns: tuple[str, ...]) -> list[Any]:
        told.append(columns)
        return []

    for span in (None, (0, 9), (10, 30), (9, 10)):
        count_packets(both, rows, [], span)
    everything = ("src", "dst", "dst_port", "tcp_seq", "ttl", "layers")
    assert [set(one) for one in told] == [
        set(everything),
        {"ttl", "layers"},
        {"src", "dst", "dst_port", "tcp_seq", "layers"},
        set(everything),
    ]
