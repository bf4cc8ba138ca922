"""What a visit is: a program, an archive, a document, a page; and what a host is: a shortener, an address."""

from __future__ import annotations

import re
from typing import Final

PROGRAM, ARCHIVE, DOCUMENT, PAGE = "program", "archive", "document", "page"
_PROGRAM_TYPES: Final = re.compile(
    r"^application/(x-msdownload|x-dosexec|x-msdos-program|x-ms-installer|x-msi|vnd\.microsoft\.portable-executable|"
    r"x-executable|java-archive|x-java-archive|vnd\.android\.package-archive|hta|x-sh|x-powershell|vnd\.debian|"
    r"x-apple-diskimage|x-shockwave-flash|x-ms-shortcut)"
)
_PROGRAM_ENDINGS: Final = frozenset(
    {
        "exe", "dll", "scr", "pif", "com", "msi", "msix", "appx", "hta", "cpl", "jar", "apk", "ps1", "bat",
        "cmd", "vbs", "vbe", "jse", "wsf", "wsh", "lnk", "reg", "dmg", "pkg", "swf", "xll", "msc",
    }
)  # fmt: skip
_ARCHIVE_ENDINGS: Final = frozenset(
    {
        "zip", "cab", "rar", "7z", "gz", "iso", "img", "vhd", "vhdx", "ace", "arj", "tar", "bz2", "xz",
    }
)  # fmt: skip
_DOCUMENT_ENDINGS: Final = frozenset(
    {
        "pdf", "doc", "docm", "docx", "xls", "xlsm", "xlsb", "xlsx", "ppt", "pptm", "rtf", "one", "chm",
    }
)  # fmt: skip
_ENDING: Final = re.compile(r"\.([A-Za-z0-9]{1,5})$")
_SHORTENERS: Final = frozenset(
    {
        "bit.ly", "t.co", "tinyurl.com", "goo.gl", "ow.ly", "is.gd", "v.gd", "buff.ly", "rebrand.ly",
        "cutt.ly", "t.ly", "lnkd.in", "amzn.to", "rb.gy", "shorturl.at", "tiny.cc", "s.id", "x.gd",
        "adf.ly", "bl.ink", "trib.al", "urlz.fr", "qr.ae", "dlvr.it", "soo.gd",
    }
)  # fmt: skip
_LURE: Final = re.compile(
    r"[?&](gclid|fbclid|utm_|clickid|click_id|affid|aff_|adid|campaign)|/(ads?|adclick|click|aff|banner|promo|track)[/.?]",
    re.I,
)
_SEARCH: Final = re.compile(r"/search|[?&](q|query|wd|p|text)=", re.I)


def kind_of(path: str, mime: str, answered: bool) -> str:
    """Of what was fetched. Types win over endings; "octet-stream" says nothing."""
    if mime and _PROGRAM_TYPES.match(mime):
        return PROGRAM
    found = _ENDING.search(path.partition("?")[0])
    ending = found[1].lower() if found and answered else ""
    if mime.startswith("text/html"):
        return PAGE
    if ending in _PROGRAM_ENDINGS:
        # `example.com` may end a path that names a host.
        return PAGE if ending == "com" and "octet" not in mime else PROGRAM
    if ending in _ARCHIVE_ENDINGS or mime in (
        "application/zip",
        "application/x-rar-compressed",
        "application/x-7z-compressed",
    ):
        return ARCHIVE
    return DOCUMENT if ending in _DOCUMENT_ENDINGS else PAGE


def is_lure(domain: str, path: str) -> bool:
    """A shortened link or the counter of an advertisement."""
    return domain in _SHORTENERS or bool(_LURE.search(path))


def is_search(path: str) -> bool:
    return bool(_SEARCH.search(path))
