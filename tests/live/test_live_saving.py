"""When states are saved, and which: what has not changed is not written again, and a restart goes on all the same."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from live_parts import Clock, Parts, Scripted, batches_of

from andon.run.live.saving import LONGEST, RESTART, SHARE, WORTH, Saving
from andon.simulate.internet import InternetConfig

CONFIG = InternetConfig(seed=5, packets=12_000, duration=1.2 * 86_400)
LATER = int(CONFIG.start.timestamp()) * 10**9 + 4 * 86_400 * 10**9


@pytest.fixture(scope="module")
def batches() -> list[pa.RecordBatch]:
    return batches_of(CONFIG, 500)


def parts_of(folder: Path, batches: list[pa.RecordBatch]) -> Parts:
    folder.mkdir(exist_ok=True)
    return Parts(folder, [Scripted(batches)], Clock(LATER), commit_rows=500)


def test_saving_waits_until_it_saves_more_than_it_costs() -> None:
    saving = Saving(60.0)
    assert saving.due(60.0, 0.0)  # the first one costs nobody knows what
    saving.cost = 0.5
    assert not saving.due(60.0, WORTH * 0.5 - 0.1)
    assert saving.due(60.0, WORTH * 0.5)
    assert not saving.due(59.9, 1e9)
    assert saving.due(60.0 * LONGEST, 0.0) and saving.due(60.0, RESTART)


@pytest.mark.parametrize("cost", [0.01, 0.2, 5.0])
@pytest.mark.parametrize("load", [0.001, 0.05, 1.0])
def test_a_restart_is_bounded_and_saving_stays_a_small_part(cost: float, load: float) -> None:
    """``load``: CPU seconds of engines a second."""
    saving, passed = Saving(60.0, cost), 60.0
    while not saving.due(passed, passed * load):
        passed += 1.0
    assert passed <= 60.0 * LONGEST
    assert passed * load <= max(RESTART, 60.0 * load) + load
    assert cost / passed <= max(1 / SHARE, cost / 60.0)
    assert cost <= passed * load / WORTH or passed * load >= RESTART or passed >= 60.0 * LONGEST


def test_what_has_not_changed_is_not_serialised_again(tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    parts = parts_of(tmp_path, batches)
    parts.run()
    put, written = parts.ledger.states.put, list[int]()

    def counted(data: bytes) -> str:
        written.append(len(data))
        return put(data)

    parts.ledger.states.put = counted  # type: ignore[method-assign]
    before = parts.casebook.last_checkpoint()
    parts.ledger.checkpoint(LATER)
    after = parts.casebook.last_checkpoint()
    assert before is not None and after is not None
    assert before.states == after.states
    tiles = sum("/tile/" in name for name in after.states)
    assert len(after.states) > tiles + 3
    assert len(written) == tiles + 1  # open tiles, and the ledger itself
    parts.close()


def test_states_whose_file_is_gone_are_written_again(tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    parts = parts_of(tmp_path, batches)
    parts.run()
    point = parts.casebook.last_checkpoint()
    assert point is not None
    for digest in set(point.states.values()):
        parts.ledger.states.path(digest).unlink()
    parts.ledger.checkpoint(LATER)
    again = parts.casebook.last_checkpoint()
    assert again is not None and again.states == point.states
    assert all(parts.ledger.states.get(digest) for digest in again.states.values())
    parts.close()


def test_a_restart_from_partly_kept_states_ends_like_an_undisturbed_run(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    calm = parts_of(tmp_path / "calm", batches)
    calm.run()
    cut = len(batches) // 2
    for name, some in (("first", batches[:cut]), ("second", batches[cut:])):
        parts = parts_of(tmp_path / "cut", some)
        if name == "second":
            parts.run()
            break
        parts.run()
        parts.ledger.checkpoint(LATER)  # most of it is kept as it was
        parts.close()
    mine, theirs = parts.casebook.last_checkpoint(), calm.casebook.last_checkpoint()
    assert mine is not None and theirs is not None
    differ = {name for name in mine.states if mine.states[name] != theirs.states.get(name)}
    assert differ == {"ledger"} and mine.states.keys() == theirs.states.keys()
    calm.close()
    parts.close()


def test_notices_are_told_between_checkpoints_and_a_replay_tells_them_no_second_time(tmp_path: Path) -> None:
    parts = Parts(tmp_path, [], Clock(LATER))
    journal = parts.journal
    for n in range(3):
        journal.event({"type": "lost", "source": "tap", "rows": 5, "why": "full", "from": n, "to": n + 1})
        segment = journal.commit(LATER + n)
        assert segment is not None
        parts.ledger.take(segment)
        parts.ledger.report(LATER + n)
    assert parts.casebook.last_checkpoint() is None
    (found,) = [f for f in parts.casebook.findings() if f.kind == "capture-gap"]
    assert (found.count, found.revision) == (15, 3)
    parts.close()
    again = Parts(tmp_path, [], Clock(LATER))
    again.ledger.restore()
    for segment in again.journal.segments(after=again.ledger.segment):
        again.ledger.take(segment)
        again.ledger.report(LATER)
    (same,) = [f for f in again.casebook.findings() if f.kind == "capture-gap"]
    assert (same.count, same.revision, same.seq) == (found.count, found.revision, found.seq)
    assert again.ledger.segment == 3
    again.close()
