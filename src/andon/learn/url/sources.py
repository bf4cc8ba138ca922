"""Where labelled URLs come from, and whether a shipped model may be trained on them.

Andon's licence lets anybody use what it ships for any purpose, so a shipped model is trained only on data whose owner
allows that. The judgement is on the safe side: where a collection states no licence, or one repository passes on the
collection of somebody else, it is left out, and docs/model-cards/url.md says what that costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Source:
    """``shipped``: may a shipped model learn from it; ``why``: what that rests on."""

    name: str
    origin: str
    licence: str
    shipped: bool
    why: str
    hard: bool = False  # harmless pages that look like phishing


SOURCES: Final = {
    source.name: source
    for source in (
        Source(
            "phishdb",
            "Phishing-Database/Phishing.Database@e2b5c753d89e86895835257dcd5844f94caab4d7",
            "MIT",
            True,
            "licence of the repository, whose own collection it is",
        ),
        Source(
            "weekly",
            "ruanyf/weekly@cf5e367d98e5141fb3381816f2ac8c5dd1bdb69f, outbound links",
            "CC BY",
            True,
            "its author in issue 311 of the repository (2019-03-01): attribution licence, free use if the source is "
            "named; the repository holds no licence file",
        ),
        Source(
            "fpb",
            "EbookFoundation/free-programming-books@5b277d20f623ce5b2889b16fc9dd5e266536f521, outbound links",
            "CC BY 4.0",
            True,
            "licence of the repository",
        ),
        Source(
            "jdm",
            "jdm-contrib/jdm@4762ba504d847e3f494177dc4d92641b292cd56d, pages to delete an account",
            "MIT",
            True,
            "licence of the repository",
            hard=True,
        ),
        Source(
            "citizenlab",
            "citizenlab/test-lists@7f01e430040e571f1315734ee36151a6897f71b5",
            "CC BY-NC-SA 4.0",
            False,
            "not for commercial use: tested on, never learnt from",
        ),
        Source(
            "pdd",
            "ebubekirbbr/pdd@90b394d8f9fb5d5dc48400e8bf46b001ce42999f",
            "none stated",
            False,
            "no licence",
        ),
        Source(
            "phishstorm",
            "fcdalgic/GramBeddings@222157e1a61a01783383d1632269ad13a7542d96, data/PhishStorm",
            "not stated by its authors",
            False,
            "the repository that passes it on is MIT, the collection is of others",
        ),
        Source(
            "iscx",
            "fcdalgic/GramBeddings@222157e1a61a01783383d1632269ad13a7542d96, data/ISCXURL2016",
            "not stated by its authors",
            False,
            "the repository that passes it on is MIT, the collection is of others",
        ),
    )
}


def may_ship(name: str) -> bool:
    """Whether a shipped model may learn from a source; one that is not listed is the trainer's own responsibility."""
    return name not in SOURCES or SOURCES[name].shipped


def is_hard(name: str) -> bool:
    return name in SOURCES and SOURCES[name].hard
