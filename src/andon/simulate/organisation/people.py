"""Who is in the organisation: departments with hours, terminals with users and their habits, and some without users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .names import words
from .scenario import DAY, HOUR, Scenario

WORKER, GATEWAY, SCANNER, CAMERA = range(4)
ROLES: Final = ("worker", "mail gateway", "vulnerability scanner", "camera")
_BROWSING: Final = tuple(
    f"Mozilla/5.0 ({system}) {engine}"
    for system in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64")
    for engine in (
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36 Edg/133.0.0.0",
        "Gecko/20100101 Firefox/136.0",
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36",
    )
)
AGENTS: Final = (
    *_BROWSING, "Microsoft-CryptoAPI/10.0", "Windows-Update-Agent/10.0.10011.16384 Client-Protocol/2.50",
    "python-requests/2.31.0", "curl/8.4.0", "WinHTTP/1.0", "-", "ipcam/2.1.4", "Mail-Link-Check/4.2", "Scan/10.7",
)  # fmt: skip
BROWSERS: Final = 12  # the first agents
CRYPTO, UPDATE, REQUESTS, CURL, WINHTTP, NO_AGENT, CAMERA_AGENT, GATEWAY_AGENT, SCANNER_AGENT = range(12, 21)


@dataclass(frozen=True)
class People:
    """Columns by terminal, then by department. Hours are ms; ``joined`` is a day; ``risk`` has mean 1."""

    users: list[str]
    role: np.ndarray
    department: np.ndarray
    number: np.ndarray  # within the department
    activity: np.ndarray  # pages a working day
    risk: np.ndarray
    late: np.ndarray  # share of browsing outside of hours
    always_on: np.ndarray
    agent: np.ndarray
    joined: np.ndarray
    opens: np.ndarray  # by department: begin of the shift in UTC, ms of the day
    works: np.ndarray  # its length
    weekend: np.ndarray  # share of the work that is done on a weekend day
    changes: np.ndarray  # how much later the shift begins after the change of shift
    camera: str
    lease_days: int

    @property
    def count(self) -> int:
        return len(self.role)

    @property
    def departments(self) -> int:
        return len(self.opens)

    def of_role(self, role: int) -> np.ndarray:
        return np.nonzero(self.role == role)[0]

    def device(self, terminal: int) -> str:
        """Its host name, as leases have it."""
        return f"pc-{terminal:05d}"

    def names(self) -> list[str]:
        """What an analysis calls each terminal: its user; if nobody is named its device, where leases tell it, else its
        address."""
        made = []
        for i, (user, address) in enumerate(zip(self.users, self.addresses(0), strict=True)):
            leased = self.lease_days and self.role[i] != CAMERA
            made.append(user or (self.device(i) if leased else address))
        return made

    def addresses(self, day: int) -> list[str]:
        """Inside address of each terminal on a day: 10.D.x.y, from the range of its department."""
        number = self.number
        if self.lease_days:
            size = np.bincount(self.department, minlength=self.departments)[self.department]
            number = (number + 7 * (day // self.lease_days)) % size
        block, host = 20 + self.department % 200, number + 10
        high = host // 250 + 32 * (self.department // 200)
        made = [
            f"10.{b}.{h}.{n}"
            for b, h, n in zip(block.tolist(), high.tolist(), (host % 250 + 2).tolist(), strict=True)
        ]
        if self.camera:
            made[int(self.of_role(CAMERA)[0])] = self.camera
        return made


def people(scenario: Scenario) -> People:
    """Draws everybody. Of the terminals one or two are a mail gateway and a vulnerability scanner."""
    rng, n = scenario.rng("people"), scenario.terminals
    departments = int(np.clip(n // 25, 3, 400))
    size = rng.dirichlet(np.full(departments, 2.0))
    department = rng.choice(departments, n, p=size).astype(np.int32)
    department[:departments] = np.arange(departments)
    role = np.zeros(n, np.uint8)
    special = [GATEWAY, SCANNER] + ([GATEWAY] if n > 5000 else []) + ([CAMERA] if scenario.camera else [])
    places = rng.choice(n, len(special), replace=False)
    role[places] = special
    order = np.argsort(department, kind="stable")
    begin = np.searchsorted(department[order], np.arange(departments))
    number = np.empty(n, np.int64)
    number[order] = np.arange(n) - begin[department[order]]
    risk = rng.lognormal(-0.98, 1.4, n)  # mean 1; one in 30 above 5
    night = rng.random(departments) < 0.1
    zone = rng.choice([0, 0, 0, 0, 0, 0, -5, 8], departments)
    opens = np.where(night, 21.5, rng.normal(8.2, 0.7, departments)) - zone
    users = [
        f"{name}{i}" if r == WORKER else ""
        for i, (name, r) in enumerate(zip(words(rng.permutation(n), 3).tolist(), role.tolist(), strict=True))
    ]
    joined = np.where(
        (rng.random(n) < scenario.joiners) & (role == WORKER),
        rng.integers(scenario.days // 2, scenario.days + 1, n),
        0,
    )
    joined = np.minimum(joined, scenario.days - 1)
    return People(
        users=users if scenario.users else [""] * n,
        role=role, department=department, number=number,
        activity=rng.lognormal(4.25, 0.7, n) * np.clip(risk, 0.5, 2.0) ** 0.2,
        risk=risk,
        late=np.where(rng.random(n) < 0.07, 0.3, 0.03),
        always_on=rng.random(n) < 0.2,
        agent=rng.choice(BROWSERS, n, p=_shares(rng)).astype(np.int16),
        joined=joined.astype(np.int32),
        opens=(opens % 24 * HOUR).astype(np.int64),
        works=(np.clip(rng.normal(9.2, 0.6, departments), 7, 12) * HOUR).astype(np.int64),
        weekend=np.where(rng.random(departments) < 0.15, 0.7, 0.04),
        changes=np.where(rng.random(departments) < 0.25, rng.choice([-4, 4, 8], departments), 0) * HOUR,
        camera=scenario.camera, lease_days=scenario.lease_days,
    )  # fmt: skip


def _shares(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.dirichlet(np.r_[8.0, 6, 2, 1, 2, 1, 1, 0.3, 0.4, 0.1, 0.6, 0.2]))


@dataclass(frozen=True)
class Shift:
    """A day as each terminal has it: begin and end (ms since the start of the scenario) of its work, the share of a
    full day's work that is done, and from when to when the device is switched on."""

    begin: np.ndarray
    end: np.ndarray
    share: np.ndarray
    on: np.ndarray
    off: np.ndarray


def shift(scenario: Scenario, who: People, day: int) -> Shift:
    """Who works when on a day; a night shift ends on the next."""
    rng, n = scenario.rng("shift", day), who.count
    opens = who.opens.copy()
    if 0 <= scenario.shift_change <= day:
        opens = (opens + who.changes) % DAY
    begin = day * DAY + opens[who.department] + (rng.normal(0, 0.35, n) * HOUR).astype(np.int64)
    begin = np.maximum(begin, day * DAY)
    end = begin + who.works[who.department] + (rng.normal(0, 0.5, n) * HOUR).astype(np.int64)
    share = np.where(rng.random(n) < 0.06, 0.0, 1.0) * rng.gamma(6, 1 / 6, n)  # ill, away; and days differ
    if scenario.weekday(day) >= 5:
        weekend = who.weekend[who.department]
        share *= np.where(weekend > 0.5, weekend, rng.random(n) < weekend)
    if day == scenario.holiday:
        share *= rng.random(n) < 0.05
    share[(who.joined > day) | (who.role != WORKER)] = 0.0
    on, off = (
        np.maximum(begin - rng.integers(0, HOUR // 3, n), day * DAY),
        end + rng.integers(0, HOUR // 2, n),
    )
    absent = share == 0
    always = who.always_on | (who.role != WORKER)
    on = np.where(always, day * DAY, np.where(absent, 0, on))
    off = np.where(always, (day + 1) * DAY, np.where(absent, 0, off))
    gone = who.joined > day
    on[gone] = off[gone] = 0
    return Shift(begin, end, share, on, off)
