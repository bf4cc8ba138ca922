"""Which class an actor is told to be of, by votes of rules: naming schemes, CFR's fields, motives, words of
descriptions.

Names carry it because vendors name by motive: CrowdStrike's SPIDER is crime, JACKAL hacktivism, and its other animals
states; Microsoft's Tempest is crime and its other weather states, Storm still nobody knows; Secureworks' GOLD is
crime and other metals states; Mandiant's FIN is crime, APT a state. Words are noisy and weigh least. Where classes
are near each other none is given."""

# ruff: noqa: E501  one rule a line

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from andon.observe.knowledge.galaxy import Named
from andon.records.case import FINANCIAL, HACKTIVIST, TARGETED

_STATES: Final = (
    r"panda|bear|kitten|chollima|tiger|buffalo|leopard|wolf|crane|ocelot|sphinx|hawk|lynx|saiga|"
    r"typhoon|blizzard|sandstorm|sleet|hail|tsunami|flood|dust|rain|cyclone"
)
_NAMES: Final[tuple[tuple[re.Pattern[str], str, int], ...]] = (
    (re.compile(r"\bspider$", re.IGNORECASE), FINANCIAL, 20),
    (re.compile(r"\btempest$", re.IGNORECASE), FINANCIAL, 20),
    (re.compile(r"^gold [a-z]+$", re.IGNORECASE), FINANCIAL, 20),
    (re.compile(r"^fin\d{1,3}$", re.IGNORECASE), FINANCIAL, 20),
    (re.compile(r"^magecart|ransomware|\block(?:er|bit)\b", re.IGNORECASE), FINANCIAL, 8),
    (re.compile(r"\bjackal$", re.IGNORECASE), HACKTIVIST, 20),
    (re.compile(r"^(?:bronze|iron|cobalt|nickel|tin|zinc|aluminum|platinum|tungsten|copper) [a-z]+$", re.IGNORECASE), TARGETED, 12),
    (re.compile(rf"\b(?:{_STATES})$", re.IGNORECASE), TARGETED, 12),
    (re.compile(r"^apt[ -]?\d{1,3}$|^apt-[cq]-\d+$|^atk ?\d+$", re.IGNORECASE), TARGETED, 10),
    (re.compile(r"^(?:anonymous|.*\bcyber (?:army|resistance|fighters|av3ngers|berkut)|killnet.*|lulzsec.*)$", re.IGNORECASE), HACKTIVIST, 10),
)  # fmt: skip
_INCIDENTS: Final = {"espionage": (TARGETED, 6), "sabotage": (TARGETED, 4), "financial theft": (FINANCIAL, 6),
                     "denial of service": (HACKTIVIST, 1), "defacement": (HACKTIVIST, 4), "doxing": (HACKTIVIST, 1)}  # fmt: skip
_WORDS: Final[tuple[tuple[re.Pattern[str], str, int], ...]] = (
    (re.compile(r"financially[- ]motivated|cyber ?crim|ransomware|extort|for profit|banking trojan|point[- ]of[- ]sale|carding|cryptomin|monetiz|monetis|initial access broker|malware[- ]as[- ]a[- ]service|e-?crime", re.IGNORECASE), FINANCIAL, 2),
    (re.compile(r"espionage|state[- ](?:sponsored|nexus|backed|aligned)|nation[- ]state|intelligence service|advanced persistent|(?:china|russia|iran|north korea|dprk|vietnam|pakistan|india|lebanon|belarus)[a-z]*[- ](?:based|nexus|linked|sponsored|aligned)|targeted attack|military|(?:attributed|linked) to .{0,60}(?:government|intelligence|GRU|SVR|FSB|MOIS|IRGC|PLA|ministry)", re.IGNORECASE), TARGETED, 2),
    (re.compile(r"hacktivis|defac(?:e|ing)|website defacement|activist hack", re.IGNORECASE), HACKTIVIST, 3),
)  # fmt: skip
# Types of clusters whose software is a means of one class.
OF_TYPE: Final = {"ransomware": FINANCIAL, "banker": FINANCIAL}
# Types of clusters that name software, the others that count name actors.
SOFTWARE_TYPES: Final = frozenset(
    {"ransomware", "banker", "malpedia", "rat", "tool", "stealer", "backdoor", "botnet", "exploit-kit"}
)
_MARGIN: Final = 2.0  # the first class has to have so many times the votes of the second


def votes(names: Iterable[str], description: str = "", told: Named | None = None) -> Counter[str]:
    """Votes for each class."""
    found: Counter[str] = Counter()
    listed = [*names, *((told.name, *told.synonyms) if told else ())]
    for name in {each.strip() for each in listed}:
        for pattern, cls, weight in _NAMES:
            if pattern.search(name):
                found[cls] += weight
                break
    texts = [description, *((told.description, " ".join(told.motives)) if told else ())]
    for pattern, cls, weight in _WORDS:
        found[cls] += sum(min(len(pattern.findall(text)), 3) * weight for text in texts)
    if told is not None:
        for each in told.incidents:
            for part in each.split(","):
                cls, weight = _INCIDENTS.get(part.strip().casefold(), ("", 0))
                if cls:
                    found[cls] += weight
        if told.sponsor and "unknown" not in told.sponsor.casefold():
            found[TARGETED] += 6
    return +found


def chosen(found: Counter[str]) -> str:
    """The class with the most votes, or "" where there is none or the second is near.

    >>> chosen(votes(["WIZARD SPIDER"])), chosen(votes(["Nobody"]))
    ('financial', '')
    """
    order = found.most_common(2)
    if not order or (len(order) > 1 and order[0][1] < _MARGIN * order[1][1]):
        return ""
    return order[0][0]
