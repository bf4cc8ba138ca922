"""``andon contain``: what is cut, by whom, until when and why; and what people do about it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli import contain_act, contain_audit, contain_rehearse
from andon.cli.contain_parts import CONFIG, ID, clock, document, found, line, loaded, reading, whose
from andon.cli.terminal import Format, console, note, safe

if TYPE_CHECKING:
    from andon.records.intent import IntentEvent

app = typer.Typer(
    help="Containment: what is cut, until when and why; proposals, approvals, the kill switch.\n\n"
    "Example: andon contain status --config andon.toml",
    no_args_is_help=True,
    rich_markup_mode=None,
)
FORMAT = typer.Option(Format.table, "--format", help="table, or json: one object a line.")


@app.callback()
def _group() -> None:
    """Containment: what is cut, until when and why; proposals, approvals, the kill switch."""


contain_act.register(app)
app.command("rehearse")(contain_rehearse.rehearse_command)
app.add_typer(contain_audit.app, name="audit")


@app.command("status")
def status_command(config: Path = CONFIG, format: Format = FORMAT) -> None:
    """How containment stands: mode, who is at work, enforcers, intents, alarms.

    Example: andon contain status
    """
    from andon.run.containment.build import FOLDER
    from andon.run.live.status import read_status

    settings = loaded(config)
    running = read_status(settings.store.path)
    alive = running is not None and running["alive"]
    live = running["contain"] if running is not None and alive and running.get("contain") else {}
    states: dict[str, int] = {}
    hold, events, digest, trouble = None, 0, "", ""
    if (settings.store.path / FOLDER).is_dir():
        with reading(config) as (_, log):
            hold, trouble = log.hold, log.trouble()
            events, digest = log.head.number, log.head.hash
            for state in log.live():
                states[state.state] = states.get(state.state, 0) + 1
    mode = str(
        live.get("mode", settings.contain.mode)
    )  # of who is at work: the file may have been changed since
    said = {
        "mode": mode, "running": bool(live), "hold": hold.to_dict() if hold else None,
        "intents": states, "enforcers": live.get("enforcers", {}), "alarms": live.get("alarms", []),
        "log": {"events": events, "hash": digest, "trouble": trouble},
    }  # fmt: skip
    if format is Format.json:
        print(json.dumps(said))
        return
    print(f"mode      {mode}" + ("" if live else ": no controller is at work (`andon run`)"))
    if mode != settings.contain.mode:
        print(
            f"          {settings.contain.mode} in {safe(str(config))}: it holds once `andon run` is started again"
        )
    if hold is not None:
        line("held", f"kill switch, by {hold.actor} at {clock(hold.since)}: {hold.reason}")
        print("          nothing is cut automatically until `andon contain release`")
    print(f"intents   {', '.join(f'{count:,} {name}' for name, count in sorted(states.items())) or 'none'}")
    for name, one in said["enforcers"].items():
        words = f": {one['statement']}" if one.get("statement") else ""
        rules = one.get("rules", 0)
        line("enforcer", f"{name} {one['state']}, {rules:,} rule{'s' if rules != 1 else ''}{words}")
    for name in sorted({str(one.get("name")) for one in settings.enforcer} - set(said["enforcers"])):
        print(f"enforcer  {safe(name)} not asked: nobody is connected to it")
    for one in said["alarms"]:
        line("alarm", f"{one['kind']}: {one['text']}")
    print(f"log       {events:,} events, head {digest[:16]}" if events else "log       none yet")
    if trouble:
        line("", trouble)


@app.command("list")
def list_command(
    config: Path = CONFIG,
    everything: bool = typer.Option(False, "--all", help="Those that have ended too."),
    state: str = typer.Option(
        "", "--state", help="Only those in this state: waiting, verified, dry-run, ..."
    ),
    case: str = typer.Option("", "--case", help="Only those of this case."),
    format: Format = FORMAT,
) -> None:
    """Intents, the newest first.

    Example: andon contain list --state waiting
    """
    with reading(config) as (_, log):
        kept = list(log.intents().values()) if everything or state else list(log.live())
    kept = [one for one in kept if not state or one.state == state]
    kept = [one for one in kept if not case or one.intent.case.startswith(case)]
    kept.sort(key=lambda one: -one.intent.id)
    if format is Format.json:
        for one in kept:
            print(json.dumps(document(one)))
        return
    if not kept:
        note("no intents")
        return
    from rich.table import Table

    now = time.time_ns()
    table = Table(box=None, pad_edge=False)
    for name in ("id", "state", "action"):
        table.add_column(name, no_wrap=True)
    table.add_column("whose traffic", overflow="fold", ratio=3)
    table.add_column("ends", no_wrap=True)
    table.add_column("by", overflow="fold")
    table.add_column("rule or reason", overflow="ellipsis", no_wrap=True, ratio=2)
    for one in kept:
        ends = "over" if one.ended else _left(one.intent.until - now)
        table.add_row(
            f"{one.intent.id:016x}", one.state, one.intent.action, whose(one), ends,
            safe(one.intent.requested_by), safe(one.intent.rule or one.intent.reason),
        )  # fmt: skip
    console().print(table, markup=False)


@app.command("show")
def show_command(id: str = ID, config: Path = CONFIG, format: Format = FORMAT) -> None:
    """One intent in full: why, whose addresses, what the guard said, what each enforcer holds, its history.

    Example: andon contain show 3f2a91c0
    """
    from andon.records.neutral import neutral

    with reading(config) as (_, log):
        one = found(log, id)
        history = [entry for entry in log.since(0) if entry.event.intent == one.intent.id]
    if format is Format.json:
        print(json.dumps({**document(one), "history": [entry.to_dict() for entry in history]}))
        return
    intent = one.intent
    line("", f"{intent.id:016x}  {intent.action} of {whose(one)}: {one.state}", 0)
    line("why", neutral(intent.reason))
    if intent.escalated:
        line("harder", neutral(intent.escalated))
    line("rule", f"{intent.rule or '-'}; level {intent.level or '-'}; case {intent.case or '-'}")
    line("asked by", f"{intent.requested_by} at {clock(intent.created)}, until {clock(intent.until)}")
    for name, party in (("subject", intent.subject), ("target", intent.target)):
        if party is not None:
            known = ", ".join(map(neutral, party.addresses)) or "no address"
            place = f", port {party.port} of {party.switch}" if party.port else ""
            line(name, f"{party.kind} {neutral(party.value)}: {known}{place} ({party.basis})")
    for ground in intent.grounds:
        words = f": {neutral(ground.statement)}" if ground.statement else ""
        if ground.forgeable:
            words += f" (anyone can send to {neutral(ground.forgeable)})"
        line("ground", f"{ground.field or '?'}, {ground.kind} {ground.id}{words}")
    if one.approvals:
        line("agreed", ", ".join(one.approvals))
    for name, receipt in one.receipts.items():
        line("held by", f"{name}, acknowledged in {1e3 * float(receipt.get('seconds', 0)):.1f} ms")
    for name, why in (one.detail.get("unfit") or {}).items():
        line("not by", f"{name}: {why}")
    print("history")
    for entry in history:
        event = entry.event
        print(f"  {clock(event.time)}  {event.state:<9} {safe(event.actor)}")
        for reason in event.reasons:
            line("", neutral(reason), 6)
    plans: Sequence[Mapping[str, Any]] = one.detail.get("plans") or next(
        (entry.event.detail["plans"] for entry in history if entry.event.detail.get("plans")), []
    )
    for plan in plans:
        print(f"plan      {safe(str(plan['enforcer']))}")
        for text in plan.get("commands", []):
            print(f"  do      {safe(str(text))}")
        for text in plan.get("inverse", []):
            print(f"  undo    {safe(str(text))}")


@app.command("report")
def report_command(
    config: Path = CONFIG,
    days: int = typer.Option(14, "--days", min=1, help="Of the last so many days."),
    format: Format = FORMAT,
) -> None:
    """What a dry run would have done: by action and rule, whose traffic, for which case, for how long.

    Example: andon contain report --days 14
    """
    from andon.records.intent import DRY_RUN, PROPOSED, REFUSED, WAITING

    since = time.time_ns() - days * 86_400 * 1_000_000_000
    with reading(config) as (_, log):
        entries = log.since(0, 10_000_000)
    asked = {
        e.event.intent: e.document for e in entries if e.event.state == PROPOSED and e.document is not None
    }
    fates: dict[int, tuple[str, tuple[str, ...]]] = {}
    for entry in entries:
        if entry.event.state in (DRY_RUN, WAITING, REFUSED) and entry.event.time >= since:
            fates.setdefault(entry.event.intent, _fate(entry.event))
    rows = [(asked[id], state, why) for id, (state, why) in sorted(fates.items()) if id in asked]
    if format is Format.json:
        for intent, state, why in rows:
            print(json.dumps({"intent": intent.to_dict(), "would": state, "reasons": list(why)}))
        return
    dry = [intent for intent, state, _ in rows if state == DRY_RUN]
    hosts = {intent.subject.value for intent in dry}
    on = "1 host" if len(hosts) == 1 else f"{len(hosts):,} hosts"
    line("", f"{days} days: {len(dry):,} would have been carried out, on {on}; "
         f"{sum(state == WAITING for _, state, _ in rows):,} would have waited for an agreement; "
         f"{sum(state == REFUSED for _, state, _ in rows):,} refused", 0)  # fmt: skip
    for intent, state, why in rows:
        target = "" if intent.target is None else f" -> {intent.target.value}"
        fate = {DRY_RUN: "done", WAITING: "waits", REFUSED: "refused"}[state]
        print()
        line(
            fate,
            f"{intent.action} of {intent.subject.value}{target} for {_left(intent.ttl)}  [{intent.id:016x}]",
        )
        line("", intent.reason)
        for reason in why:
            line("", f"guard: {reason}")


def _fate(event: IntentEvent) -> tuple[str, tuple[str, ...]]:
    """What a dry run says would have happened, and why."""
    from andon.records.intent import DRY_RUN, REFUSED, WAITING

    if event.state != DRY_RUN:
        return event.state, event.reasons
    unfit = event.detail.get("unfit") or {}
    if unfit and not event.detail.get("plans"):
        return REFUSED, tuple(f"no enforcer can hold it: {name}: {why}" for name, why in unfit.items())
    asks = int(event.detail.get("approvals", 0)) > 0
    return (WAITING if asks else DRY_RUN), event.reasons


def _left(ns: int) -> str:
    """A time to go, in the largest unit that fits.

    >>> _left(7_200_000_000_000), _left(-1)
    ('2h', 'now')
    """
    if ns <= 0:
        return "now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if ns >= size * 1_000_000_000:
            return f"{ns // (size * 1_000_000_000)}{unit}"
    return f"{max(ns // 1_000_000_000, 1)}s"
