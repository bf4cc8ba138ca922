"""Reports about the families, in English and Japanese, and decoys that mention ports and vulnerabilities of nobody.

A report knows part of the truth: each thing it may say is said with a chance of its own. Some are written before a
family's first probe at the telescope (then it is known from elsewhere), most after. Indicators are defanged in the ways
that people do it.
"""

from __future__ import annotations

import html
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from andon.records.contract import SECOND

from . import catalogue as c
from .families import Family
from .scenario import DAY, Scenario


@dataclass(frozen=True)
class Report:
    """``family``: number of the family it is about; -1 for a decoy. ``form``: jsonl, html or md."""

    id: str
    published: int  # ns, a whole day
    title: str
    text: str
    form: str
    language: str
    family: int

    @property
    def date(self) -> str:
        return f"{datetime.fromtimestamp(self.published // SECOND, UTC):%Y-%m-%d}"

    @property
    def file(self) -> str:
        return "reports.jsonl" if self.form == "jsonl" else f"{self.id}.{self.form}"


def reports(scenario: Scenario, families: Sequence[Family]) -> list[Report]:
    """Zero to two for each family, and six to fifteen decoys."""
    draw = random.Random(f"{scenario.seed} reports")
    made: list[Report] = []
    for f in families:
        for _ in range(draw.choices((0, 1, 2), (2, 7, 2))[0]):
            early = draw.random() < 0.2
            lag = -draw.uniform(1, 6) if early else draw.uniform(2, 12)
            at = f.birth + int(lag * DAY * min(1.0, scenario.days / 14))
            made.append(_about(scenario, draw, f, f"R{len(made):02d}", at // DAY * DAY))
    decoys = draw.randrange(6, 16)
    made += [_decoy(scenario, draw, f"D{i:02d}") for i in range(decoys)]
    return made


def write_reports(made: Sequence[Report], out: Path) -> None:
    """``reports.jsonl``, and one file for each report in HTML or Markdown."""
    with (out / "reports.jsonl").open("w", encoding="utf-8") as file:
        for r in made:
            if r.form == "jsonl":
                body = {"id": r.id, "date": r.date, "title": r.title, "text": r.text}
                file.write(json.dumps(body, ensure_ascii=False) + "\n")
    for r in made:
        if r.form == "html":
            (out / r.file).write_text(_html(r), encoding="utf-8")
        elif r.form == "md":
            (out / r.file).write_text(f"# {r.title}\n\nPublished: {r.date}\n\n{r.text}\n", encoding="utf-8")


def _html(r: Report) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="{r.language}"><head><meta charset="utf-8">'
        f"<title>{html.escape(r.title)}</title>\n"
        f'<meta property="article:published_time" content="{r.date}T09:00:00Z"></head>\n<body><nav>Home | 2019 | 8080 '
        f'subscribers</nav><article><h1>{html.escape(r.title)}</h1><time datetime="{r.date}">{r.date}</time>\n<p>'
        f"{html.escape(r.text)}</p></article></body></html>\n"
    )


def _defanged(draw: random.Random, url: str) -> str:
    way = draw.randrange(3)
    if way == 0:
        return url.replace("://", "[:]//").replace(".", "[.]", 3)
    if way == 1:
        return url.replace("http", "hxxp").replace(".", "[.]", 3)
    return url.replace("http://", "hxxp[:]//").replace(".", "(.)", 3)


def _about(scenario: Scenario, draw: random.Random, f: Family, number: str, at: int) -> Report:
    language = "ja" if draw.random() < 0.3 else "en"
    form = draw.choices(("jsonl", "html", "md"), (8, 1, 1))[0]
    said = _japanese(draw, f) if language == "ja" else _english(draw, f)
    return Report(number, at, said[0], said[1], form, language, f.number)


def _english(draw: random.Random, f: Family) -> tuple[str, str]:
    target = f.target
    what = f"{target.vendor} {target.product}" if target else "devices with default passwords"
    title = draw.choice((f"{f.name} botnet spreads to {what}", f"{f.name}: a new botnet hits {what}"))
    parts = [f"We have been tracking a botnet we call {f.name}."]
    if f.exploit and target:
        path = f.exploit.path.split("?")[0]
        parts.append(f"It exploits {f.exploit.cve} in {what} devices (request to {path}).")
    if f.kind in ("telnet", "ssh") and draw.random() < 0.8:
        user, word = draw.choice(f.creds)
        service = {"ssh": "SSH", "telnet": "Telnet"}[f.kind]
        parts.append(f"It brute-forces {service} with default passwords such as {user}/{word}.")
    if draw.random() < 0.55:
        parts.append(f"Bots answer to the token {f.token}.")
    if draw.random() < 0.85:
        ports = [str(p) for p in f.ports]
        parts.append(
            draw.choice((
                f"Scans go to TCP ports {', '.join(ports)}.",
                f"We saw probes on {', '.join(f'{p}/tcp' for p in ports)}.",
                f"It scans TCP/{', '.join(ports)}.",
            ))
        )  # fmt: skip
    if draw.random() < 0.65:
        url = f.url(draw.choice(f.loaders), draw.choice(c.ARCHITECTURES))
        parts.append(f"The payload came from {_defanged(draw, url)}.")
    if draw.random() < 0.5:
        parts.append(f"SHA-256 {draw.choice(f.payloads)}.")
    if draw.random() < 0.4:
        parts.append(
            f"The command-and-control server is {draw.choice(f.controllers).replace('.', '[.]', 3)}."
        )
    return title, " ".join(parts)


def _japanese(draw: random.Random, f: Family) -> tuple[str, str]:
    target = f.target
    what = f"{target.vendor}製{target.product}" if target else "初期パスワードの機器"
    title = f"ボットネット「{f.name}」が{what}に感染を拡大"
    parts = [f"当社は、{f.name}と呼ぶボットネットを追跡しています。"]
    if f.exploit:
        parts.append(
            f"{what}の脆弱性{f.exploit.cve}を悪用します（リクエスト先：{f.exploit.path.split('?')[0]}）。"
        )
    if f.kind in ("telnet", "ssh") and draw.random() < 0.8:
        user, word = draw.choice(f.creds)
        parts.append(
            f"{user}/{word} などの初期パスワードで{'SSH' if f.kind == 'ssh' else 'Telnet'}への総当たりを行います。"
        )
    if draw.random() < 0.55:
        parts.append(f"ボットはトークン「{f.token}」を表示します。")
    if draw.random() < 0.85:
        ports = [str(p) for p in f.ports]
        parts.append(
            draw.choice((
                f"スキャン対象は{'、'.join(p + '/tcp' for p in ports)}です。",
                f"{'、'.join(p + '番ポート' for p in ports)}へのスキャンを観測しました。",
            ))
        )  # fmt: skip
    if draw.random() < 0.65:
        url = f.url(draw.choice(f.loaders), draw.choice(c.ARCHITECTURES))
        parts.append(f"ペイロードの取得元は {_defanged(draw, url)} です。")
    if draw.random() < 0.5:
        parts.append(f"SHA-256: {draw.choice(f.payloads)}")
    return title, "".join(parts)


def _decoy(scenario: Scenario, draw: random.Random, number: str) -> Report:
    at = scenario.begin + int(draw.uniform(0, scenario.end - scenario.begin))
    port, other = draw.choice((80, 3389, 23, 445, 22)), draw.choice((445, 23, 6379))
    cve = draw.choice(c.EXPLOITS).cve
    pair = draw.choice((81, 88, 8081, 8080)), draw.choice((23, 2323, 443))
    way = draw.randrange(4)
    language = "ja" if way == 3 else "en"
    if way == 0:
        title = f"Scanning on port {port} increases"
        text = (
            f"Several networks report more scans to TCP port {other}. We found no single cause. Old vulnerabilities "
            f"such as {cve} remain popular; ports {pair[0]} and {pair[1]} are probed as well."
        )
    elif way == 1:
        title = "Monthly summary of observed scans"
        text = (
            f"In 2025 our sensors counted {draw.randrange(1000, 9999)} sources a day. Most of them sent to 23/tcp and "
            f"{pair[0]}/tcp. Version {draw.randrange(2, 9)}.{draw.randrange(10)} of our sensor was installed. "
            f"Customers of {draw.choice(c.PRODUCTS).vendor} should install updates."
        )
    elif way == 2:
        title = f"Patch now: {cve}"
        text = f"{cve} is five years old and still scanned for. There is no sign of a campaign. Ticket 5555, room 2323."
    else:
        title = "定点観測レポート"
        text = (
            f"{other}番ポートへのスキャンが増加しています。{cve}など古い脆弱性も引き続き狙われています。"
            f"{pair[0]}/tcpも観測しました。"
        )
    return Report(number, at // DAY * DAY, title, text, "jsonl", language, -1)
