"""What no user does: software that calls home, updates, and the two terminals that touch everything."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from andon.sketch.hashing import mix64_array

from . import lines, paths
from . import people as folk
from . import sites as where
from .people import People, Shift
from .scenario import DAY, HOUR, SECOND, Scenario
from .sites import Sites

TELEMETRY, C2 = 0, 1


@dataclass(frozen=True)
class Streams:
    """Repeated calls; columns by stream. ``period`` in ms; ``jitter``: width of the deviation of a call over the
    period; ``drifts``: a deviation moves all later calls (sleep after each), else the clock holds. From ``begin`` to
    ``end`` (ms), while the device is on."""

    terminal: np.ndarray
    host: np.ndarray
    path: np.ndarray
    period: np.ndarray
    jitter: np.ndarray
    drifts: np.ndarray
    size: np.ndarray
    post: np.ndarray
    agent: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    kind: np.ndarray
    campaign: np.ndarray

    def __len__(self) -> int:
        return len(self.terminal)

    @classmethod
    def join(cls, parts: list[Streams]) -> Streams:
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def path_of(dest: Sites, host: np.ndarray, odd: np.ndarray | None = None) -> np.ndarray:
    """The path that a program asks a host for."""
    hashed = (mix64_array(np.asarray(host).astype(np.uint64), np.uint64(31)) >> np.uint64(1)).astype(np.int64)
    strange = dest.odd[host] if odd is None else odd
    first, many = np.where(strange, paths.ODD[0], paths.API[0]), np.where(strange, paths.ODD[1], paths.API[1])
    return np.asarray(first + hashed % many)


def telemetry(scenario: Scenario, who: People, dest: Sites) -> Streams:
    """Benign calls: of software that everybody has, of departments, and of one to four terminals (the hard case:
    period, jitter and rarity like those of a campaign)."""
    rng, n = scenario.rng("telemetry"), who.count
    first, many = dest.ranges[where.TELEMETRY]
    few = many - 16 - who.departments
    pairs = [np.stack([np.repeat(np.arange(n), 5), rng.integers(0, 16, 5 * n)])]
    member = rng.random(n) < 0.8
    pairs.append(np.stack([np.arange(n)[member], 16 + who.department[member]]))
    size = rng.integers(1, 5, few)
    near = rng.integers(0, n, few)
    owner = np.repeat(near, size)
    same = np.argsort(who.department, kind="stable")  # the few are of one department, mostly
    place = np.empty(n, np.int64)
    place[same] = np.arange(n)
    owner = same[(place[owner] + np.arange(len(owner)) - np.repeat(np.cumsum(size) - size, size)) % n]
    pairs.append(np.stack([owner, 16 + who.departments + np.repeat(np.arange(few), size)]))
    terminal, host = np.unique(np.concatenate(pairs, axis=1), axis=1)
    usual = rng.uniform(np.log(900), np.log(4 * 3600), many)
    usual[16 + who.departments :] = rng.uniform(np.log(30), np.log(6 * 3600), few)
    jitter = np.where(rng.random(many) < 0.4, 0.0, rng.uniform(0, 0.5, many) ** 2 * 2)
    drifts, post = rng.random(many) < 0.5, rng.random(many) < 0.3
    agents = np.where(
        rng.random(many) < 0.5,
        rng.choice([folk.CRYPTO, folk.REQUESTS, folk.CURL, folk.WINHTTP, folk.NO_AGENT], many),
        -1,
    )
    agent = np.where(agents[host] < 0, who.agent[terminal], agents[host])
    total = len(terminal)
    return Streams(
        terminal, first + host, path_of(dest, first + host), (np.exp(usual) * SECOND).astype(np.int64)[host],
        jitter[host], drifts[host], rng.integers(200, 4000, many)[host], post[host], agent.astype(np.int16),
        np.zeros(total, np.int64), np.full(total, scenario.length), np.zeros(total, np.int8), np.full(total, -1),
    )  # fmt: skip


def calls(of: Streams, on: Shift, dest: Sites, day: int, rng: np.random.Generator) -> np.ndarray:
    """Lines of the streams on a day. One call in fifty is lost; one device in seven is paused for one to three
    hours."""
    begin = np.maximum(on.on[of.terminal], of.begin)
    end = np.minimum(on.off[of.terminal], of.end)
    begin = begin + (rng.random(len(of)) * np.minimum(of.period, HOUR)).astype(np.int64)
    count = np.maximum((end - begin + of.period - 1) // of.period, 0)
    count[end <= begin] = 0
    stream = np.repeat(np.arange(len(of)), count)
    if not len(stream):
        return lines.lines(0)
    opens = np.cumsum(count) - count
    k = np.arange(len(stream)) - opens[stream]
    period, width = of.period[stream], of.jitter[stream]
    move = (rng.random(len(stream)) - 0.5) * width * period
    run = np.cumsum(move)
    # A stream's own sum begins at its first call.
    run -= np.where(opens[stream] > 0, run[np.maximum(opens[stream] - 1, 0)], 0.0)
    ts = begin[stream] + k * period + np.where(of.drifts[stream], run, move).astype(np.int64)
    pause = np.where(
        rng.random(len(on.on)) < 1 / 7, on.on + (rng.random(len(on.on)) * 9 * HOUR).astype(np.int64), -DAY
    )
    length = rng.integers(HOUR, 3 * HOUR, len(on.on))
    owner = of.terminal[stream]
    kept = (ts >= begin[stream]) & (ts < end[stream]) & (rng.random(len(stream)) >= 0.02)
    kept &= (ts < pause[owner]) | (ts >= (pause + length)[owner])
    stream, ts = stream[kept], ts[kept]
    made = lines.lines(len(stream))
    made["ts"], made["terminal"], made["host"] = ts, of.terminal[stream], of.host[stream]
    made["path"], made["agent"] = of.path[stream], of.agent[stream]
    made["method"] = np.where(of.post[stream], lines.POST, lines.GET)
    counted = (
        (made["path"] % 4 == 0) & (made["path"] < paths.API[0] + paths.API[1]) & (rng.random(len(made)) < 0.7)
    )
    made["tail"][counted] = rng.integers(1, 1 << 31, int(counted.sum()))
    lines.finish(made, dest.via, lines.A_CALL, rng)
    answered = np.isin(made["status"], (lines.OK, lines.TUNNEL))
    # Answers of a program to itself are alike: its own size, now and then a longer one.
    spread = rng.integers(0, 24, len(made)) + np.where(
        rng.random(len(made)) < 0.04, rng.integers(0, 90_000, len(made)), 0
    )
    made["size"][answered] = (of.size[stream] + spread)[answered]
    made["sent"] = 300 + of.size[stream] % 700 + rng.integers(0, 60, len(made))
    return made


def updates(scenario: Scenario, who: People, dest: Sites, on: Shift, day: int) -> np.ndarray:
    """Once or twice a day each device asks the update servers."""
    rng = scenario.rng("updates", day)
    terminal = np.nonzero(on.off > on.on)[0]
    terminal = np.concatenate([terminal, terminal[rng.random(len(terminal)) < 0.5]])
    start = on.on[terminal] + (rng.random(len(terminal)) * (on.off - on.on)[terminal]).astype(np.int64)
    many = rng.integers(2, 9, len(terminal))
    owner = np.repeat(np.arange(len(terminal)), many)
    made = lines.lines(len(owner))
    step = np.arange(len(owner)) - np.repeat(np.cumsum(many) - many, many)
    made["ts"] = start[owner] + step * 700 + rng.integers(0, 600, len(owner))
    made["terminal"] = terminal[owner]
    made["host"] = dest.ranges[where.UPDATE][0] + rng.integers(0, 6, len(owner))
    made["path"] = paths.API[0] + rng.integers(0, 40, len(owner))
    made["agent"] = np.where(step == 0, folk.CRYPTO, folk.UPDATE)
    return lines.finish(made, dest.via, lines.A_CALL, rng)


def gateways(scenario: Scenario, who: People, dest: Sites, fresh: np.ndarray, day: int) -> np.ndarray:
    """What a mail gateway fetches (links of mails: the rare, the new, the bad; ``fresh``: malicious hosts mailed today)
    and what a vulnerability scanner touches, black-listed hosts among it, at all hours."""
    rng, parts = scenario.rng("gateways", day), []
    listed, many = dest.ranges[where.LISTED]
    for role, agent in ((folk.GATEWAY, folk.GATEWAY_AGENT), (folk.SCANNER, folk.SCANNER_AGENT)):
        for terminal in who.of_role(role).tolist():
            usual = rng.integers(150, 300) + who.count // 20
            hosts = [
                rng.choice(dest.of(where.TAIL), usual), rng.choice(dest.of(where.WEB), usual),
                rng.choice(dest.of(where.FREE), usual // 5), listed + rng.integers(0, many, int(rng.integers(4, 14))),
            ]  # fmt: skip
            if role == folk.GATEWAY:
                hosts.append(fresh)
            host = np.concatenate(hosts)
            host = np.repeat(host, rng.integers(1, 3, len(host)))
            made = lines.lines(len(host))
            made["ts"] = day * DAY + rng.integers(0, DAY - HOUR // 4, len(host))
            made["terminal"], made["host"], made["agent"] = terminal, host, agent
            made["path"] = np.where(dest.odd[host], path_of(dest, host), paths.PAGE[0] + host % paths.PAGE[1])
            made["method"] = np.where(rng.random(len(host)) < 0.4, lines.HEAD, lines.GET)
            parts.append(lines.finish(made, dest.via, lines.A_PAGE, rng))
    return np.concatenate(parts)
