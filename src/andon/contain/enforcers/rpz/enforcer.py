"""The RPZ enforcer: a zone file that BIND, Unbound or another resolver loads as its response policy."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from andon.contain.contract import Plan, Unreachable
from andon.contain.enforcers.file_enforcer import Daemon, FileEnforcer
from andon.contain.enforcers.files import Form, MarkedFiles
from andon.contain.enforcers.reload import said
from andon.contain.enforcers.rpz.probe import probe_name, serial_in_force
from andon.contain.enforcers.rpz.settings import BIND, POLLED, Settings
from andon.contain.enforcers.rpz.triggers import LIST, OPEN, SUPPORTS, items_of, trigger, void
from andon.records import intent as words
from andon.records.intent import Intent

_SOA: Final = re.compile(r"\bSOA\s+\S+\s+\S+\s+\(?\s*(\d{1,10})\b")
_BIND_SERIAL: Final = re.compile(r"^serial: (\d+)", re.M)
_SERIALS: Final = re.compile(r"(SOA \S+ \S+ |TXT \"|^)\d+")
_FIRST: Final = "; Andon response policy zone. Written by the enforcer; changes by hand are undone."


class RpzEnforcer(FileEnforcer):
    """See docs/enforcer-rpz.md."""

    def __init__(self, name: str, settings: Settings, clock: Callable[[], int] = time.time_ns) -> None:
        self._settings = settings
        self._probe = re.compile(
            rf"\d{{1,10}}{re.escape(probe_name(settings.zone, 0)[1:])} TXT \"\d{{1,10}}\""
        )
        form = Form(";", trigger, void, self._head, self._is_head, plain=self._plain)
        files = MarkedFiles({LIST: settings.file}, form)
        daemon = Daemon(settings.reload, settings.check, settings.settle, settings.patience)
        super().__init__(name, files, daemon, settings.max_rules, clock)

    @property
    def supports(self) -> frozenset[tuple[str, str]]:
        return frozenset(one for one in SUPPORTS if one[0] != words.SINKHOLE or self._settings.garden)

    @property
    def reads_back(self) -> bool:
        return self._settings.server != POLLED or self._settings.probe is not None

    @property
    def control(self) -> tuple[str, ...]:
        """Resolver and walled garden: whoever cuts these off takes the answers with them."""
        found = [*self._settings.garden, *(self._settings.probe or ())[:1]]
        return tuple(dict.fromkeys(map(str, found)))

    def plan(self, intent: Intent) -> Plan:
        items = items_of(intent, self._settings)
        path = shlex.quote(str(self._settings.file))
        lines = " ".join(shlex.quote(one.text) for one in items)
        reload = (shlex.join(self._settings.reload),) if self._settings.reload else ()
        drop = " ".join(f"-e {shlex.quote(one.text)}" for one in items)
        who = "of the clients named" if "rpz-client-ip" in items[0].key else "of all clients"
        return Plan(
            intent=intent,
            enforcer=self._name,
            commands=(f"printf '%s\\n' {lines} >> {path}", *reload),
            inverse=(f"grep -vxF {drop} {path} > {path}.new; mv {path}.new {path}", *reload),
            touched=(f"questions {who} to resolvers that use {self._settings.zone}: {len(items)} records",),
            open_paths=() if intent.action == words.ALLOW else OPEN,
            rules=len(items),
            native=items,
        )

    def _head(self, name: str) -> Sequence[str]:
        """With a serial above the one in the file, and no smaller than the time: it rises even if the file was lost."""
        serial = max(serial_of(self._settings.file) + 1, self._clock() // 1_000_000_000) & 0xFFFFFFFF
        zone = self._settings.zone
        return (
            _FIRST,
            f"$ORIGIN {zone}.",
            f"$TTL {self._settings.ttl}",
            f"@ SOA localhost. hostmaster.localhost. {serial} 3600 600 86400 {self._settings.ttl}",
            "@ NS localhost.",
            f'{probe_name(zone, serial)} TXT "{serial}"',
        )

    def _plain(self, line: str) -> str:
        return _SERIALS.sub(r"\g<1>0", line) if self._is_head(line) else line

    def _is_head(self, line: str) -> bool:
        return line.startswith(("$", "@")) or self._probe.fullmatch(line) is not None

    def _loaded(self) -> str:
        """By the serial that the resolver goes by (``probe``), or that the server says it has."""
        if not self._settings.file.exists() or (
            self._settings.server == POLLED and self._settings.probe is None
        ):
            return ""
        wanted = serial_of(self._settings.file)
        if self._settings.probe is not None and not self._is_ours(wanted):
            return ""  # a zone that the operator made so that the server starts: there is nothing of ours to ask for
        end = time.monotonic() + min(2.0, self._settings.patience)
        pause = 0.005
        while True:
            has = self._serial(wanted)
            if has == wanted:
                return ""
            if time.monotonic() + pause > end:
                other = f", {has} is" if has >= 0 else ""
                return f"serial {wanted} of {self._settings.zone} is written and not in force{other}"
            # A reload goes on after its command has ended.
            time.sleep(pause)
            pause *= 2

    def _is_ours(self, serial: int) -> bool:
        with self._settings.file.open(encoding="utf-8", errors="replace") as reading:
            return probe_name(self._settings.zone, serial) in reading.read(4096)

    def _serial(self, wanted: int) -> int:
        """-1: none, or with a probe another one than ``wanted``. Raises Unreachable."""
        if self._settings.probe is not None:
            name = probe_name(self._settings.zone, wanted)
            return serial_in_force(name, *self._settings.probe, min(2.0, self._settings.patience))
        bind = self._settings.server == BIND
        verbs = ("zonestatus", self._settings.zone) if bind else ("list_auth_zones",)
        answer = said((*self._settings.control, *verbs), self._settings.patience)
        found = (
            _BIND_SERIAL.search(answer)
            if bind
            else re.search(rf"^{re.escape(self._settings.zone)}\.\s+serial (\d+)", answer, re.M)
        )
        if found is None and bind:
            raise Unreachable(f"rndc tells no serial of {self._settings.zone}: {answer.strip()[:200]}")
        return int(found[1]) if found else -1


def serial_of(path: Path) -> int:
    """That in a zone file's SOA record; 0 if there is no such file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as reading:
            found = _SOA.search(reading.read(4096))
    except OSError:
        return 0
    return int(found[1]) if found else 0
