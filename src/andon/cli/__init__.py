"""The command line: one file per command, each a thin layer over a function of the library.

Importing this package must stay cheap (``andon --help`` within 0.3 s of CPU): commands import what they need
when they run.
"""

from __future__ import annotations

import os
import sys

import typer

from andon.cli import (
    alerts,
    analyze,
    assets,
    cases,
    cluster,
    contain,
    count,
    demo,
    doctor,
    findings,
    fingerprints,
    graph,
    history,
    hub,
    judge,
    learn,
    match,
    pseudonym,
    query,
    reports,
    run,
    share,
    share_taxii,
    simulate,
    suppress,
    translate,
    vulnerabilities,
)

app = typer.Typer(
    name="andon",
    help="Who scans, with which tool, for what; who is infected inside: captures and logs go in, checkable findings "
    "come out.\n\nExample: andon analyze capture.pcap.gz",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.command)
app.command("analyze")(analyze.command)
app.command("assets")(assets.command)
app.command("count")(count.command)
app.command("judge")(judge.command)
app.command("match")(match.command)
app.command("translate")(translate.command)
app.command("doctor")(doctor.command)
app.command("query")(query.command)
app.command("reports")(reports.command)
app.command("run")(run.run_command)
app.command("check-config")(run.check_command)
app.command("status")(run.status_command)
app.add_typer(simulate.app, name="simulate")
app.add_typer(fingerprints.app, name="fingerprints")
app.add_typer(findings.app, name="findings")
app.add_typer(alerts.app, name="alerts")
app.add_typer(cases.app, name="cases")
app.add_typer(cluster.app, name="cluster")
app.add_typer(contain.app, name="contain")
app.add_typer(suppress.app, name="suppress")
app.add_typer(graph.app, name="graph")
app.add_typer(history.app, name="history")
app.add_typer(pseudonym.app, name="pseudonym")
app.add_typer(hub.app, name="hub")
app.add_typer(learn.app, name="learn")
share.app.add_typer(share_taxii.app, name="taxii")
app.add_typer(share.app, name="share")
app.add_typer(vulnerabilities.app, name="vulnerabilities")


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        from andon import __version__

        typer.echo(f"andon {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point. Typer ends a broken pipe (``andon ... | head``) and Ctrl-C quietly by itself."""
    try:
        app()
    except Exception as error:
        # Whatever the input, a person gets a sentence; the traceback is for whoever mends it.
        if os.environ.get("ANDON_DEBUG"):
            raise
        print(
            f"andon: internal error, please report it: {type(error).__name__}: {error} "
            "(ANDON_DEBUG=1 shows where)",
            file=sys.stderr,
        )
        sys.exit(1)
