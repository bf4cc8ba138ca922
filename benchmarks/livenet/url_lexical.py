"""Lexical features of URLs and two boosted baselines on them, as much of the literature has them (Sahingoz et al.
2019 and those after): counts, lengths, ratios, suspicious words. One URL at a time in Python; they are no part of the
product."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable

import numpy as np

from andon.learn.url.data import Urls

WORDS = (
    "login", "signin", "verify", "secure", "account", "update", "bank", "confirm", "wallet", "pay", "support",
    "service", "mail", "office", "microsoft", "apple", "amazon", "paypal", "facebook", "netflix", "google",
    "coinbase", "metamask", "ledger", "trezor", "webmail", "admin", "wp-", "index.php", "html", "free",
    "bonus", "auth", "token",
)  # fmt: skip


def features(urls: Urls) -> np.ndarray:
    """float32 (URLs, 61)."""
    suffixes: dict[str, int] = {}
    rows = [
        _row(host, path, suffixes)
        for host, path in zip(urls.host.to_pylist(), urls.path.to_pylist(), strict=True)
    ]
    return np.array(rows, np.float32)


def _row(host: str, path: str, suffixes: dict[str, int]) -> list[float]:
    host = host.removeprefix("www.")
    path = path.rstrip("/")
    labels = host.split(".")
    text = host + path
    counts = Counter(text)
    n = max(len(text), 1)
    entropy = -sum(c / n * math.log2(c / n) for c in counts.values())
    query = path.partition("?")[2]
    words = re.findall(r"[a-z]+", text.lower())
    digits = sum(c.isdigit() for c in text)
    host_digits = sum(c.isdigit() for c in host)
    # A number for each ending, by a hash, so that training and test agree: trees cut on it as they like.
    ending = suffixes.setdefault(labels[-1], sum(ord(c) * 31**at for at, c in enumerate(labels[-1])) % 997)
    return [
        len(text), len(host), len(path), len(query), len(labels), max(map(len, labels)), len(labels[0]),
        path.count("/"),
        *(text.count(c) for c in "-_=&%@~+;,"), host.count("-"), host_digits, digits, digits / n,
        host_digits / max(len(host), 1), entropy, len(words), max(map(len, words), default=0),
        float(np.mean([len(w) for w in words])) if words else 0.0, float(host.replace(".", "").isdigit()), ending,
        len(labels[-1]), sum(c in "aeiou" for c in host) / max(len(host), 1), float("xn--" in host),
        float("." in path.rpartition("/")[2]), *(float(w in text.lower()) for w in WORDS),
    ]  # fmt: skip


def boosted(
    train: np.ndarray, label: np.ndarray, weight: np.ndarray
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Scoring functions of XGBoost and LightGBM, both with 300 trees of 63 leaves."""
    import lightgbm
    import xgboost

    begin = time.process_time()
    first = xgboost.XGBClassifier(
        n_estimators=300, max_leaves=63, max_depth=0, grow_policy="lossguide", learning_rate=0.1, tree_method="hist",
        n_jobs=1,
    )  # fmt: skip
    first.fit(train, label, sample_weight=weight)
    second = lightgbm.LGBMClassifier(n_estimators=300, num_leaves=63, learning_rate=0.1, n_jobs=1, verbose=-1)
    second.fit(train, label, sample_weight=weight)
    print(f"  (boosted baselines trained in {time.process_time() - begin:.0f} CPU s)")
    return {
        "XGBoost, lexical": lambda x: first.predict_proba(x)[:, 1],
        "LightGBM, lexical": lambda x: np.asarray(second.predict_proba(x))[:, 1],
    }
