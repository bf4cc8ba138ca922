"""What the commands of ``andon contain`` share: the configuration, the log of intents, a controller, ids, lines."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.terminal import WIDTH, fail, note, safe

if TYPE_CHECKING:
    from andon.contain.controller.planning import Plans
    from andon.records.contract import Site
    from andon.run.containment import Built, Prepared
    from andon.run.live.config import Config
    from andon.store.casebook import Casebook
    from andon.store.intents import IntentLog, State

CONFIG = typer.Option(Path("andon.toml"), "--config", "-c", help="The configuration of `andon run`.")
REASON = typer.Option(..., "--reason", help="Why: whoever finds it later has to understand it.")
ID = typer.Argument(..., metavar="ID", help="Id of an intent, or its last or first digits (four or more).")
_PATIENCE = 10.0  # seconds for what was decided to be in force
_SHORTEST = 4


class Told:
    """Says what went wrong in a sentence: exit code 2 for usage, 1 for the rest."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from andon.store.errors import StoreError
        from andon.store.intents import Conflict

        if isinstance(error, StoreError | OSError | Conflict) and not isinstance(error, BrokenPipeError):
            fail(safe(str(error)), 1)
        if isinstance(error, ValueError):
            fail(safe(str(error)), 2)


def loaded(path: Path) -> Config:
    """The configuration, or a sentence about what is wrong with it."""
    from andon.run.live.config import load
    from andon.run.live.config_parts import ConfigError

    try:
        return load(path)
    except ConfigError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{path}: {error.strerror}; docs/containment.md has an example to start from", 2)


@contextmanager
def reading(path: Path) -> Iterator[tuple[Config, IntentLog]]:
    """The log of intents, to read; nothing is changed and nothing connected."""
    from andon.run.containment.build import FOLDER, chain_key
    from andon.store.intents import IntentLog

    config = loaded(path)
    folder = config.store.path / FOLDER
    if not folder.is_dir():
        fail(
            f"there are no intents in {config.store.path}: `andon run` with an [[enforcer]] makes some, or "
            "`andon contain propose`",
            1,
        )
    with Told():
        log = IntentLog(folder, chain_key(config.contain.key_file), read_only=True)
        try:
            yield config, log
        finally:
            log.close()


@contextmanager
def preparing(path: Path) -> Iterator[Prepared]:
    """What decides and plans: nothing is connected, written or changed."""
    from andon.run.containment import prepared

    with _settings(path) as (config, site, book):
        made = prepared(config, path, site, book, time.time_ns())
        try:
            yield made
        finally:
            made.close()


@contextmanager
def acting_on(path: Path) -> Iterator[Built]:
    """A controller. If none is at work, this one is until what it decided is in force (or ten seconds have passed);
    else it writes to the log that the one at work follows."""
    from andon.run.containment import built

    with _settings(path) as (config, site, book):
        config.store.path.mkdir(parents=True, exist_ok=True)
        heard = _Heard()
        made = built(config, path, site, book, heard)
        try:
            yield made
            _settle(made)
        finally:
            heard.say(made.controller.alarms.active())
            made.close()


@contextmanager
def _settings(path: Path) -> Iterator[tuple[Config, Site, Casebook | None]]:
    from andon.run.live.parts import site_of
    from andon.store.casebook import Casebook

    config = loaded(path)
    with Told():
        site, _ = site_of(config, path)
        place = config.store.casebook or config.store.path
        there = bool(config.store.casebook) or (config.store.path / "casebook.db").exists()
        book = Casebook(place, read_only=True) if there else None
        try:
            yield config, site, book
        finally:
            if book is not None:
                book.close()


class _Heard:
    """Alarms of a command's own controller. What is over when the command ends was a moment of its work: not said."""

    def __init__(self) -> None:
        self.once: list[tuple[str, str]] = []

    def __call__(self, kind: str, text: str) -> None:
        self.once.append((kind, text))

    def say(self, lasting: Sequence[tuple[str, str]]) -> None:
        """Those that happened and those that last, once each."""
        ended = {text.removeprefix("over: ") for _, text in self.once if text.startswith("over: ")}
        pulled = any(text.startswith("pulled by") for _, text in self.once)
        for kind, text in dict.fromkeys([*self.once, *lasting]):
            if pulled and kind == "stray-rules":  # of the intents that the kill switch has just ended
                continue
            passing = kind in _STATES and (kind, text) not in lasting
            # A second controller stands by while `andon run` is at work: as it should be.
            if kind == "standby" or passing or text in ended or text.startswith(("over: ", "pulled by")):
                continue
            note(f"andon: {kind}: {text}")


_STATES = frozenset({"kill-switch", "not-in-force", "enforcer", "enforcer-hangs"})  # that begin and end


def _settle(made: Built) -> None:
    if not made.controller.active:
        return
    end = time.monotonic() + _PATIENCE
    while True:
        made.controller.step()
        if made.controller.idle():
            return
        if time.monotonic() > end:
            note("andon: not all of it is done yet; `andon run` keeps trying, this command does not")
            return
        time.sleep(0.02)


def clock(ns: int) -> str:
    """UTC to the millisecond.

    >>> clock(1_767_225_600_123_456_789)
    '2026-01-01 00:00:00.123'
    """
    at = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{ns // 1_000_000 % 1000:03d}"


def line(head: str, text: str, indent: int = 10) -> None:
    """``head``, then ``text`` in the columns beside it; what does not fit goes on below.

    >>> line("why", "ticket 12")
    why       ticket 12
    """
    words = textwrap.wrap(safe(text), WIDTH - indent, break_long_words=False, break_on_hyphens=False) or [""]
    print(f"{head.ljust(indent)}{words[0]}".rstrip())
    for more in words[1:]:
        print(" " * indent + more)


def found(log: IntentLog, text: str) -> State:
    """The intent of which ``text`` is the id, its first or its last digits. Raises ValueError."""
    wanted = text.strip().lower()
    if len(wanted) < _SHORTEST or set(wanted) - set("0123456789abcdef"):
        raise ValueError(f"{text!r} is no id of an intent: four hexadecimal digits of it or more")
    there = {f"{id:016x}": state for id, state in log.intents().items()}
    if wanted in there:
        return there[wanted]
    hits = [state for id, state in there.items() if id.startswith(wanted) or id.endswith(wanted)]
    if len(hits) == 1:
        return hits[0]
    if not hits:
        raise ValueError(f"there is no intent {text}: see `andon contain list --all`")
    raise ValueError(f"{len(hits)} intents begin or end with {text}: write more of it")


def whose(state: State) -> str:
    """Action, subject and target in a line."""
    from andon.records.neutral import neutral

    intent = state.intent
    target = "" if intent.target is None else f" -> {neutral(intent.target.value)}"
    return safe(f"{neutral(intent.subject.value)}{target}")


def document(state: State) -> dict[str, Any]:
    """As JSON: the intent and where it stands."""
    return state.to_dict()


def show_plans(plans: Plans) -> None:
    """Native commands, those that take them back, and what stays open."""
    for name, plan in plans.by_name.items():
        print(f"enforcer  {safe(name)}: {plan.rules:,} rule{'s' if plan.rules != 1 else ''}")
        for text in plan.touched:
            line("  touches", text)
        for text in plan.commands:  # not folded: to be copied
            print(f"  do      {safe(text)}")
        for text in plan.inverse:
            print(f"  undo    {safe(text)}")
        if plan.open_paths:
            print(f"  open    {', '.join(plan.open_paths)}")
    for name, why in plans.unfit.items():
        line("enforcer", f"{name} cannot hold it: {why}")
    if not plans.feasible:
        line("nobody", "can hold it: docs/containment.md says which enforcer can do what")
    elif plans.open_paths:
        print(f"open on every enforcer: {', '.join(plans.open_paths)}")
