"""A small labelled set of URLs made by rule, for tests without data."""

from __future__ import annotations

import random

import pyarrow as pa

from andon.learn.url.data import Urls, make

_GOOD = (
    "garden",
    "museum",
    "cycling",
    "river",
    "school",
    "library",
    "cooking",
    "weather",
    "history",
    "music",
    "travel",
    "market",
)
_BAD = ("secure-login", "verify-account", "wallet-connect", "bank-update", "confirm-billing")


def labelled(many: int = 900, seed: int = 5) -> dict[str, pa.Array]:
    """Columns url, label, source, date: harmless links of three sources, dated phishing, and one source that may not
    be learnt from."""
    draw = random.Random(seed)
    url, label, source, date = [], [], [], []
    for number in range(many):
        site = f"{draw.choice(_GOOD)}{draw.choice(_GOOD)}{number % (many // 3)}.org"
        url.append(
            f"{draw.choice(['http', 'https'])}://www.{site}/{draw.choice(_GOOD)}/{draw.choice(_GOOD)}.html"
        )
        label.append(0)
        source.append(("weekly", "fpb", "citizenlab")[number % 3])
        date.append("2026")
        bad = f"{draw.choice(_BAD)}{number // 2}.top"
        url.append(f"http://{bad}/{draw.choice(_BAD)}/index.php?id={draw.randrange(10**6)}")
        label.append(1)
        source.append("phishdb")
        date.append(f"2025-{1 + number * 10 // many:02d}-{1 + number % 28:02d}")
        if number % 6 == 0:
            url.append(f"https://www.{draw.choice(_GOOD)}{number}.com/account/login")
            label.append(0)
            source.append("jdm")
            date.append("2026")
    return {
        "url": pa.array(url), "label": pa.array(label, pa.int8()), "source": pa.array(source), "date": pa.array(date),
    }  # fmt: skip


def urls(many: int = 900, seed: int = 5) -> Urls:
    return make(*labelled(many, seed).values())
