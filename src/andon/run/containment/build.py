"""From the configuration to a controller. Mistakes name the line.

Asset lists and the table of places are read again when their files change; the policy is not, because a change of what
may be cut is to be seen by somebody who restarts Andon. That its file is another by now is an alarm.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from andon.contain.contract import Enforcer
from andon.contain.controller import Controller
from andon.contain.enforcers import make_enforcer
from andon.contain.guard import Terrain, Users, terrain_of
from andon.contain.policy import Policy, PolicyError, load_policy
from andon.contain.resolve import Resolver
from andon.records.contract import Site
from andon.records.inside import Inside
from andon.run.containment.known import COUNTED_EVERY, addresses_of_names, used_lately
from andon.run.containment.own import local_addresses
from andon.run.containment.places import Place, read_places
from andon.run.containment.precision import precision_of
from andon.run.live.config import Config, line_of
from andon.run.live.config_contain import CHAIN_KEY
from andon.run.live.config_parts import ConfigError
from andon.store.casebook import Casebook
from andon.store.intents import IntentLog

FOLDER: Final = "contain"  # in the store
USED: Final = "used-by.parquet"  # there: who uses what, as last counted
_SHRUNK: Final = 0.5  # a list of assets that lost more of its rows was cut off while it was written, or worse
Mark = tuple[int, int, int]  # of a file: inode, size, last change; zeros where there is none


@dataclass
class Prepared:
    """All that decides and plans; nothing is connected, no log is opened. ``path``: of the configuration; ``marks``: of
    the lists and the policy as they were read."""

    config: Config
    path: Path
    site: Site
    policy: Policy
    places: Mapping[str, Place]
    enforcers: Mapping[str, Enforcer]
    resolver: Resolver
    terrain: Terrain
    marks: dict[Path, Mark]

    def close(self) -> None:
        """Let go of the enforcers; what is in force stays."""
        for enforcer in self.enforcers.values():
            with suppress(Exception):
                enforcer.close()


@dataclass
class Built(Prepared):
    """A controller with what it was made of. ``renew`` when leases, lists or tables may have changed."""

    log: IntentLog
    controller: Controller
    counted: int = 0  # when who uses what was counted, ns

    def renew(self, book: Casebook | None, now: int) -> None:
        """Judge by what is known now; who uses what is counted once an hour."""
        self._read_again()
        users = self.terrain.users if 0 <= now - self.counted < COUNTED_EVERY else None
        self.resolver, self.terrain = _ground(
            self.config, self.site, self.policy, self.places, self.enforcers, book, now, users
        )
        self.counted = now if users is None else self.counted
        self.controller.update(resolver=self.resolver, terrain=self.terrain)

    def _read_again(self) -> None:
        """Lists that changed; what cannot be read, or lost most of its rows, stays as it was, and is an alarm."""
        alarms, policy = self.controller.alarms, self.config.contain.policy
        if policy is not None:
            if _mark(policy) != self.marks.get(policy):
                text = f"{policy} is another file than the policy in use: it holds once `andon run` is started again"
                alarms.on("policy", text)
            else:
                alarms.over("policy", "the policy's file is the one in use")
        marks = {path: _mark(path) for path in _lists(self.config)}
        if all(self.marks.get(path) == mark for path, mark in marks.items()):
            alarms.over("lists", "the lists are those in use")
            return
        try:
            assets, places = _assets_of(self.config, self.path), _places_of(self.config, self.path)
            before = 0 if self.site.assets is None else self.site.assets.num_rows
            there = 0 if assets is None else assets.num_rows
            if there < before * _SHRUNK:
                raise ValueError(f"the lists of assets had {before:,} rows and have {there:,} now")
            if marks != {path: _mark(path) for path in marks}:
                return  # being written at this moment: at the next look
        except (ConfigError, ValueError) as error:
            alarms.on(
                "lists",
                f"lists of assets or places changed and are not taken: {error}; those from before hold",
            )
            return
        self.site, self.places = replace(self.site, assets=assets), places
        self.marks.update(marks)
        alarms.over("lists", "the lists were read again")

    def close(self) -> None:
        """Stop the controller and let go of the enforcers; what is in force stays."""
        self.controller.close()
        super().close()
        self.log.close()


def policy_of(config: Config, path: Path) -> Policy:
    """Raises ConfigError."""
    try:
        return load_policy(config.contain.policy)
    except (PolicyError, OSError) as error:
        raise _wrong(path, ("contain", "policy"), str(error)) from error


def enforcers_of(config: Config, path: Path) -> dict[str, Enforcer]:
    """By name; none is connected yet. Raises ConfigError."""
    made: dict[str, Enforcer] = {}
    for number, table in enumerate(config.enforcer):
        try:
            enforcer = make_enforcer(table, path.resolve().parent)
        except (ValueError, OSError) as error:
            words = str(error).split(": ", 1)[-1].split()
            key = next((key for key in table if key in words), "name")
            raise _wrong(path, ("enforcer", number, key), str(error)) from error
        made[enforcer.name] = enforcer
    return made


def chain_key(path: Path | None) -> bytes | None:
    """The key of the log's chain: the file without white space at its ends. Raises OSError, ValueError for one that is
    too short or that everybody can read."""
    if path is None:
        return None
    if os.name == "posix" and path.stat().st_mode & 0o007:
        raise ValueError(f"{path}: everybody on this machine can read the key; do: chmod 600 {path}")
    key = path.read_bytes().strip()
    if len(key) < CHAIN_KEY:
        raise ValueError(f"{path}: a key has {CHAIN_KEY} bytes or more")
    return key


def prepared(config: Config, path: Path, site: Site, book: Casebook | None, now: int) -> Prepared:
    """``book``: for what is known of the site's traffic. Raises ConfigError, StoreError."""
    named = (*_lists(config), *([config.contain.policy] if config.contain.policy else ()))
    marks = {file: _mark(file) for file in named}
    policy, enforcers = policy_of(config, path), enforcers_of(config, path)
    places = _places_of(config, path)
    ground = _ground(config, site, policy, places, enforcers, book, now)
    return Prepared(config, path, site, policy, places, enforcers, *ground, marks)


def built(
    config: Config,
    path: Path,
    site: Site,
    book: Casebook | None,
    alarm: Callable[[str, str], None],
    now: Callable[[], int] = time.time_ns,
) -> Built:
    """Everything put together; the controller takes the lead unless another has it. Raises ConfigError, StoreError."""
    try:
        key = chain_key(config.contain.key_file)
    except (OSError, ValueError) as error:
        raise _wrong(path, ("contain", "key_file"), str(error)) from error
    made = prepared(config, path, site, book, now())
    log = IntentLog(config.store.path / FOLDER, key)
    controller = Controller(
        log, made.policy, made.resolver, made.terrain, made.enforcers, config.contain.mode, now, alarm
    )
    return Built(**vars(made), log=log, controller=controller)


def _lists(config: Config) -> list[Path]:
    """Files of which the content may change while Andon runs."""
    places = config.contain.places
    return [*(table.path for table in config.assets), *([] if places is None else [places])]


def _mark(path: Path) -> Mark:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns


def _places_of(config: Config, path: Path) -> dict[str, Place]:
    """Raises ConfigError."""
    try:
        return {} if config.contain.places is None else read_places(config.contain.places)
    except (OSError, ValueError) as error:
        raise _wrong(path, ("contain", "places"), str(error)) from error


def _assets_of(config: Config, path: Path) -> pa.Table | None:
    """Raises ConfigError."""
    from andon.run.live.parts import asset_table

    return asset_table(config, path, [])


def _ground(
    config: Config,
    site: Site,
    policy: Policy,
    places: Mapping[str, Place],
    enforcers: Mapping[str, Enforcer],
    book: Casebook | None,
    now: int,
    users: Users | Mapping[str, int] | None = None,
) -> tuple[Resolver, Terrain]:
    tables = config.store.path / "tables"
    named = {} if book is None else addresses_of_names(book, tables, now)
    if users is None and book is not None:
        users = used_lately(book, tables, config.store.path / FOLDER / USED, now) or None
    resolver = Resolver(site.assets, Inside(site.inside), policy, places, named)
    own = _own(config, enforcers)
    # Asked only where the policy lets one field act alone: it reads every verdict.
    alone = book is not None and policy.protect.limits.evidence < 2
    measured = precision_of(book) if alone and book is not None else None
    return resolver, terrain_of(policy, site.inside, site.assets, users, places, own, now, measured)


def _own(config: Config, enforcers: Mapping[str, Enforcer]) -> list[str]:
    """Addresses by which Andon is reached, its sensors send, its sinks listen and its enforcers are controlled."""
    texts = list(local_addresses())
    if config.serve.listen:
        texts.append(config.serve.place[0])
    texts += [source.listens for source in config.source if source.kind in ("syslog", "http-bulk", "netflow")]
    texts += [str(sink.get("host", "")) for sink in config.sink]
    for enforcer in enforcers.values():
        control: Any = getattr(enforcer, "control", ())
        texts += [str(one) for one in control]
    return sorted({text for text in texts if _is_address(text)})


def _is_address(text: str) -> bool:
    try:
        return not ip_address(text).is_unspecified
    except ValueError:
        return False


def _wrong(path: Path, place: tuple[str | int, ...], text: str) -> ConfigError:
    return ConfigError(f"{path}:{line_of(path, *place)}: {text}")


def exists(config: Config) -> bool:
    """Whether the store has a log of intents."""
    return (config.store.path / FOLDER).is_dir()


def forgeable(config: Config) -> list[str]:
    """What to say of sources whose alerts anybody who reaches their port can write: they make no second kind of
    evidence, so cases that rest on them wait for somebody."""
    if config.contain.mode != "auto":
        return []
    return [
        f"source {one.name}: by {one.transport if one.kind == 'syslog' else 'http'} without certificates or tokens "
        "anybody who reaches the port can write alerts in the name of any product, so all that comes by such sources "
        "counts as one kind of evidence together, and a cut that rests on it alone waits for somebody: "
        "use transport tls with client_ca, or a token_file"
        for one in config.source
        if one.forgeable and one.kind != "netflow"
    ]
