"""The whole of an enforcer: blocks as lines of a text file that something else reads, ADDRESS  # ID UNTIL (ns)."""

import hashlib
import os
import time
from ipaddress import ip_address

from andon.contain.contract import (
    DOWN,
    OK,
    Health,
    Limits,
    NotExpressible,
    Plan,
    Receipt,
    Rejected,
    Unreachable,
)


class TextFile:
    supports = frozenset({("block", "address"), ("block", "host"), ("quarantine", "host")})
    limits = Limits(rules=10_000)

    def __init__(self, name, path):
        self.name, self._path, self._next = name, path, 0

    def plan(self, intent):  # pure: what is in the intent decides, and nothing else
        party, lines = intent.subject, []
        if (intent.action, party.kind) not in self.supports:
            raise NotExpressible(f"it cannot {intent.action} a {party.kind}")
        for text in party.addresses or (party.value,):
            try:  # what others wrote stands in commands and files only after a check
                lines.append(f"{ip_address('' if '%' in text else text)}  # {intent.id:016x} {intent.until}")
            except ValueError:
                raise NotExpressible(f"{text!r} is no address") from None
        do = tuple(f"echo '{line}' >> '{self._path}'" for line in lines)
        undo = (f"sed -i '/# {intent.id:016x} /d' '{self._path}'",)
        return Plan(intent, self.name, do, undo, rules=len(lines), native=tuple(lines))

    def apply(self, plans):
        began, held = time.perf_counter(), self._read()
        held |= {plan.intent.id: plan.native for plan in plans}
        if sum(map(len, held.values())) > self.limits.rules:
            raise Rejected(f"more than {self.limits.rules} lines")
        self._write(held)
        took = time.perf_counter() - began
        return [Receipt(plan.intent.id, self.name, digest(plan.native), took) for plan in plans]

    def revoke(self, intents):
        held = self._read()
        if held.keys() & set(intents):
            self._write({id: lines for id, lines in held.items() if id not in intents})

    def revoke_all(self):
        self._write({})

    def verify(self, receipt):  # True here means: it is in the file. None, if its reader could not be asked
        return self.actual().get(receipt.intent) == receipt.digest

    def actual(self):
        return {id: digest(lines) for id, lines in self._read().items()}

    def health(self):
        try:
            return Health(OK, epoch=1, rules=sum(map(len, self._read().values())))
        except Unreachable as error:
            return Health(DOWN, str(error), epoch=1)

    def tick(self, now):  # whoever reads the file has no clock for its lines, so we end them
        if now < self._next:
            return ()
        self._next = now + 10**9
        try:
            ends = {id: int(lines[0].split()[-1]) for id, lines in self._read().items()}
            gone = [id for id, until in ends.items() if until <= now]
            self.revoke(gone)
        except (Unreachable, Rejected):
            return ()  # health tells
        return gone

    def close(self):
        pass

    def _read(self):
        held = {}
        try:
            for line in self._path.read_text().splitlines():
                if (
                    len(parts := line.partition("  # ")[2].split()) == 2
                    and len(parts[0]) == 16
                    and parts[1].isdecimal()
                ):
                    held.setdefault(int(parts[0], 16), []).append(line)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Unreachable(f"{self._path}: {error}") from error
        return {id: tuple(lines) for id, lines in held.items()}

    def _write(self, held):
        part = self._path.with_suffix(".part")
        try:
            with part.open("w") as file:
                file.writelines(f"{line}\n" for lines in held.values() for line in lines)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)  # its reader sees the old file or the new one, never half of one
        except OSError as error:
            raise Unreachable(f"{self._path}: {error}") from error


def digest(lines):
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def enforcer(name, settings, base):
    """What the entry point names. Relative paths are relative to the configuration's folder."""
    if set(settings) != {"path"} or not isinstance(settings["path"], str) or "'" in settings["path"]:
        raise ValueError("it has one setting, path: the file, without quotes in its name")
    return TextFile(name, base / settings["path"])
