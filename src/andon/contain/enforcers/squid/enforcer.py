"""The squid enforcer: access lists in files, read again by ``squid -k reconfigure``; many changes are one of those."""

from __future__ import annotations

import re
import shlex
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from andon.contain.contract import Plan, Unreachable
from andon.contain.enforcers.file_enforcer import Daemon, FileEnforcer
from andon.contain.enforcers.files import Form, MarkedFiles
from andon.contain.enforcers.given import address_of
from andon.contain.enforcers.squid.lists import (
    LISTS,
    PROBE,
    RULES,
    SUPPORTS,
    head,
    items_of,
    open_paths,
    void,
)
from andon.contain.enforcers.squid.settings import Settings
from andon.records.intent import Intent

_FIRST: Final = "# Andon, list of the proxy. Written by the enforcer; changes by hand are undone."
_SERIAL: Final = re.compile(rf"302:http://{re.escape(PROBE)}/(\d{{1,10}}) ")
_LOCATION: Final = re.compile(rf"^location: *http://{re.escape(PROBE)}/(\d{{1,10}})\s*$", re.M | re.I)


class SquidEnforcer(FileEnforcer):
    """See docs/enforcer-squid.md."""

    def __init__(self, name: str, settings: Settings, clock: Callable[[], int] = time.time_ns) -> None:
        self._settings = settings
        fixed = frozenset(head(settings, 0))
        form = Form(
            "#", lambda line: line, void, self._head, lambda line: _plain(line) in fixed, leader=RULES, plain=_plain
        )  # fmt: skip
        files = MarkedFiles({one: settings.folder / one for one in LISTS}, form)
        daemon = Daemon(settings.reconfigure, settings.check, settings.settle, settings.patience)
        super().__init__(name, files, daemon, settings.max_rules, clock)

    @property
    def supports(self) -> frozenset[tuple[str, str]]:
        return SUPPORTS

    @property
    def reads_back(self) -> bool:
        return self._settings.probe is not None

    @property
    def control(self) -> tuple[str, ...]:
        """The proxy itself, where its address is known."""
        host = self._settings.probe[0] if self._settings.probe else ""
        try:
            return (str(address_of(host)),)
        except ValueError:
            return ()

    def plan(self, intent: Intent) -> Plan:
        items = items_of(intent, self._settings)
        add, drop = [], []
        for name in dict.fromkeys(one.list for one in items):
            path = shlex.quote(str(self._settings.folder / name))
            texts = [one.text for one in items if one.list == name]
            add.append(f"printf '%s\\n' {' '.join(map(shlex.quote, texts))} >> {path}")
            patterns = " ".join(f"-e {shlex.quote(one)}" for one in texts)
            drop.append(f"grep -vxF {patterns} {path} > {path}.new; mv {path}.new {path}")
        again = shlex.join(self._settings.reconfigure)
        return Plan(
            intent=intent,
            enforcer=self._name,
            commands=(*add, again),
            inverse=(*drop, again),
            touched=(f"requests through the proxy that match {len(items)} lines; it is reconfigured",),
            open_paths=open_paths(intent, self._settings),
            rules=len(items),
            native=items,
        )

    def _head(self, name: str) -> Sequence[str]:
        if name != RULES:
            return (_FIRST,)
        serial = max(_serial_of(self._settings.folder / RULES) + 1, self._clock() // 1_000_000_000)
        return (_FIRST, *head(self._settings, serial))

    def _loaded(self) -> str:
        """By the serial that the proxy itself tells, where there is a probe."""
        path = self._settings.folder / RULES
        if self._settings.probe is None or not path.exists():
            return ""
        wanted = _serial_of(path)
        end = time.monotonic() + min(5.0, self._settings.patience)
        while True:
            has = self._asked(self._settings.probe)
            if has == wanted:
                return ""
            if time.monotonic() > end:
                return f"serial {wanted} of the lists is written, {has} is in force"
            # It goes on with the old lists while it reads the new ones.
            time.sleep(0.02)

    def _asked(self, probe: tuple[str, int]) -> int:
        """-1 while the proxy answers something else or does not listen, as it does for a moment while it reads."""
        try:
            with socket.create_connection(probe, 1.0) as asking:
                asking.settimeout(1.0)
                asking.sendall(f"GET http://{PROBE}/ HTTP/1.0\r\nHost: {PROBE}\r\n\r\n".encode())
                answer = b""
                while len(answer) < 4096 and b"\r\n\r\n" not in answer:
                    more = asking.recv(4096)
                    if not more:
                        break
                    answer += more
        except OSError:
            return -1
        found = _LOCATION.search(answer.decode(errors="replace"))
        return int(found[1]) if found else -1


def _plain(line: str) -> str:
    return _SERIAL.sub(f"302:http://{PROBE}/0 ", line)


def _serial_of(path: Path) -> int:
    try:
        found = _SERIAL.search(path.read_text(encoding="utf-8", errors="replace")[:4096])
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise Unreachable(f"{path} cannot be read: {error.strerror}") from error
    return int(found[1]) if found else 0
