"""The page of a profile in Markdown: what comes from attackers and strangers is neutral and stays in its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from andon.records.neutral import neutral
from andon.share.profile.model import COPIES, MOST, Profile, bpf, device, time


def _cell(value: str, kind: str = "") -> str:
    """Text of strangers in a table: neutral, in code marks that it cannot leave."""
    shown = neutral(value, kind).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`" if shown else "(empty)"


def _cells(values: Sequence[str], kind: str = "", most: int = 12) -> str:
    shown = ", ".join(_cell(value, kind) for value in values[:most])
    return shown + (f" and {len(values) - most:,} more" if len(values) > most else "")


def _plain(value: str) -> str:
    """Text of strangers in a sentence or a heading: what Markdown and HTML would act on is taken out of action."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&])", r"\\\1", neutral(value)).replace("\n", " ")


def markdown(one: Profile) -> str:
    """The page."""
    row, details = one.row, one.details
    lines = [f"# {_plain(one.name)}", ""]
    if row["aliases"]:
        lines += [f"Also called {', '.join(_plain(alias) for alias in row['aliases'][:MOST])}.", ""]
    facts = [
        ("state", row["state"]),
        ("probability that the page is one family", f"{row['probability']:.3f}"),
        ("fingerprints", _cells(row["fingerprints"])),
        ("fingerprints shared with others", _cells(details.get("shared_fingerprints", ()))),
        ("ports", _cells(row["port_sets"])),
        ("tokens", _cells(row["tokens"])),
        ("tokens that others have as well", _cells(details.get("copied_tokens", ()))),
        ("credentials", _cells(row["credentials"], most=20)),
        ("vulnerabilities", _with_basis(row["cves"], details)),
        ("targets", _with_basis([device(target) for target in row["targets"]], details, row["targets"])),
        ("URL bases", _cells(row["url_bases"], "url")),
        ("payloads", _cells(row["payloads"], most=8)),
        ("loaders and download servers", _cells(row["loaders"], "url")),
        ("command and control", _cells(row["controllers"], "url")),
        ("first seen in the darknet", time(row["first_darknet"])[:10]),
        ("first seen at a honeypot", time(row["first_honeypot"])[:10]),
        ("first report", time(row["first_report"])[:10]),
    ]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts if value)]
    lines += [
        "",
        COPIES,
        "",
        *_behaviour(details),
        *_devices(details),
        *_life(one),
        *_reports(one),
        *_check(row),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _with_basis(values: Sequence[str], details: Mapping[str, Any], keys: Sequence[str] | None = None) -> str:
    basis = details.get("basis", {})
    shown = []
    for value, key in zip(values[:12], (keys or values)[:12], strict=True):
        where = ", ".join(basis.get(key, ()))
        shown.append(_cell(value) + (f" ({where})" if where else ""))
    return ", ".join(shown)


def _behaviour(details: Mapping[str, Any]) -> list[str]:
    steps = details.get("steps", {})
    if not steps:
        return []
    lines = ["## What it does", "", "| step | sessions |", "|---|---:|"]
    return [*lines, *(f"| {step} | {count:,} |" for step, count in steps.items()), ""]


def _devices(details: Mapping[str, Any]) -> list[str]:
    classes = details.get("device_classes", [])
    if not classes:
        return []
    lines = ["## What it runs on", "", "Of its addresses that partners' lists know:", ""]
    lines += ["| class | seen | of | expected | p |", "|---|---:|---:|---:|---:|"]
    return [
        *lines,
        *(
            f"| {_plain(c['device'])} | {c['seen']} | {c['known']} | {c['expected']:g} | {c['p_value']:.1e} |"
            for c in classes
        ),
        "",
    ]


def _life(one: Profile) -> list[str]:
    details = one.details
    lines = ["## How it lives", ""]
    figures = [
        ("growth a day", "growth", "{:+.0%}"), ("R, as seen from here", "reproduction", "{:.2f}"),
        ("half-life of a source, days", "half_life_days", "{:.1f}"), ("most sources a day", "peak", "{:,}"),
    ]  # fmt: skip
    told = [
        f"{name}: {form.format(details[key])}" for name, key, form in figures if details.get(key) is not None
    ]
    delays = {k: v for k, v in details.get("delays", {}).items() if v is not None}
    told += [f"{name.replace('_', ' ')}: {days:+d} days" for name, days in delays.items()]
    if told:
        lines += [*(f"- {text}" for text in told), ""]
    lines += ["| day | darknet sources | honeypot bots | loaders |", "|---|---:|---:|---:|"]
    lines += [
        f"| {time(day['day'])[:10]} | {day['darknet']:,} | {day['honeypot']:,} | {day['loaders']:,} |"
        for day in one.curve[-30:]
    ]
    return [*lines, ""]


def _reports(one: Profile) -> list[str]:
    if not one.reports:
        return ["## Reports", "", "None speaks of it.", ""]
    lines = [
        "## Reports",
        "",
        "| report | of | bits | shuffled reports that reach it | why |",
        "|---|---|---:|---:|---|",
    ]
    for report in one.reports[:MOST]:
        early = " (before it was first seen: vulnerability and devices only)" if report["early"] else ""
        why = _plain(neutral(report["why"], "url"))
        lines.append(
            f"| {_cell(report['report'])} {_plain(report['title'])} | {time(report['published'])[:10]}{early} | "
            f"{report['score']:g} | {report['chance']:.1%} | {why} |"
        )
    return [*lines, ""]


def _check(row: Mapping[str, Any]) -> list[str]:
    lines = ["## How to check", ""]
    for fingerprint in row["fingerprints"][:5]:
        text = bpf(fingerprint)
        if text:
            lines += [
                "Its scans, in a capture of the darknet:",
                "",
                "```",
                f"tcpdump -nn -r CAPTURE '{text}'",
                "```",
                "",
            ]
    series = re.sub(r"[^0-9a-f]", "", str(row["series"]))
    lines += ["In the tables of the analysis:", "", "```"]
    lines += [
        f"SELECT day, darknet, honeypot, loaders FROM intel_profile_curve WHERE series = '{series}';",
        "```",
    ]
    return lines
