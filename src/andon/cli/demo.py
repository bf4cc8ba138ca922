"""``andon demo``: a simulated telescope, a malware family followed to the devices, an organisation from inside."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from andon.cli.terminal import Format, fail, note, progress


def command(
    seed: int = typer.Option(1, "--seed", help="Same seed, same traffic."),
    small: bool = typer.Option(False, "--small", help="One million packets instead of eleven."),
    keep: Path | None = typer.Option(None, "--keep", help="Keep capture, truth and results in this folder."),
    format: Format = typer.Option(Format.table, "--format", help="table or json."),
) -> None:
    """An hour on a simulated telescope, a family followed to its devices, a queue of alerts, beside the truth.

    Simulates eleven million packets of background traffic and scans, analyses them, and compares. Then two days of bot
    families at a darknet, at honeypots, in reports and on a partner's list: from packets to the infected devices. Then
    an organisation's proxy log beside them, with one infected camera that both sides see. Then two days of alerts of
    other products, down to the cases to act on.

    Example: andon demo --keep demo
    """
    import tempfile

    from andon.run.demo import run_demo
    from andon.run.demo_inside import run_inside, show_inside
    from andon.run.demo_joint import run_joint, show_joint
    from andon.run.demo_triage import run_triage, show_triage

    def go(folder: Path) -> None:
        with progress("demo") as report:
            outcome = run_demo(folder, seed, small, report)
        outcome.show(format is Format.json)
        with progress("demo") as report:
            joint = run_joint(folder / "joint", report)
        if format is Format.json:
            print(json.dumps({"joint": joint.to_dict()}))
        else:
            show_joint(joint)
        with progress("demo") as report:
            inside = run_inside(folder / "inside", folder / "joint", report)
        if format is Format.json:
            print(json.dumps({"inside": inside.to_dict()}))
        else:
            show_inside(inside)
        with progress("demo") as report:
            triage = run_triage(folder / "triage", report)
        if format is Format.json:
            print(json.dumps({"triage": triage.to_dict()}))
        else:
            show_triage(triage)
        if not (outcome.right and joint.right and inside.right and triage.right):
            fail("the answer differs from the truth; see above", 1)

    try:
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            go(keep)
            note(f"capture, truth and results are in {keep}")
        else:
            with tempfile.TemporaryDirectory(prefix="andon-demo-") as folder:
                go(Path(folder))
    except OSError as error:
        fail(f"{error} (the demo needs 1 GB of disk; --small needs 200 MB)", 1)
