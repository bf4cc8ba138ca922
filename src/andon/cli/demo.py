"""``andon demo``: an hour on a simulated telescope, analysed, with the answer beside the truth."""

from __future__ import annotations

from pathlib import Path

import typer

from andon.cli.terminal import Format, fail, note, progress


def command(
    seed: int = typer.Option(1, "--seed", help="Same seed, same traffic."),
    small: bool = typer.Option(False, "--small", help="One million packets instead of eleven."),
    keep: Path | None = typer.Option(None, "--keep", help="Keep capture, truth and results in this folder."),
    format: Format = typer.Option(Format.table, "--format", help="table or json."),
) -> None:
    """An hour on a simulated telescope, beside the truth.

    Simulates eleven million packets of background traffic and scans, analyses them, and compares.

    Example: andon demo --keep demo
    """
    import tempfile

    from andon.run.demo import run_demo

    def go(folder: Path) -> None:
        with progress("demo") as report:
            outcome = run_demo(folder, seed, small, report)
        outcome.show(format is Format.json)
        if not outcome.right:
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
