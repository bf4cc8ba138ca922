"""What the bounds of a span left out, as a finding; without it nothing is said."""

from __future__ import annotations

from typing import Any

from andon.detect.intel.session.summary import Sessions
from andon.records.contract import Context
from andon.records.finding import Finding


def findings(engine: tuple[str, int], summary: Sessions, ctx: Context[Any]) -> tuple[Finding, ...]:
    """A ``load-shed`` finding if sessions or patterns were left out."""
    left, texts = summary.left_out, summary.pattern_level
    if not left and not texts:
        return ()
    kept = summary.seen - left
    said = (
        [f"Of {summary.seen:,} sessions {kept:,} were kept (raise intel.session.megabytes)."] if left else []
    )
    if summary.level:
        said.append(f"Addresses beyond the room for a day are sampled, one in {1 << summary.level} stayed.")
    if summary.heavy:
        loud = sum(out for _, _, out in summary.heavy.values())
        said.append(
            f"{len(summary.heavy)} addresses filled their share; {loud:,} sessions of theirs are left out."
        )
    if texts:
        said.append(
            f"Of command patterns one in {1 << texts} stayed; sessions of the others have no cluster and no tactics."
        )
    said.append("Counts of attack steps are of all sessions.")
    return (
        Finding(
            engine=engine[0], engine_version=engine[1], kind="load-shed",
            title=f"{left:,} honeypot sessions were left out" if left else "Command patterns were left out",
            statement=" ".join(said), confidence=1.0, calibration="counted", window=(ctx.start, ctx.end),
            subject=("engine", engine[0]), first_seen=ctx.start, last_seen=ctx.end, count=left,
            attributes={"sessions": summary.seen, "kept": kept, "level": summary.level, "pattern_level": texts},
            aspect="load-shed",
        ),
    )  # fmt: skip
