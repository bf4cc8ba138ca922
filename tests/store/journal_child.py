"""A writer to be killed: source -> journal -> history, each step acknowledged on stdout once it is durable.

python journal_child.py STORE SEED
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from store_traffic import numbered

from andon.store.history import History
from andon.store.journal import Journal
from andon.store.journal_lock import StoreLock


def main() -> None:
    store, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    with StoreLock(store, time.time_ns()):
        journal, history = Journal(store / "journal"), History(store / "history")
        at = journal.positions.get("numbers", {}).get("at", 0)
        print("ready", flush=True)
        while True:
            for _ in range(rng.randrange(1, 4)):
                rows = rng.randrange(1, 3000)
                journal.append("numbers", numbered(at, rows, step=10**9), {"at": at + rows})  # midnights too
                at += rows
            journal.commit(time.time_ns())
            print(f"journal {journal.last} {journal.next_row}", flush=True)
            if rng.random() < 0.5:
                history.append(journal.segments(after=history.last_segment))
                print(f"history {history.last_segment} {history.next_row}", flush=True)
                if rng.random() < 0.8:
                    journal.drop_through(history.last_segment)
            if rng.random() < 0.1:
                history.compact(grace_hours=0)


if __name__ == "__main__":
    main()
