"""Parts of the flow baselines: rows, names, places, services, tails, memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from flow_world import batch, learned
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from andon.detect.livenet.flowbaseline.expect import bytes_surprise, calibrate, count_surprise, slack
from andon.detect.livenet.flowbaseline.grouped import Grouped
from andon.detect.livenet.flowbaseline.memory import BINS, Memory
from andon.detect.livenet.flowbaseline.names import Names
from andon.detect.livenet.flowbaseline.places import Inside, peers_name
from andon.detect.livenet.flowbaseline.services import services
from andon.detect.livenet.flowbaseline.summary import FAN, FlowDay
from andon.records.flow import failed
from andon.sketch.state import StateError

SPEC = {"owner": "same", "flows": "sum", "peer": "least"}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=400), st.integers(1, 60), st.integers(0, 3))
def test_rows_are_the_same_however_they_came(items: list[int], limit: int, cut: int) -> None:
    def made(parts: list[list[int]]) -> Grouped:
        rows = Grouped(SPEC, limit, 7)
        for part in parts:
            key = np.array(part, np.uint64)
            rows.add(
                key, {"owner": key // 3, "flows": np.ones(len(part), np.int64), "peer": key.astype(np.int64)}
            )
        return rows

    at = len(items) * cut // 3
    one, two = made([items]), made([items[at:], items[:at]])
    left, right = made([items[at:]]), made([items[:at]])
    left.merge(right)
    assert one.to_bytes() == two.to_bytes() == left.to_bytes()
    held = one.columns()
    assert len(held["key"]) <= limit
    for key, flows in zip(held["key"].tolist(), held["flows"].tolist(), strict=True):
        assert flows == items.count(key)


def test_places_know_their_prefixes_and_peers() -> None:
    texts = ["10.1.2.3", "8.8.8.8", "fd00::1", "2001:db8::1", "300.1.1.1", "", "name", "fe80::1%eth0"]
    within, peer = Inside(()).find(pa.array(texts))
    assert within.tolist() == [True, False, True, False, False, False, False, True]
    assert peers_name(int(peer[0])) == "10.1.2.0/24" and "IPv6" in peers_name(int(peer[2]))
    within, _ = Inside(("192.0.2.0/24", "192.0.0.0/16", "2001:db8::/32")).find(
        pa.array([*texts, "192.0.3.9"])
    )
    assert within.tolist() == [False, False, False, True, False, False, False, False, True]


def test_services_are_named_and_scans_are_one() -> None:
    made = batch(
        [
            (1, "10.0.0.1", "10.0.0.2", 443, "ssl", True, 1, 1),
            (1, "10.0.0.1", "10.0.0.2", 4444, "", True, 1, 1),
            (1, "10.0.0.1", "10.0.0.2", 51_000, "", True, 1, 1),
            *((1, "10.0.0.1", "10.0.0.2", port, "", False, 0, 0) for port in range(100, 160)),
            (1, "10.0.0.1", "10.0.0.2", -1, "", True, 0, 0),
        ]
    )
    code, names = services(made, failed(made))
    assert [names[c] for c in code[:3]] == ["ssl", "tcp/4444", "tcp/high"] and names[code[-1]] == "tcp"
    assert {names[c] for c in code[3:-1]} == {"tcp/unanswered"}


def test_fan_out_is_exact_when_small_and_close_when_large() -> None:
    day = FlowDay(10_000, 1)
    for many, src in ((5, "10.0.0.5"), (5000, "10.0.0.6")):
        flows = [(1.0, src, f"198.{n >> 8 & 255}.{n & 255}.1", 443, "", True, 1, 1) for n in range(many)]
        day.add(batch(flows), Inside(()))
        day.add(batch(flows[::2]), Inside(()))
    counts = sorted(day.fan_out()[1].tolist())
    assert counts[0] == 5 and abs(counts[1] - 5000) < 5000 * 4 / np.sqrt(FAN)


def test_tails_are_those_of_a_negative_binomial() -> None:
    x, mean, alpha = (
        np.array([1.0, 5, 40, 900]),
        np.array([0.5, 4.0, 10.0, 12.0]),
        np.array([1.0, 0.3, 0.5, 0.2]),
    )
    size = 1 / alpha
    want = -nbinom.logsf(x - 1, size, size / (size + mean)) / np.log(10)
    assert count_surprise(x, mean, alpha) == pytest.approx(want, rel=1e-6)
    # Where the tail underflows, its first term is close enough and still grows.
    deep = count_surprise(np.array([4e4, 8e4]), np.array([10.0, 10.0]), np.array([0.05, 0.05]))
    assert 250 < deep[0] <= deep[1] <= 300
    assert count_surprise(np.zeros(1), np.ones(1), np.ones(1))[0] == 0
    grows = bytes_surprise(np.array([0.0, 1e5, 1e7, 1e10]), np.full(4, 1e5), np.full(4, 1.0))
    assert np.all(np.diff(grows) > 0) and grows[0] == 0


def test_calibrated_chances_are_shares_of_the_past() -> None:
    rng = np.random.default_rng(1)
    past = np.bincount((rng.exponential(2.0, 20_000) * 8).astype(int), minlength=BINS)[:BINS].astype(float)
    asked = np.array([1.0, 4.0, 10.0, 20.0, 40.0])
    p = calibrate(past, asked)
    assert np.all(np.diff(p) < 0)
    assert p[:4] == pytest.approx(np.exp(-asked[:4] / 2), rel=0.6)
    assert calibrate(np.zeros(BINS), asked).tolist() == [1.0] * 5


def test_slack_reaches_two_hours() -> None:
    mean = np.zeros((1, 24))
    mean[0, 8] = 10
    assert slack(mean)[0, 5:12].tolist() == [0, 4, 7, 10, 7, 4, 0]


def test_names_keep_what_they_were_given() -> None:
    a, b = Names(), Names()
    a.add(np.array([3, 1], np.uint64), pa.array(["three", "ein\u00e9"]))
    b.add(np.array([1, 2], np.uint64), pa.array(["ein\u00e9", "two"]))
    a.merge(b)
    again = Names.from_bytes(a.to_bytes())
    assert again.of(np.array([1, 2, 3, 9], np.uint64)) == ["ein\u00e9", "two", "three", "?"]


def test_memory_survives_bytes_and_refuses_damage() -> None:
    memory = learned(3, terminals=6)
    assert Memory.from_bytes(memory.to_bytes()).to_bytes() == memory.to_bytes()
    assert memory.days == 3 and memory.terminals.days.tolist() == [3] * 6
    data = bytearray(memory.to_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(StateError):
        Memory.from_bytes(bytes(data))
    memory.forget(20_002 + 3, 5)
    assert len(memory.series.key) == 5 and memory.forgotten == 7
    memory.forget(20_002 + 100, 5)
    assert len(memory.series.key) == 0 and len(memory.terminals.key) == 0
