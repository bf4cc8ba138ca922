"""Which malware a session belongs to, with the evidence and how sure it makes us.

From strong to weak: a payload's hash, the base of a URL, marks in the script, a token, pairs of credentials that are
written into the program. A *token* (the word after ``/bin/busybox``) is the label of a fork, not of an actor: forks
are copied, and ``BOTNET`` alone is two fifths of all tokens of the IoT device set. So where nobody has named a fork,
the token is given as the family with less confidence. Each piece of evidence is taken to be right with the
probability beside it and independent of the others: together 1 - (1-p1)(1-p2)...; the share of wrong ones is in
docs/sessions.md.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from andon.records.joint import CREDENTIAL, TOKEN, URL, URL_BASE

RANDOM: Final = "<random>"  # token drawn anew for each session
# Tokens that half of all forks use: they say Mirai and no more.
GENERIC: Final = frozenset(["MIRAI", "BOTNET", "BOT", "BOTS", "ECCHI", "IHCCE", "BUSYBOX", "TEST"])
NAMED: Final = {
    "satori": "Satori", "okiru": "Okiru", "masuta": "Masuta", "miori": "Miori", "sora": "Sora", "owari": "Owari",
    "lzrd": "LZRD", "iz1h9": "IZ1H9", "v3g4": "V3G4", "unstable": "Unstable", "kurc": "Kurc", "boatnet": "Boatnet",
    "boat": "Boatnet", "wicked": "Wicked", "apep": "Apep", "hajimari": "Hajimari", "condi": "Condi", "condixx": "Condi",
    "daddyl33t": "Daddyl33t", "kyton": "Kyton", "josho": "Josho", "cult": "Cult", "paralysis": "Paralysis",
    "pedo": "Pedo", "aisuru": "Aisuru", "airashi": "Airashi", "moobot": "Moobot", "beastmode": "Beastmode",
    "omni": "Omni", "shinoa": "Shinoa", "yowai": "Yowai", "akiru": "Akiru", "rapperbot": "RapperBot", "ginp": "Ginp",
    "corona": "Corona", "hilix": "Hilix", "dark": "Dark.IoT", "fbot": "Fbot", "mozi": "Mozi", "gafgyt": "Gafgyt",
    "bashlite": "Gafgyt", "tsunami": "Tsunami", "kaiten": "Tsunami", "xorddos": "XorDDoS", "wopbot": "Wopbot",
    "medusa": "Medusa", "catddos": "CatDDoS", "gorilla": "GorillaBot", "gorillabot": "GorillaBot", "hailbot": "hailBot",
    "kiraibot": "KiraiBot", "zerobot": "Zerobot", "enemybot": "EnemyBot", "fodcha": "Fodcha", "rondo": "RondoDox",
    "redtail": "RedTail", "kinsing": "Kinsing", "xmrig": "XMRig", "muhstik": "Muhstik", "prometei": "Prometei",
    "murdoc": "Murdoc", "eleven11bot": "Eleven11bot",
}  # fmt: skip
MIRAI, OUTLAW, HAJIME, GAFGYT = "Mirai", "Outlaw", "Hajime", "Gafgyt"
# Marks in patterns: (family, probability, what it is, expression).
MARKS: Final = tuple(
    (family, sure, said, re.compile(pattern))
    for family, sure, said, pattern in (
        (OUTLAW, 0.97, "SSH key with the comment mdrfckr", r"mdrfckr"),
        (OUTLAW, 0.9, "names .var03522123 or .systemcache436621", r"\.var03522123|\.systemcache436621"),
        (OUTLAW, 0.8, "archive dota", r"\bdota\d?(?:\.tar\.gz|\*)|/var/tmp/dota"),
        (HAJIME, 0.85, "reads its own echo through .s", r"cat \.s \|\| cp /bin/echo \.s|dd bs=52 count=1 if=\.s"),
        (MIRAI, 0.75, "program is called dvrHelper", r"\bdvrHelper\b"),
        (MIRAI, 0.7, "tries folders with .nippon", r"\.nippon\b"),
        (MIRAI, 0.6, "typed enable, system, shell, sh",
         r"(?:^|\n)(?:enable|linuxshell)\n(?:.{0,16}\n){0,3}shell\n(?:.{0,16}\n){0,2}sh(?:\n|$)"),
        (MIRAI, 0.6, "marks its commands with /gweerwe323f", r"gweerwe323f"),
        (GAFGYT, 0.7, "scripts called bins.sh, gtop.sh or 8UsA.sh", r"\b(?:bins|gtop|8UsA\d?|tftp[12])\.sh\b"),
        ("XorDDoS", 0.85, "looks for /var/run/gcc.pid or libudev.so", r"/var/run/gcc\.pid|/lib/libudev\.so"),
        ("RapperBot", 0.85, "SSH key with the comment helloworld", r"<KEY> helloworld"),
        ("Prometei", 0.85, "programs uplugplay or zsvc", r"\buplugplay\b|\bzsvc\b"),
        ("Muhstik", 0.85, "programs pty and muhstik", r"\bmuhstik\b|/tmp/pty\d?\b"),
        ("RedTail", 0.9, "program .redtail", r"\.?redtail\b"),
        ("RondoDox", 0.85, "scripts rondo.*.sh", r"\brondo\.\w{2,12}\b"),
        ("Kinsing", 0.85, "program kinsing", r"\bkinsing\b|kdevtmpfsi"),
        ("XMRig", 0.7, "coin miner xmrig", r"\bxmrig\b"),
        ("BrickerBot", 0.85, "writes random bytes over the flash memory",
         r"(?:dd if=|cat )/dev/urandom (?:of=|>)/dev/mtd"),
    )
)  # fmt: skip
_IN_URLS: Final = (
    ("Mozi", 0.9, re.compile(r"(?i)/mozi\.(?:[am]|$)")),
    (GAFGYT, 0.6, re.compile(r"/(?:bins|gtop|8UsA)\.sh$")),
    (OUTLAW, 0.8, re.compile(r"/dota\d?(?:\.tar)?(?:\.gz)?$")),
    ("RedTail", 0.85, re.compile(r"/\.?redtail")),
    ("RondoDox", 0.85, re.compile(r"/rondo\.")),
)
# Credentials that are written into Mirai's source (scanner.c of 2016) and that nobody else would think of.
_PAIRS: Final = """
666666:666666 888888:888888 Administrator:admin admin1:password admin:7ujMko0admin admin:meinsm admin:smcadmin
administrator:1234 guest:12345 mother:fucker root:7ujMko0admin root:7ujMko0vizxv root:GM8182 root:Zte521
root:anko root:dreambox root:hi3518 root:ikwb root:juantech root:jvbzd root:klv123 root:klv1234 root:realtek
root:vizxv root:xc3511 root:xmhdipc root:zlxx. supervisor:supervisor tech:tech
"""
MIRAI_PAIRS: Final = frozenset(_PAIRS.split())
_PAIR: Final = 0.25
LEAST: Final = 0.4  # confidence below which no family is named: one pair of credentials is not enough
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{3,15}")
Evidence = tuple[str, float, str]


@lru_cache(maxsize=65_536)
def of_behaviour(kind: str, value: str) -> Evidence | None:
    """What one behaviour says: (family, probability, statement).

    >>> of_behaviour("token", "SATORI")
    ('Satori', 0.8, 'token SATORI')
    """
    if kind == TOKEN:
        if value == RANDOM:
            return MIRAI, 0.4, "token drawn at random"
        if value.startswith("/"):
            return MIRAI, 0.5, f"marks its commands with {value}"
        if value.upper() in GENERIC:
            return MIRAI, 0.6, f"token {value}"
        named = NAMED.get(value.lower())
        return (named, 0.8, f"token {value}") if named else (value, 0.6, f"token {value}")
    if kind in (URL_BASE, URL):
        for family, sure, pattern in _IN_URLS:
            if pattern.search(value):
                return family, sure, f"URL {value if kind == URL_BASE else value.rpartition('/')[2]}"
        if kind == URL_BASE:
            for word in reversed(_WORD.findall(value)):
                named = NAMED.get(word.lower())
                if named:
                    return named, 0.75, f"URL base {value}"
        return None
    if kind == CREDENTIAL and value in MIRAI_PAIRS:
        return MIRAI, _PAIR, f"credentials {value}"
    return None


def of_pattern(pattern: str) -> tuple[Evidence, ...]:
    """What the script says."""
    return tuple((family, sure, said) for family, sure, said, mark in MARKS if mark.search(pattern))


def decided(evidence: tuple[Evidence, ...]) -> tuple[str, float, str]:
    """(family, confidence, statement) of all evidence; ("", 0, "") if there is none, or too little. What says only that
    it is one of Mirai's many forks supports whichever fork is named.

    >>> decided((("Mirai", 0.75, "program is called dvrHelper"), ("Sora", 0.8, "token SORA")))
    ('Sora', 0.85, 'token SORA; program is called dvrHelper')
    """
    if not evidence:
        return "", 0.0, ""
    doubt: dict[str, float] = {}
    for family, sure, _ in dict.fromkeys(evidence):
        doubt[family] = doubt.get(family, 1.0) * (1 - sure)
    named = {family: 1 - left for family, left in doubt.items() if family != MIRAI}
    best = max(sorted(named), key=lambda family: named[family], default=MIRAI)
    confidence = named.get(best, 1 - doubt.get(MIRAI, 1.0))
    if best != MIRAI and MIRAI in doubt and best not in (OUTLAW, HAJIME):
        confidence += (1 - confidence) * (1 - doubt[MIRAI]) / 3
    if confidence < LEAST:
        return "", 0.0, ""
    order = sorted(dict.fromkeys(evidence), key=lambda one: (one[0] != best, -one[1], one[2]))
    said = [text for family, _, text in order if family in (best, MIRAI)]
    return best, min(round(confidence, 4), 0.99), "; ".join(said[:6])
