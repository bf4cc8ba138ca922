"""What is kept of a tile's alerts: merged in any order it is the same, and bounds are counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screening_rows import batch, office

from andon.sketch.state import StateError
from andon.triage.screening import summary as module
from andon.triage.screening.summary import Summary, target_text


def folded(parts: list[list[dict]], most: int = 0) -> Summary:
    made = Summary(most)
    for part in parts:
        made.add(batch(part))
    return made


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 5, 12]))
def test_cut_and_order_do_not_matter(seed: int, most: int) -> None:
    rows = office(1, attack=0.5)
    whole = folded([rows], most)
    rng = np.random.default_rng(seed)
    mixed = [rows[i] for i in rng.permutation(len(rows)).tolist()]
    cuts = sorted(rng.integers(0, len(rows), 3).tolist())
    parts = [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    pieces = folded(parts, most)
    assert pieces.to_bytes() == whole.to_bytes()
    left, right = folded(parts[:2], most), folded(parts[2:], most)
    before = right.to_bytes()
    left.merge(right)
    assert left.to_bytes() == whole.to_bytes()
    assert right.to_bytes() == before
    assert Summary.from_bytes(before).to_bytes() == before


def test_pairs_beyond_the_bound_are_counted() -> None:
    rows = office(1)
    made = folded([rows], 7)
    assert len(made.pairs["pair"]) == 7
    kept = int(made.cells["alerts"].sum())
    assert 0 < kept < len(rows) and kept + made.left_out == len(rows)


def test_a_flood_is_counted_whole_and_kept_in_part() -> None:
    n = module.PER_CELL + 500
    made = folded([[{"at": i / 100, "host": "h", "rule": "r", "position": i} for i in range(n)]])
    assert len(made.rows["ts"]) == module.PER_CELL
    assert made.cells["alerts"].tolist() == [n]
    assert made.rows["position"].max() == module.PER_CELL - 1  # the earliest stay


def test_values_of_a_cell_are_bounded_and_alike_in_any_order() -> None:
    rows = [{"at": 1, "host": "h", "rule": "r", "src": f"198.51.100.{i}", "position": i} for i in range(200)]
    a, b = folded([rows]), folded([rows[100:], rows[:100]])
    assert a.to_bytes() == b.to_bytes()
    assert int((a.values["kind"] == module.SRC).sum()) == module.VALUES


def test_hostile_texts_survive() -> None:
    odd = ["", "a\x00b", "\u202e", "x" * 5000, "'; DROP TABLE", "日本"]
    made = folded([[{"at": i, "host": t, "rule": t, "path": t, "command": t} for i, t in enumerate(odd)]])
    again = Summary.from_bytes(made.to_bytes())
    assert set(odd) <= set(again.texts.values())
    assert max(len(again.texts[k]) for k in again.values["value"].tolist()) <= module.LONGEST


def test_damaged_bytes_are_refused() -> None:
    data = bytearray(folded([office(1)]).to_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(StateError):
        Summary.from_bytes(bytes(data))


def test_targets() -> None:
    assert target_text("", -1, "") == ""
    assert target_text("2001:db8::1", -1, "") == "2001:db8::1"
