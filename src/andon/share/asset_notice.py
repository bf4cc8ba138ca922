"""What the owner of a system is sent when it is suspected to be infected: mail text and JSON, in plain words.

It goes the way of DAEDALUS alerts (``share.daedalus``): to the organisation that owns the system, and to nobody else.
The JSON (``andon.asset-notice/1``) is built from a list of fields, not by leaving some out: checks, links, what others
have, and relations with constants that may give the telescope away stay with its operator. A fingerprint is told by
its name alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from andon.records.finding import Finding, fingerprint_name
from andon.share.daedalus import LANGUAGES, Message

SCHEMA_NAME: Final = "andon.asset-notice/1"
KIND: Final = "asset-suspected-infected"
_ATTRIBUTES: Final = (
    "organisation", "level", "asset", "hostname", "address", "addresses", "device", "vendor", "product", "family",
    "aliases", "alternatives", "cves", "ports", "sightings", "sessions", "days", "leases", "shared", "fit", "stale",
    "list", "contact", "advice",
)  # fmt: skip


def asset_message(finding: Finding | Mapping[str, Any], language: str = "en") -> Message:
    """The message about one suspected system (a finding, or its JSON form as a mapping).

    Raises ValueError for a finding of another kind and for a language that is not in ``LANGUAGES``."""
    body = _notice(finding)
    if language not in LANGUAGES:
        raise ValueError(f"no texts in {language!r}; there are: {', '.join(LANGUAGES)}")
    words = _TEXTS[language]
    device = body["level"] == "device"
    system = " ".join(str(body[name]) for name in ("device", "vendor", "product") if body.get(name))
    facts = [
        (words["asset"], f"{body['asset']} {body.get('hostname', '')}".strip()),
        (words["address"], ", ".join(body.get("addresses") or [body["address"]])),
        (words["system"], system),
        (words["family"], _family(body)),
        (words["why"], words["by_lease"] if device else words["by_address"]),
        (words["first"], body["first_seen"]),
        (words["last"], body["last_seen"]),
        (words["seen"], words["counts"].format(packets=body["sightings"], sessions=body["sessions"])),
        (words["ports"], ", ".join(str(port) for port in body.get("ports", ()))),
        (words["fit"], words.get(f"fit {body.get('fit')}", "")),
        (words["shared"], words["nat"] if int(body.get("shared") or 0) > 1 else ""),
        (words["stale"], str(body.get("stale") or "")),
        (words["sure"], f"{100 * float(body['confidence']):.0f} %"),
    ]
    lines = [words["opening"].format(organisation=body.get("organisation") or "-"), ""]
    lines += [f"{name}: {_line(value)}" for name, value in facts if value]
    advice = _line(str(body.get("advice") or ""))
    lines += ["", f"{words['advice']}: {_japanese(body) if language == 'ja' else advice}"]
    lines += ["", f"{words['number']}: {body['series']}, {body['revision']}", words["ending"]]
    who = str(body["asset"] or body["address"])
    subject = f"[{words['name']}] {words['subject'].format(who=who, family=body['family'])}"
    return Message(
        _line(subject), "\n".join(lines) + "\n", json.dumps(body, ensure_ascii=False, allow_nan=False)
    )


def _notice(finding: Finding | Mapping[str, Any]) -> dict[str, Any]:
    body = finding.to_dict() if isinstance(finding, Finding) else finding
    if body.get("kind") != KIND:
        raise ValueError(f"a finding of kind {body.get('kind')!r} is no notice about a system")
    attributes = body["attributes"]
    made: dict[str, Any] = {"schema": SCHEMA_NAME}
    made |= {
        name: body[name]
        for name in ("id", "series", "revision", "title", "severity", "confidence", "subject")
    }
    made |= {name: body[name] for name in ("first_seen", "last_seen")}
    made |= {name: attributes[name] for name in _ATTRIBUTES if name in attributes}
    made["fingerprints"] = [fingerprint_name(text) for text in attributes.get("fingerprints", ())]
    return made


def _family(body: Mapping[str, Any]) -> str:
    others = [*body.get("aliases", ()), *body.get("alternatives", ())]
    extra = f" ({', '.join(map(str, others[:5]))})" if others else ""
    cves = f"; {', '.join(body['cves'][:5])}" if body.get("cves") else ""
    return f"{body['family']}{extra}{cves}"


def _japanese(body: Mapping[str, Any]) -> str:
    if int(body.get("shared") or 0) > 1:
        return _JAPANESE_ADVICE["shared"]
    if body["level"] != "device":
        return _JAPANESE_ADVICE["address"]
    return _JAPANESE_ADVICE["does not fit" if body.get("fit") == "does not fit" else "device"]


def _line(text: str) -> str:
    """One printable line: names come from lists and from malware, and must not become a mail header of their own."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "name": "DAEDALUS",
        "subject": "{who} is suspected to be infected with {family}",
        "opening": "To {organisation}: a system on your list behaves like one that malware has taken over.",
        "asset": "System",
        "address": "Address",
        "system": "According to the list",
        "family": "Malware",
        "why": "Which device",
        "by_lease": "this one: its lease covers these times",
        "by_address": "whatever had the address at these times; no lease shows which device that was",
        "first": "First seen",
        "last": "Last seen",
        "seen": "Seen",
        "counts": "{packets:,} times at unused addresses (a darknet), {sessions:,} times at decoys (honeypots)",
        "ports": "Ports it asks for",
        "fit": "Does it fit",
        "fit fits": "yes, this malware is after such systems",
        "fit does not fit": "no, this malware is known to be after other systems: look twice",
        "shared": "Address translation",
        "nat": "several devices are behind the address",
        "stale": "Age of the list",
        "sure": "How sure",
        "advice": "What to do",
        "number": "Notice",
        "ending": "All times are UTC. What was observed and where is not named, so that it stays useful to everybody.",
    },
    "ja": {
        "name": "DAEDALUS",
        "subject": "{who} に {family} 感染の疑い",
        "opening": "{organisation} ご担当者様\nご提供の資産リストにある機器に、マルウェア感染の疑いがある通信を"
        "観測しました。",
        "asset": "機器",
        "address": "アドレス",
        "system": "リストの記載",
        "family": "マルウェア",
        "why": "対象",
        "by_lease": "この機器（当該時刻のアドレス割当記録と一致）",
        "by_address": "当該時刻にこのアドレスを使用していた機器（割当記録では特定できません）",
        "first": "最初の観測",
        "last": "最後の観測",
        "seen": "観測",
        "counts": "未使用アドレス（ダークネット）宛て{packets:,}回、おとり（ハニーポット）宛て{sessions:,}回",
        "ports": "宛先ポート",
        "fit": "標的との一致",
        "fit fits": "このマルウェアが標的とする機器です",
        "fit does not fit": "このマルウェアの既知の標的とは異なります。慎重に確認してください",
        "shared": "アドレス変換",
        "nat": "同じアドレスを複数の機器が使用しています",
        "stale": "リストの鮮度",
        "sure": "確からしさ",
        "advice": "対応",
        "number": "通知番号",
        "ending": "時刻はすべてUTCです。観測の有効性を保つため、観測地点は記載していません。",
    },
}
_JAPANESE_ADVICE: Mapping[str, str] = {
    "shared": "上記の時刻とポートをアドレス変換（NAT）のログと照合して機器を特定し、"
    "ネットワークから切り離して再起動、パスワード変更、ファームウェア更新を行ってください。",
    "address": "上記の時刻にこのアドレスを使用していた機器を割当記録で特定し、"
    "ネットワークから切り離して再起動、パスワード変更、ファームウェア更新を行ってください。",
    "does not fit": "この機器の背後にある別の機器の通信を中継していないか確認してから切り離してください。",
    "device": "機器をネットワークから切り離し、再起動（メモリ上のマルウェアは消えます）、パスワード変更、"
    "ファームウェア更新を行い、外部からTelnetと管理画面に接続できないようにしてから戻してください。",
}
