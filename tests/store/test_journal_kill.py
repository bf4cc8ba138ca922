"""SIGKILL at random moments: nothing acknowledged is lost, nothing is there twice or by half.

``ANDON_KILL_ROUNDS`` sets the number of kills (10 here, 200 nightly).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
from store_traffic import numbered, together

from andon.store.history import History
from andon.store.journal import Journal

ROUNDS = int(os.environ.get("ANDON_KILL_ROUNDS", "10"))
EVER = (-(2**63), 2**63 - 1)


def test_a_writer_killed_at_random_moments_loses_doubles_and_halves_nothing(tmp_path: Path) -> None:
    rng = random.Random(7)
    acknowledged = {"journal": (0, 0), "history": (0, 0)}
    killed_while_working = 0
    for number in range(ROUNDS):
        said = _killed_after(tmp_path, number, rng.uniform(0.0, 0.5))
        assert said, "the writer did not come up after a kill"
        for what, last, rows in said:
            if what in acknowledged:
                acknowledged[what] = (int(last), int(rows))
        killed_while_working += len(said) > 1
        journal, history = Journal(tmp_path / "journal"), History(tmp_path / "history")
        assert journal.last >= acknowledged["journal"][0]
        assert journal.next_row >= acknowledged["journal"][1]
        assert (history.last_segment, history.next_row) >= acknowledged["history"]
        assert journal.positions.get("numbers", {"at": 0}) == {"at": journal.next_row}
    assert killed_while_working > ROUNDS // 2
    report = history.verify()
    assert report.whole, report.problems
    stored = together(history.read(*EVER))
    assert stored.num_rows == history.next_row > 0
    rest = [batch for segment in journal.segments(history.last_segment) for _, batch in segment.batches()]
    everything = pa.concat_tables([stored, together(rest)]).combine_chunks()
    assert everything.equals(pa.Table.from_batches([numbered(0, journal.next_row, step=10**9)]))


def _killed_after(store: Path, seed: int, seconds: float) -> list[tuple[str, str, str]]:
    """What the writer acknowledged before its SIGKILL, ``seconds`` after it was ready."""
    script = Path(__file__).with_name("journal_child.py")
    child = subprocess.Popen([sys.executable, script, store, str(seed)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [child.stdout.readline()]
    time.sleep(seconds)
    child.kill()
    said += child.stdout.readlines()
    assert child.wait() == -signal.SIGKILL, "the writer ended by itself"
    child.stdout.close()
    whole = [line.split() for line in said if line.endswith("\n")]
    return [(words[0], *(words[1:] or ["0", "0"])) for words in whole]  # type: ignore[misc]
