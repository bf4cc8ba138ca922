"""Names of malware in plain text: those that are known, and those that the text introduces.

"A botnet we call Kasate" and 「Kasate」と呼ばれるボットネット make a name that is then found wherever the text uses it.
A candidate is refused if the text uses the same word in lower case as well, or if it is one of the capitalised words
that stand before *botnet* without being its name (``_NO_NAME``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from andon.observe.reports.families import CANONICAL, WORDS
from andon.observe.reports.found import Found
from andon.observe.reports.vendors import is_vendor
from andon.records import report as R

_NEW_NAMES: Final = 32  # of one text
_NEAR: Final = 60  # characters to either side in which a word of the trade has to stand
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    + "|".join(re.escape(name) for name in sorted(CANONICAL, key=lambda n: (-len(n), n)))
    + r")(?![A-Za-z0-9])",
)
_FOLDED: Final = {name.casefold(): family for name, family in CANONICAL.items() if name not in WORDS}
_ANY_CASE = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    + "|".join(re.escape(name) for name in sorted(_FOLDED, key=lambda n: (-len(n), n)) if name.isascii())
    + r")(?![A-Za-z0-9])",
    re.ASCII | re.IGNORECASE,
)
_TRADE = re.compile(
    r"malware|botnets?|\bbots?\b|\bvariants?\b|\bworms?\b|trojan|backdoor|famil(?:y|ies)|DDoS|infect|loader|"
    r"\bminers?\b|マルウェア|ボット|亜種|感染|ワーム|トロイ|ウイルス",
    re.IGNORECASE,
)

_NAME = (
    r"(?P<name>[A-Z][A-Za-z0-9_]{2,24}(?:[-.][A-Za-z0-9]{1,12})?|[a-z]{1,12}[A-Z][A-Za-z0-9_]{1,24}|"
    r"[A-Za-z]{1,8}[0-9][A-Za-z0-9]{1,12})"
)
_QUOTED = r"[\"'“‘`「『](?P<quoted>[A-Za-z0-9\u30a1-\u30fa\u30fc][A-Za-z0-9_ .\u30a1-\u30fa\u30fc-]{1,24}?)[\"'”’`」』]"
_THING = (
    r"(?:botnets?|malware(?:\s(?:family|strain))?|worm|trojan|backdoor|rootkit|miner|cryptominer|"
    r"(?:malware|bot|Mirai|Gafgyt)\s(?:variant|family)|variant|strain|bot)"
)
_CALLED = (
    r"(?:calls?|called|named?|naming|dubbed|dub|dubs|nicknamed|labell?ed|christened|baptized|tracks?\sas|"
    r"tracked\s(?:by\sus\s)?as|tracking\sas|known\sas|referred\sto\sas|refers?\sto\sas|identified\sas|a\.?k\.?a\.?)"
)
_GIVES = (
    # a botnet we call Kasate; a new Mirai variant dubbed "Kasate"; the malware, which its authors named Kasate
    re.compile(
        rf"\b{_THING},?(?:\s(?:that|which|family))?(?:\s(?!and\b|or\b)[a-z]{{1,14}}){{0,5}}?\s(?i:{_CALLED})\s(?:it\s)?(?:as\s)?"
        rf"(?:{_QUOTED}|{_NAME})"
    ),
    # We call it Kasate; We named this botnet "Kasate"; dubbed Kasate
    re.compile(
        rf"\b(?:[Ww]e|[Rr]esearchers|[Aa]uthors|[Tt]hey|[Aa]nalysts|[Oo]perators|[Ll]abs|[Tt]eam)(?:\shave|\shas)?\s(?:{_CALLED})\s"
        rf"(?:it|this|them|the)(?:\s(?:new\s)?{_THING})?\s(?:as\s)?(?:{_QUOTED}|{_NAME})"
    ),
    re.compile(rf"\b(?:dubbed|nicknamed|codenamed|code-named|christened)\s(?:{_QUOTED}|{_NAME})"),
    # also known as Kasate, behind a name of malware only if the sentence says so
    re.compile(rf"{_THING}[^.\n]{{0,60}}?\((?:a\.?k\.?a\.?|also\sknown\sas|alias)\s(?:{_QUOTED}|{_NAME})"),
    # the Kasate botnet; Kasate malware
    re.compile(
        rf"(?<![A-Za-z0-9_./-])(?:{_QUOTED}|(?P<before>[A-Z][a-z]{{2,14}}\s)?{_NAME})\s"
        r"(?:botnet|malware|worm|trojan|backdoor|bots?\b|loader)"
    ),
    # a new botnet, Kasate, ... ; botnet "Kasate"; botnet: Kasate
    re.compile(rf"\b(?:[Bb]otnet|[Mm]alware|[Ww]orm|[Tt]rojan)(?:,\s|\s?:\s|\s)(?:{_QUOTED})"),
    re.compile(
        rf"\b(?:new|another|emerging|unknown)\s(?:[A-Za-z-]{{2,14}}\s){{0,2}}(?:botnet|worm|malware),\s{_NAME},"
    ),
    # Kasate is a botnet; Kasate, a Mirai variant
    re.compile(
        rf"(?<![A-Za-z0-9_./-])(?:{_QUOTED}|{_NAME})(?:,|\s(?:is|was))\s(?:an?|the|another)\s(?:[A-Za-z0-9-]{{2,14}}\s){{0,4}}?"
        r"(?:botnet|malware|worm|(?:Mirai|Gafgyt|botnet|malware)[\s-](?:variant|family|based))"
    ),
    # Kasateと呼ばれるボットネット; 「Kasate」と名付けた; マルウェア「Kasate」; Kasateボットネット
    re.compile(
        rf"(?:{_QUOTED}|{_NAME})\s?と(?:呼ばれる|呼ぶ|呼んで|名付け|名づけ|命名|称する|称される|いう(?=[^。\n]{{0,10}}(?:ボット|マルウェア|ワーム)))"
    ),
    re.compile(
        rf"(?:ボットネット|マルウェア|ワーム|亜種|トロイの木馬|ボット)(?:である|の|、|:)?\s?(?:{_QUOTED})"
    ),
    re.compile(
        rf"(?<![A-Za-z0-9_./-])(?:{_QUOTED}|{_NAME})\s?(?:の)?(?:ボットネット|マルウェア|ワーム(?!ホール)|ボット(?!ネット))"
    ),
)
# Words that stand where a name could: kinds, systems, places, organisations, the beginnings of sentences.
_NO_NAME: Final = frozenset(
    [
        "a", "about", "access", "active", "advanced", "affected", "after", "all", "also", "although", "an",
        "analysis", "analyzing", "and", "android", "another", "any", "apache", "arm", "asian", "asus", "attack",
        "attackers", "based", "because", "been", "before", "bot", "botnet", "botnets", "both", "brazilian", "but",
        "by", "call", "campaign", "card", "case", "chinese", "cloud", "common", "computer", "credential",
        "current", "cve", "cyber", "custom", "ddos", "dangerous", "decentralized", "detect", "detected",
        "detecting", "different", "disclosed", "discovered", "dns", "docker", "each", "early", "elf", "emerging",
        "encrypted", "europe", "every", "existing", "exploit", "family", "fast", "few", "fileless", "financial",
        "first", "five", "following", "for", "four", "from", "ftp", "generic", "global", "go", "golang",
        "government", "group", "growing", "has", "high", "how", "however", "http", "https", "icmp", "if", "in",
        "infected", "info", "infrastructure", "insights", "internet", "inside", "interesting", "into",
        "introducing", "iot", "irc", "is", "it", "its", "japan", "japanese", "java", "javascript", "js", "known",
        "korean", "large", "latest", "linux", "lua", "mac", "macos", "major", "malicious", "malware", "many",
        "massive", "mips", "miner", "mining", "mobile", "modern", "modular", "more", "most", "multi", "multiple",
        "nas", "network", "new", "no", "north", "not", "notable", "notorious", "novel", "now", "of", "old", "on",
        "one", "ongoing", "open", "operation", "other", "our", "p2p", "past", "peer", "perl", "php",
        "politically", "popular", "port", "powerful", "previous", "previously", "privacy", "proxy", "public",
        "python", "ransomware", "rat", "rce", "recent", "recently", "related", "report", "reports", "researchers",
        "router", "rst", "russian", "rust", "same", "scanning", "second", "security", "self", "server", "several",
        "sha", "shell", "similar", "since", "six", "small", "smart", "snake", "soho", "some", "source", "spam",
        "ssh", "state", "stealthy", "step", "such", "suspected", "syn", "table", "tcp", "telnet", "ten", "that",
        "the", "their", "then", "there", "these", "they", "third", "this", "those", "though", "thousands",
        "three", "tls", "tor", "tracking", "two", "type", "udp", "ukrainian", "uncovered", "under",
        "understanding", "unix", "unknown", "unlike", "upnp", "url", "us", "variant", "various", "via", "was",
        "watch", "web", "well", "what", "when", "where", "which", "while", "who", "why", "widespread", "windows",
        "with", "within", "world", "worm", "xor", "you", "your", "zero", "today", "active-dormant", "iocs", "ioc",
        "sample", "samples", "payload", "token", "tokens", "bots", "device", "devices", "vulnerability", "c2",
        "cnc", "dga", "api", "sql", "mysql", "redis", "hadoop", "kubernetes", "wordpress", "openwrt", "busybox",
        "adb", "http2", "ipv4", "ipv6", "md5", "sha1", "sha256", "base64", "x86", "arm7", "mirai-based",
        "gafgyt-based", "mirai-like", "non-mirai", "anti", "post", "pre", "botnets'", "monero", "bitcoin",
        "crypto", "january", "february", "march", "april", "may", "june", "july", "august", "september",
        "october", "november", "december", "monday", "tuesday", "stealer", "stealers", "persistent", "meanwhile",
        "strike", "however", "additionally", "moreover", "furthermore", "finally", "initially", "downloader",
        "dropper", "keylogger", "spyware", "adware", "scareware", "wiper", "rootkit", "banking", "mobile",
        "exfiltration", "delivery", "distribution", "wednesday", "thursday", "friday", "saturday", "sunday",
        "cisa", "fbi", "nict", "nicter", "jpcert", "ipa", "us-cert", "interpol", "europol",
    ]
)  # fmt: skip


def malware(text: str) -> Iterator[Found]:
    """Known and introduced names; each place once."""
    taken: set[int] = set()
    for match in _KNOWN.finditer(text):
        name = match.group()
        if name in WORDS and not _traded(text, *match.span()):
            continue
        taken.add(match.start())
        yield Found(R.MALWARE, CANONICAL[name], *match.span())
    for match in _ANY_CASE.finditer(text):
        if match.start() in taken or match.group() in CANONICAL:
            continue
        # In another case than the usual one (MIRAI is a token as well): only where malware is spoken of.
        if not match.group().islower() and _traded(text, *match.span()):
            taken.add(match.start())
            yield Found(R.MALWARE, _FOLDED[match.group().casefold()], *match.span())
    new = _introduced(text)
    if not new:
        return
    pattern = "|".join(re.escape(name) for name in sorted(new, key=lambda n: (-len(n), n)))
    for match in re.finditer(rf"(?<![A-Za-z0-9_.-])(?:{pattern})(?![A-Za-z0-9_]|-[A-Za-z0-9])", text):
        if match.start() not in taken:
            yield Found(R.MALWARE, new[match.group()], *match.span())


def _traded(text: str, start: int, end: int) -> bool:
    return bool(_TRADE.search(text[max(start - _NEAR, 0) : start]) or _TRADE.search(text[end : end + _NEAR]))


def _introduced(text: str) -> dict[str, str]:
    """Names that the text gives to malware -> how they are written the first time."""
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    places = []
    for order, pattern in enumerate(_GIVES):
        for match in pattern.finditer(text):
            groups = match.groupdict()
            quoted = groups.get("quoted")
            name = (quoted or groups.get("name") or "").strip(" .")
            where = match.start("quoted") if quoted else match.start("name")
            # "Cobalt Strike malware" has a name of two words, "The Kasate botnet" has not.
            before = (groups.get("before") or "").strip()
            if before and before.casefold() not in _NO_NAME and not is_vendor(before) and _two(before, name):
                name, where = f"{before} {name}", match.start("before")
            places.append((where, order, name, quoted is not None))
    judged: set[tuple[str, bool]] = set()
    for _, _, name, quoted in sorted(places):
        if len(found) >= _NEW_NAMES or len(judged) >= 8 * _NEW_NAMES:
            break
        if (name, quoted) not in judged and _is_name(name, quoted, text):
            found[name] = first.setdefault(name.casefold(), name)
        judged.add((name, quoted))
    return found


def _two(before: str, name: str) -> bool:
    return name.istitle() and not before.endswith("ed") and name.casefold() not in _NO_NAME


def _is_name(name: str, quoted: bool, text: str) -> bool:
    folded = name.casefold()
    parts = re.split(r"[\s-]", folded)
    if (
        name in CANONICAL
        or folded in _FOLDED
        or len(name) < 3
        or not re.search(r"[A-Za-z\u30a1-\u30fa]", name)
    ):
        return False
    if folded in _NO_NAME or parts[0] in _NO_NAME or is_vendor(name) or folded.startswith(("cve-", "http")):
        return False
    if folded.endswith(
        ("-based", "-like", "-style", "-controlled", "-powered", "-infected", "-driven", "-related", "ing")
    ):
        return False
    if len(parts) > 2 or (not quoted and len(parts) > 1 and not parts[1].isalnum()):
        return False
    return (
        quoted
        or not re.search(rf"(?<![A-Za-z0-9_/.-]){re.escape(folded)}(?![A-Za-z0-9_/-])", text)
        or folded == name
    )
