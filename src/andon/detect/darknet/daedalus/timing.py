"""When an alert is told: as new, in digests, and as closed.

A deduplication key is *new* if it was not seen for 24 hours; digests follow 1 hour and 6 hours after that and then
daily, if packets came since the last one; the alert is *closed* after 72 hours of silence. A source that is heard
again after 24 hours of silence is new once more, in the same series; the silence of 72 hours then begins anew.
"""

from __future__ import annotations

HOUR = 3600 * 1_000_000_000
DAY = 24 * HOUR
UNSEEN = DAY
SILENCE = 3 * DAY


def digest_after(step: int) -> int:
    """ns from the new alert to its digest number ``step`` (from 0).

    >>> [digest_after(step) // HOUR for step in range(5)]
    [1, 6, 24, 48, 72]
    """
    return (HOUR, 6 * HOUR)[step] if step < 2 else (step - 1) * DAY


def next_timer(opened: int, step: int, last: int, since: int) -> int:
    """Time of the next timer of an alert: its next digest if there is something to tell, or its end."""
    return opened + digest_after(step) if since else last + SILENCE


def step_at(opened: int, step: int, now: int) -> int:
    """The first digest after ``now``: those before had nothing to tell and were passed over."""
    while opened + digest_after(step) <= now:
        step += 1
    return step
