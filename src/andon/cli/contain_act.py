"""What people do about intents: plan, propose, approve, apply, renew, revoke, the kill switch, import and export."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from andon.cli.book import AS, acting
from andon.cli.contain_parts import (
    CONFIG,
    ID,
    REASON,
    acting_on,
    document,
    found,
    line,
    preparing,
    reading,
    show_plans,
    whose,
)
from andon.cli.terminal import Format, note, safe
from andon.records.intent import ACCEPTED, DRY_RUN, FAILED, REFUSED, WAITING

if TYPE_CHECKING:
    from andon.records.intent import Intent
    from andon.run.containment import Built, Prepared
    from andon.store.intents import State

_FORMAT = typer.Option(Format.table, "--format", help="table, or json: one object a line.")
_ACTION = typer.Option(
    ..., "--action", help="allow, proxy, mirror, block-pair, sinkhole, block or quarantine."
)
_HOST = typer.Option("", "--host", help="Host or address of ours whose traffic it is about.")
_SUBJECT = typer.Option(
    "", "--subject", help="KIND:VALUE instead: address:, prefix:, domain: or url: (block and sinkhole)."
)
_TARGET = typer.Option("", "--target", help="Towards whom: an address, prefix or name. Default: everybody.")
_TTL = typer.Option("1h", "--ttl", help="For how long: 30min, 4h, 7d at most.")
_ENFORCERS = typer.Option("", "--enforcers", help="Names, with commas. Default: all that can hold it.")


def register(app: typer.Typer) -> None:
    """Put the commands where they belong."""
    for name, command in (
        ("plan", plan_command), ("propose", propose_command), ("approve", approve_command),
        ("apply", apply_command), ("renew", renew_command), ("revoke", revoke_command),
        ("kill-switch", kill_command), ("release", release_command),
        ("export", export_command), ("import", import_command),
    ):  # fmt: skip
        app.command(name)(command)


def plan_command(
    action: str = _ACTION,
    host: str = _HOST,
    subject: str = _SUBJECT,
    target: str = _TARGET,
    ttl: str = _TTL,
    enforcers: str = _ENFORCERS,
    config: Path = CONFIG,
    by: str = AS,
    format: Format = _FORMAT,
) -> None:
    """What it would take: native commands of every enforcer, their inverse, and what the guard says. Changes nothing.

    Example: andon contain plan --action quarantine --host pc7
    """
    from andon.contain.controller.planning import plans_of
    from andon.contain.guard import guard

    with preparing(config) as made:
        intent = _intent(made, action, host, subject, target, ttl, enforcers, "plan", acting(by))
        plans = plans_of(intent, made.enforcers)
        ruling = guard(intent, made.terrain, (), intent.created)
        if format is Format.json:
            print(json.dumps({"intent": intent.to_dict(), "decision": ruling.decision,
                              "reasons": list(ruling.reasons), **plans.to_dict()}))  # fmt: skip
            return
        print(f"guard     {ruling.decision}")
        for why in ruling.reasons:
            line("", why)
        show_plans(plans)
        if made.config.contain.mode == "dry-run":
            line("mode", "dry-run: nothing of this would be enforced")


def propose_command(
    action: str = _ACTION,
    reason: str = REASON,
    host: str = _HOST,
    subject: str = _SUBJECT,
    target: str = _TARGET,
    ttl: str = _TTL,
    enforcers: str = _ENFORCERS,
    case: str = typer.Option("", "--case", help="The case that it is for."),
    config: Path = CONFIG,
    by: str = AS,
    format: Format = _FORMAT,
) -> None:
    """Ask for it. The guard decides whether it is refused, waits for somebody else's agreement, or is carried out.

    Example: andon contain propose --action block-pair --host pc7 --target 198.51.100.9 --reason "ticket 4711"
    """
    with acting_on(config) as made:
        who = acting(by)
        intent = _intent(made, action, host, subject, target, ttl, enforcers, reason, who).with_(case=case)
        state = made.controller.propose(intent, who)
        state = _settled(made, state)
    _say(state, format)
    _end(state)


def approve_command(
    id: str = ID,
    instead: str = typer.Option(
        "", "--instead", help="What the rule leaves to your choice: observe (mirror only), or an action."
    ),
    config: Path = CONFIG,
    by: str = AS,
    format: Format = _FORMAT,
) -> None:
    """Agree to what waits. Whoever asked for it cannot; the guard is asked once more when all have agreed. With
    --instead another action takes its place, asked for by you, and judged like any other.

    Example: andon contain approve 3f2a91c0 --as ito
    """
    with acting_on(config) as made:
        held = found(made.log, id)
        state = (
            _chosen(made, held, instead, acting(by))
            if instead
            else made.controller.approve(held.intent.id, acting(by))
        )
        state = _settled(made, state)
    _say(state, format)
    _end(state)


def apply_command(id: str = ID, config: Path = CONFIG, by: str = AS, format: Format = _FORMAT) -> None:
    """Carry out what a dry run only planned: a new intent, asked for by you, and judged again.

    Example: andon contain apply 3f2a91c0 --as sato
    """
    with acting_on(config) as made:
        state = made.controller.enact(found(made.log, id).intent.id, acting(by))
        state = _settled(made, state)
    _say(state, format)
    _end(state)


def renew_command(
    id: str = ID,
    ttl: str = _TTL,
    reason: str = typer.Option("", "--reason", help="Why it is to last longer."),
    config: Path = CONFIG,
    by: str = AS,
    format: Format = _FORMAT,
) -> None:
    """The same again from now on, under a new id; the old one ends when the new one is in force.

    Example: andon contain renew 3f2a91c0 --ttl 24h
    """
    from andon.records.contract import duration_ns

    with acting_on(config) as made:
        who, life = acting(by), duration_ns(ttl)
        state = made.controller.renew(found(made.log, id).intent.id, who, life, reason)
        state = _settled(made, state)
    _say(state, format)
    _end(state)


def revoke_command(
    ids: list[str] = typer.Argument(..., metavar="ID...", help="Ids of intents."),
    reason: str = REASON,
    config: Path = CONFIG,
    by: str = AS,
) -> None:
    """Take intents back, now.

    Example: andon contain revoke 3f2a91c0 --reason "false alarm"
    """
    with acting_on(config) as made:
        wanted = [found(made.log, id).intent.id for id in ids]
        done = made.controller.revoke(wanted, acting(by), reason)
    for one in done:
        print(f"{one:016x} revoked")
    for one in sorted(set(wanted) - set(done)):
        note(f"andon: {one:016x} had ended already")


def kill_command(reason: str = REASON, config: Path = CONFIG, by: str = AS) -> None:
    """Take everything back on every enforcer in one step; nothing is cut automatically until `release`.

    Example: andon contain kill-switch --reason "we cut the wrong host"
    """
    with acting_on(config) as made:
        done = made.controller.kill_switch(acting(by), reason)
    ended = "1 intent" if len(done) == 1 else f"{len(done):,} intents"
    print(f"{ended} ended; nothing is cut automatically until `andon contain release`")


def release_command(reason: str = REASON, config: Path = CONFIG, by: str = AS) -> None:
    """Let go of the kill switch.

    Example: andon contain release --reason "the asset list is right now"
    """
    with acting_on(config) as made:
        made.controller.release(acting(by), reason)
    print("released: what cases want is carried out again, as the mode has it")


def export_command(
    id: str = ID,
    language: str = typer.Option("openc2", "--language", help="openc2, cacao or stix (2.1)."),
    profile: str = typer.Option("slpf", "--profile", help="Of OpenC2: slpf or pf."),
    config: Path = CONFIG,
) -> None:
    """An intent as OpenC2 commands, a CACAO 2.0 playbook, or a STIX 2.1 course of action.

    Example: andon contain export 3f2a91c0 --language cacao
    """
    from andon.contain.languages import cacao, openc2, stix

    with reading(config) as (_, log):
        intent = found(log, id).intent
        if language == "openc2":
            for command in openc2.commands(intent, profile):
                print(json.dumps(command))
        elif language == "cacao":
            print(json.dumps(cacao.playbook(intent, profile)))
        elif language == "stix":
            print(json.dumps(stix.bundle([intent])))
        else:
            raise ValueError(f"--language {language!r}: openc2, cacao or stix")


def import_command(
    file: Path = typer.Argument(..., metavar="FILE", help="OpenC2 command, CACAO playbook or STIX bundle."),
    asker: str = typer.Option(..., "--from", help="Whose document it is, as you know them."),
    config: Path = CONFIG,
    by: str = AS,
    format: Format = _FORMAT,
) -> None:
    """Take in what somebody else asks for, as proposals of yours: another person here must agree.

    Example: andon contain import playbook.json --from "cert.example.org"
    """
    from andon.contain.ids import new_id
    from andon.contain.languages import cacao, openc2, stix
    from andon.contain.languages.document import MOST_BYTES, parsed
    from andon.contain.languages.request import Asker

    with acting_on(config) as made:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        given = parsed(data)
        kind = given.get("type") if isinstance(given, dict) else None
        read = {"playbook": cacao.read, "bundle": stix.read, "course-of-action": stix.read}.get(
            str(kind), openc2.read
        )
        now = time.time_ns()
        taken = read(
            given,
            Asker(asker, now, lambda: new_id(now), lambda kind, value: made.resolver.party(kind, value, now)),
        )
        # Whoever takes a document in asks for what is in it: else one person alone could write it and agree to it.
        who = acting(by)
        wanted = [one.with_(reason=f"{one.requested_by} asks: {one.reason}") for one in taken.intents]
        states = [made.controller.propose(one, who) for one in wanted]
        for state in states:
            _say(state, format)
    for id in taken.revokes:
        note(
            f"andon: {safe(asker)} asks to take {id:016x} back: `andon contain revoke {id:016x}` if you agree"
        )
    for why in taken.left_out:
        note(f"andon: left out: {safe(why)}")
    if taken.response is not None and format is Format.json:
        print(json.dumps(taken.response))


def _intent(
    made: Prepared, action: str, host: str, subject: str, target: str, ttl: str, enforcers: str, reason: str, who: str
) -> Intent:  # fmt: skip
    """An intent of a person. Raises ValueError."""
    from andon.contain.ids import new_id
    from andon.records.contract import duration_ns
    from andon.records.intent import ADDRESS, DOMAIN, HOST, PREFIX, URL, Ground, Intent

    now = time.time_ns()
    if bool(host) == bool(subject):
        raise ValueError("say whose traffic: either --host NAME or --subject KIND:VALUE")
    kind, value = (HOST, host) if host else (subject.partition(":")[0], subject.partition(":")[2])
    if kind not in (HOST, ADDRESS, PREFIX, DOMAIN, URL) or not value:
        raise ValueError(
            f"--subject {subject!r}: write KIND:VALUE, such as address:198.51.100.9, prefix:198.51.100.0/28, "
            "domain:bad.example or url:http://bad.example/a"
        )
    names = tuple(name.strip() for name in enforcers.split(",") if name.strip())
    if unknown := [name for name in names if name not in made.enforcers]:
        there = ", ".join(made.enforcers) or "none"
        raise ValueError(f"--enforcers: there is no [[enforcer]] named {unknown[0]!r}; there are: {there}")
    towards = None if not target else made.resolver.party(_kind_of(target), target, now)
    return Intent(
        new_id(now), action, made.resolver.party(kind, value, now), towards, duration_ns(ttl), reason, who, now,
        grounds=(Ground("analyst", who, "analyst", reason),),
        enforcers=names,
    )  # fmt: skip


def _kind_of(text: str) -> str:
    """What a target is by how it is written."""
    from ipaddress import ip_address, ip_network

    from andon.records.intent import ADDRESS, DOMAIN, PREFIX, URL

    if "://" in text:
        return URL
    try:
        ip_address(text)
    except ValueError:
        pass
    else:
        return ADDRESS
    try:
        ip_network(text, strict=False)
    except ValueError:
        return DOMAIN
    return PREFIX


def _chosen(made: Built, held: State, choice: str, who: str) -> State:
    """Another action in the place of one that waits. Raises ValueError for what its rule does not offer."""
    from andon.contain.ids import new_id
    from andon.contain.propose import instead

    if held.state != WAITING:
        raise ValueError(f"intent {held.intent.id:016x} is {held.state}: it does not wait for anybody")
    now = time.time_ns()
    other = instead(held.intent, choice, who, made.policy, now, lambda: new_id(now))
    state = made.controller.propose(other, who)
    if state.state != REFUSED:
        made.controller.revoke([held.intent.id], who, f"{who} chose {choice} instead ({other.id:016x})")
    return state


def _settled(made: Built, state: State) -> State:
    """Where it stands once the enforcers have had their say, whoever is the controller; after 5 s as it is then."""
    end = time.monotonic() + 5.0
    while time.monotonic() < end:
        if made.controller.active:
            made.controller.step()
            if made.controller.idle():
                break
        else:
            made.log.refresh()
            known = made.log.get(state.intent.id)
            if known is None or known.state != ACCEPTED:
                break
        time.sleep(0.01)
    return made.log.get(state.intent.id) or state


def _end(state: State) -> None:
    """Exit code 1 where it came to nothing."""
    if state.state in (REFUSED, FAILED):
        raise typer.Exit(1)


def _say(state: State, format: Format) -> None:
    if format is Format.json:
        print(json.dumps(document(state)))
        return
    print(f"{state.intent.id:016x}  {state.intent.action} of {whose(state)}: {state.state}")
    for reason in state.reasons:
        line(" ", reason, 2)
    if state.state == WAITING:
        print(f"  andon contain approve {state.intent.id:016x} --as SOMEBODY-ELSE")
    if state.state == DRY_RUN:
        print("  nothing was enforced: it is a dry run ([contain] mode)")
