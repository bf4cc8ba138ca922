"""Text of attackers as it is shown to a person: nothing that a click, a terminal or a mail reader would act on.

Values stay as they are in tables and exchange formats, where programs compare them; this is for pages and screens.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 500
# What a terminal or an editor acts on and JSON does not escape: DEL and the C1 controls, marks of direction, joiners,
# line separators, tags; and half surrogates, which cannot be written as UTF-8.
_HIDDEN = re.compile(
    "[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ADDRESS = re.compile(r"(?<![\w.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\w.])", re.ASCII)
_URL = re.compile(r"\b(h)tt(ps?://)|\b(f)t(p://)", re.IGNORECASE)
_NAME = re.compile(r"(?<=[A-Za-z0-9-])\.(?=[A-Za-z]{2,})", re.ASCII)


def plain_json(text: str) -> str:
    r"""JSON that says the same (``text``, from ``json.dumps`` with ``ensure_ascii=False``) with the characters escaped
    that would drive a terminal or turn the direction of a line; text in any script stays readable.

    >>> plain_json('["\u9632\u706b\u58c1 \x9b31m \u202e"]')
    '["防火壁 \\u009b31m \\u202e"]'
    """
    return _HIDDEN.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def neutral(value: str, kind: str = "") -> str:
    """``value`` defanged, without control characters, at most ``LONGEST`` characters long. Names are broken at their
    dots only where ``kind`` (a type of mention or behaviour) says that they are domains or URLs.

    >>> neutral("http://192.0.2.1/bins/a.sh", "url"), neutral("evil.example", "domain"), neutral("a.sh\\x1b[2J")
    ('hxxp://192[.]0[.]2[.]1/bins/a[.]sh', 'evil[.]example', 'a.sh\ufffd[2J')
    """
    text = "".join(c if c.isprintable() else "\ufffd" for c in value[: LONGEST + 1])
    text = _URL.sub(lambda m: f"{m[1]}xx{m[2]}" if m[1] else f"{m[3]}x{m[4]}", text)
    text = _ADDRESS.sub(r"\1[.]\2[.]\3[.]\4", text)
    if kind in ("url", "domain", "url-base") or "://" in text:
        text = _NAME.sub("[.]", text)
    return text[:LONGEST] + "…" if len(text) > LONGEST else text
