"""``andon contain rehearse``: what a policy would have done about the cases of a store."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from andon.cli.contain_parts import CONFIG, Told, line, loaded
from andon.cli.terminal import Format, note

if TYPE_CHECKING:
    from andon.records.case import Case
    from andon.store.casebook import Casebook

_PAGE = 500


def rehearse_command(
    config: Path = CONFIG,
    policy: Path | None = typer.Option(None, "--policy", help="Another policy than the configuration's."),
    since: str = typer.Option("14d", "--since", help="Cases that ended then or later: a time, or 14d ago."),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one object a line."),
) -> None:
    """What a policy would have done about the cases that are there: cut, waited for somebody, refused, and why. Nothing
    is connected or written; try a policy on last month before it is in force.

    Example: andon contain rehearse --policy new.yaml --since 30d
    """
    from andon.cli.book import moment
    from andon.contain.policy import load_policy
    from andon.run.containment.build import prepared
    from andon.run.containment.material import material_of
    from andon.run.containment.rehearsal import rehearse, totals
    from andon.run.live.parts import site_of
    from andon.store.casebook import Casebook

    settings = loaded(config)
    with Told():
        begin = moment(since, time.time_ns())
        if policy is not None:
            load_policy(policy)  # its mistakes are told before anything else is read
            contain = settings.contain.model_copy(update={"policy": policy})
            settings = settings.model_copy(update={"contain": contain})
        site, _ = site_of(settings, config)
        with Casebook(settings.store.casebook or settings.store.path, read_only=True) as book:
            cases = [case for case in _cases(book) if case.last_seen >= begin]
            latest = max((case.last_seen for case in cases), default=time.time_ns())
            made = prepared(settings, config, site, book, latest)
            try:
                done = list(
                    rehearse(
                        cases, lambda case: material_of(book, case), made.policy, made.resolver, made.terrain
                    )
                )
            finally:
                made.close()
    if format is Format.json:
        for one in done:
            print(json.dumps(one.to_dict()))
        return
    if not cases:
        note("no cases")
        return
    print(f"{len(cases):,} case{'s' if len(cases) != 1 else ''}")
    for action, counts in totals(done).items():
        if action != "rules":
            print(
                f"{action:<10} " + ", ".join(f"{number:,} {_WORDS[fate]}" for fate, number in counts.items())
            )
    for rule, number in sorted(totals(done)["rules"].items(), key=lambda item: -item[1]):
        print(f"  {number:>5,} asked or refused by {rule}")
    for one in done:
        target = "" if one.intent.target is None else f" -> {one.intent.target.value}"
        what = f"{one.intent.action} {one.intent.subject.value}{target}"
        line(_WORDS[one.would], f"{what}  ({one.case.level}, case {one.case.id[:12]})")
        if one.would != "done":
            for reason in one.reasons:
                line("", reason)


_WORDS = {"done": "done", "wait": "waits", "refuse": "refused"}


def _cases(book: Casebook) -> list[Case]:
    """All that are there, open and closed."""
    from andon.store.casebook import CaseFilter

    cases: list[Case] = []
    before: tuple[float, int, str] | None = None
    while page := book.cases.page(CaseFilter(state=""), before, _PAGE):
        cases += page
        before = (page[-1].priority, page[-1].last_seen, page[-1].id)
    return cases
