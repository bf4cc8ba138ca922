"""Paths of URLs: one pool for the whole organisation; which of them a host has follows from a hash.

The pool is cut into ranges by what is behind them. ``ODD`` holds shapes that reports of malicious URLs show: a script
of a control panel, a long encoded query, a program or an archive, a form in a folder of a content management system.
Benign hosts use them too, at a lower rate (``sites.ODD_BENIGN``, ``sites.ODD_MALICIOUS``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from .names import words

ROOT: Final = 0  # "/"
PAGE, RESOURCE, API, DOWNLOAD, ODD = (
    (1, 5000),
    (5001, 5000),
    (10_001, 600),
    (10_601, 400),
    (11_001, 1500),
)  # (first, number)
COUNT: Final = ODD[0] + ODD[1]
MIMES: Final = (
    "text/html", "application/javascript", "text/css", "image/jpeg", "image/png", "font/woff2", "application/json",
    "application/octet-stream", "application/x-msdownload", "application/zip", "application/pdf", "-",
)  # fmt: skip
_HTML, _JSON, _OCTETS, _EXE, _ZIP, _PDF = 0, 6, 7, 8, 9, 10


@dataclass(frozen=True)
class Paths:
    """``text``: of each path; ``mime``: index into MIMES of what it gives."""

    text: pa.Array
    mime: np.ndarray


def paths(rng: np.random.Generator) -> Paths:
    """The pool, the same for every scenario of a seed."""
    text, mime = ["/"], [_HTML]
    word = words(rng.integers(0, 86**3, 20_000), 3).tolist()
    number = rng.integers(1, 100_000, 20_000).tolist()
    kind = rng.random(COUNT)
    for i in range(PAGE[1]):
        a, b, n = word[i], word[i + 5000], number[i]
        forms = (f"/{a}/", f"/{a}/{b}", f"/{a}/{b}.html", f"/{b}?id={n}", f"/{a}/{n}/{b}", f"/index.php?p={n}",
                 f"/search?q={a}+{b}&page={n % 9}", f"/account/{a}/login?next=/{b}")  # fmt: skip
        text.append(forms[int(kind[i] * len(forms))])
        mime.append(_HTML)
    ends = (("js", 1), ("css", 2), ("jpg", 3), ("jpg", 3), ("png", 4), ("woff2", 5), ("json", 6))
    for i in range(RESOURCE[1]):
        end, what = ends[int(kind[PAGE[1] + i] * len(ends))]
        a, n = word[i + 10_000], number[i]
        text.append(f"/static/{a}/{n}.{end}" if n % 3 else f"/assets/{a}.{n:x}.{end}?v={n % 40}")
        mime.append(what)
    for i in range(API[1]):
        calls = (
            f"/v{i % 4 + 1}/{word[i]}",
            f"/api/{word[i]}/status",
            f"/{word[i]}/ping",
            f"/t?c={number[i]}&n=",
        )
        # Those whose place in the pool is a multiple of four count their calls: a number is put behind them.
        text.append(calls[i % 4])
        mime.append((_JSON, _JSON, _OCTETS, _HTML)[i % 4])
    for i in range(DOWNLOAD[1]):
        end, what = (("exe", _EXE), ("zip", _ZIP), ("pdf", _PDF), ("msi", _OCTETS))[i % 4]
        text.append(f"/download/{word[i + 700]}-{number[i] % 20}.{number[i] % 7}.{end}")
        mime.append(what)
    encoded = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"))
    codes = encoded[rng.integers(0, len(encoded), (ODD[1], 48))]
    for i in range(ODD[1]):
        a, n, code = word[i + 2000], number[i], "".join(codes[i].tolist())
        shapes = (
            (f"/{a}/gate.php?h={n}", _HTML),
            (f"/?{code}", _HTML),
            (f"/{a}.php?{code[:6]}={code[6:30]}", _HTML),
            (f"/wp-content/plugins/{a}/{code[:5]}/login.php", _HTML),
            (f"/{code[:8]}/{a}.exe", _EXE),
            (f"/invoice_{n}.zip", _ZIP),
            (f"/{n % 97}/{code[:24]}", _OCTETS),
            (f"/webmail/{a}/verify.html?session={code}", _HTML),
        )
        shape, what = shapes[i % len(shapes)]
        text.append(shape)
        mime.append(what)
    return Paths(pa.array(text, pa.string()), np.array(mime, np.uint8))
