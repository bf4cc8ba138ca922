"""What the owner of an address is sent: mail text and JSON of an ``own-host-alert``, in plain words.

The JSON (``andon.alert/1``) is built from a list of fields, not by leaving some out: checks, inputs and whatever a
finding may hold one day are for the operator of the telescope and must not reach a member by accident. Texts are
English or Japanese (``language``); what a text does not know in Japanese (advice, tool names) stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from andon.records.finding import Finding

SCHEMA_NAME = "andon.alert/1"
LANGUAGES = ("en", "ja")
_ATTRIBUTES = (
    "organisation", "alert_kind", "state", "dedup_key", "episode", "told_first", "packets", "packets_since",
    "addresses", "dst_ports", "ports_are", "other_ports", "ports_estimated", "tcp_flags", "packets_by_type", "tools",
    "darknet", "samples", "advice",
)  # fmt: skip
_MOST_LINES = 200
_PORTS_SHOWN = 5


class Message(NamedTuple):
    """``subject``: one line; ``text``: the body of a mail; ``json``: the attachment or the body of a webhook."""

    subject: str
    text: str
    json: str


def alert_message(finding: Finding | Mapping[str, Any], language: str = "en") -> Message:
    """The message about one alert (a finding, or its JSON form as a mapping).

    Raises ValueError for a finding of another kind and for a language that is not in ``LANGUAGES``.
    """
    body = _alert(finding)
    words = _words(language)
    facts = [
        (words["host"], body["subject"]["value"]),
        (words["what"], f"{words[body['alert_kind']]} ({words[body['state']]})"),
        (words["tool"], ", ".join(str(tool.get("title", tool["name"])) for tool in body.get("tools", ()))),
        (words["first"], body["first_seen"]),
        (words["last"], body["last_seen"]),
        (words["packets"], f"{body['packets']:,}"),
        (words["ports"], _ports(body)),
        (words["samples"], ""),
    ]
    lines = [words["opening"].format(organisation=body["organisation"]), ""]
    lines += [f"{name}: {value}" for name, value in facts if value]
    if body.get("samples"):
        lines += [f"{words['samples']}:", *(f"  {_header(sample)}" for sample in body["samples"])]
    if body["state"] == "closed":
        lines += ["", words["closed_note"]]
    else:
        lines += ["", f"{words['advice']}: {_advice(body, language)}"]
    lines += ["", f"{words['key']}: {body['dedup_key']}", words["ending"]]
    return Message(_subject(body, words), "\n".join(lines) + "\n", _dumped(body))


def digest_message(
    findings: Sequence[Finding | Mapping[str, Any]], organisation: str, language: str = "en"
) -> Message:
    """One message for many alerts of one organisation: a line each, new ones first; JSON holds them all.

    Raises ValueError for no alert, and for one of another organisation.
    """
    bodies = [_alert(finding) for finding in findings]
    words = _words(language)
    strangers = {body["organisation"] for body in bodies} - {organisation}
    if not bodies or strangers:
        raise ValueError(f"a digest of {organisation} needs alerts of it alone, not of {sorted(strangers)}")
    order = ("new", "continued", "closed")
    bodies.sort(key=lambda body: (order.index(body["state"]), body["first_seen"], body["dedup_key"]))
    count = {state: sum(body["state"] == state for body in bodies) for state in order}
    counted = ", ".join(f"{count[state]} {words[state]}" for state in order if count[state])
    lines = [words["opening"].format(organisation=organisation), ""]
    lines += [
        f"{words[body['state']]}  {body['subject']['value']}  {words[body['alert_kind']]}  "
        f"{', '.join(str(tool['name']) for tool in body.get('tools', ())) or '-'}  {_ports(body) or '-'}  "
        f"{body['packets']:,}  {body['first_seen']} - {body['last_seen']}"
        for body in bodies[:_MOST_LINES]
    ]
    if len(bodies) > _MOST_LINES:
        lines.append(words["more"].format(n=len(bodies) - _MOST_LINES))
    lines += ["", words["ending"]]
    envelope = {"schema": SCHEMA_NAME, "organisation": organisation, "alerts": bodies}
    subject = f"[{words['name']}] {organisation}: {counted}"
    return Message(_one_line(subject), "\n".join(lines) + "\n", _dumped(envelope))


def _alert(finding: Finding | Mapping[str, Any]) -> dict[str, Any]:
    body = finding.to_dict() if isinstance(finding, Finding) else finding
    if body.get("kind") != "own-host-alert":
        raise ValueError(f"a finding of kind {body.get('kind')!r} is no alert to an owner")
    attributes = body["attributes"]
    made: dict[str, Any] = {"schema": SCHEMA_NAME, "id": body["id"], "series": body["series"]}
    made |= {name: body[name] for name in ("title", "statement", "severity", "confidence", "subject")}
    made |= {name: body[name] for name in ("first_seen", "last_seen")}
    made |= {name: attributes[name] for name in _ATTRIBUTES if name in attributes}
    if body["subject"]["type"] == "identity":
        made["hosts"] = [entity["value"] for entity in body["entities"]]
    return made


def _words(language: str) -> Mapping[str, str]:
    if language not in LANGUAGES:
        raise ValueError(f"no texts in {language!r}; there are: {', '.join(LANGUAGES)}")
    return _TEXTS[language]


def _subject(body: Mapping[str, Any], words: Mapping[str, str]) -> str:
    tool = f" ({body['tools'][0]['name']})" if body.get("tools") else ""
    kind, state = words[body["alert_kind"]], words[body["state"]]
    return _one_line(f"[{words['name']}] {state}: {body['subject']['value']} {kind}{tool}")


def _one_line(text: str) -> str:
    # A name with a line break must not become a mail header of its own.
    return " ".join(text.split())


def _ports(body: Mapping[str, Any]) -> str:
    shown = [f"{proto}/{port} ({n:,})" for port, proto, n in body.get("dst_ports", ())[:_PORTS_SHOWN]]
    more = len(body.get("dst_ports", ())) - len(shown)
    return ", ".join(shown) + (f", +{more}" if more > 0 else "")


def _header(sample: Mapping[str, Any]) -> str:
    source = sample.get("src_port", "")
    ports = ""
    if "dst_port" in sample:
        ports = f" {'*' if source is None else source} -> {sample['dst_port']}"
    return f"{sample['time']} {sample['protocol']}{ports} {sample['type']} ttl {sample['ttl']} {sample['length']} bytes"


def _advice(body: Mapping[str, Any], language: str) -> str:
    if language == "ja":
        return f"{_JAPANESE_ADVICE[body['alert_kind']]} ({body['advice']})"
    return str(body["advice"])


def _dumped(body: Mapping[str, Any]) -> str:
    return json.dumps(body, ensure_ascii=False, allow_nan=False)


_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "name": "DAEDALUS",
        "opening": "To {organisation}: an address that you registered sent packets to addresses that nobody uses "
        "(a darknet).",
        "host": "Address",
        "what": "What",
        "tool": "Looks like",
        "first": "First packet",
        "last": "Last packet",
        "packets": "Packets",
        "ports": "Ports",
        "samples": "Some of them",
        "advice": "What to do",
        "key": "Alert",
        "closed_note": "Nothing was heard for 72 hours; this alert is closed.",
        "ending": "All times are UTC. The unused addresses are not named, so that they stay useful to everybody.",
        "more": "... and {n} more, in the attachment.",
        "new": "new",
        "continued": "continued",
        "closed": "closed",
        "internal-scan": "scans inside your own network",
        "outbound-scan": "scans other networks",
        "backscatter": "is attacked, or answers forged packets",
        "misconfiguration": "asks an unused address, most likely by a wrong setting",
        "spoofed-sources": "addresses of yours are being spoofed by others",
        "many-hosts": "many of your addresses at once",
    },
    "ja": {
        "name": "DAEDALUS",
        "opening": "{organisation} ご担当者様\n登録されたアドレスから"
        "未使用アドレス（ダークネット）宛ての通信を観測しました。",
        "host": "アドレス",
        "what": "内容",
        "tool": "推定されるツール",
        "first": "最初の観測",
        "last": "最後の観測",
        "packets": "パケット数",
        "ports": "ポート",
        "samples": "パケットの例",
        "advice": "対応",
        "key": "アラート",
        "closed_note": "72時間通信が観測されなかったため、このアラートを終了します。",
        "ending": "時刻はすべてUTCです。観測の有効性を保つため、未使用アドレスは記載していません。",
        "more": "ほか{n}件は添付ファイルをご覧ください。",
        "new": "新規",
        "continued": "継続",
        "closed": "終了",
        "internal-scan": "組織内へのスキャン",
        "outbound-scan": "組織外へのスキャン",
        "backscatter": "攻撃を受けている、または踏み台にされている可能性（跳ね返りパケット）",
        "misconfiguration": "設定誤りの可能性",
        "spoofed-sources": "送信元アドレスの詐称",
        "many-hosts": "多数のアドレスからの通信",
    },
}
_JAPANESE_ADVICE: Mapping[str, str] = {
    "internal-scan": "該当機器を特定してネットワークから切り離し、マルウェア感染の有無を確認してください。",
    "outbound-scan": "時刻と送信元ポートをファイアウォールやNATのログと照合して該当機器を特定し、"
    "マルウェア感染の有無を確認してください。",
    "backscatter": "該当サービスがDoS攻撃を受けていないか、"
    "第三者への応答（リフレクション）に悪用されていないか確認してください。",
    "misconfiguration": "該当機器の設定にあるサーバーのアドレスを確認してください。",
    "spoofed-sources": "第三者が貴組織のアドレスを詐称していると考えられます。"
    "境界で送信元アドレスの検証（BCP 38）を行ってください。",
    "many-hosts": "NAT装置や同一機種など、共通の原因がないか確認してください。",
}
