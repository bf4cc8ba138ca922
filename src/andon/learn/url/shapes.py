"""Harmless URLs made by rule: the shapes that benign lists lack and every proxy log is full of.

Lists of harmless URLs are links that people share: front pages, articles. Traffic is sign-in pages, account settings,
update checks, counters with long queries, assets, and servers without a name. A model that never saw them takes their
words (login, verify, account) for guilt. So every harmless domain of the training data also gets pages of such
shapes, on itself and on the usual sub-domains. They are made of the words below and of a hash of the domain: nothing
is collected, nothing random, and they carry no label of anybody."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

ACCOUNT_PAGES: Final = 2  # of each domain
OTHER_PAGES: Final = 2
CALLS: Final = 2
ADDRESSES: Final = 600  # URLs with an address for a host

_SUBDOMAINS: Final = (
    "account", "accounts", "my", "login", "signin", "auth", "id", "sso", "support", "help", "secure", "mail",
    "webmail", "portal", "app", "api", "cdn", "static", "img", "assets", "m", "mobile", "news", "blog", "shop",
    "store", "docs", "www2", "en", "de", "fr", "status", "analytics", "pay", "billing", "customer", "community",
    "forum", "dashboard", "admin", "web", "media", "download", "update",
)  # fmt: skip
_ACCOUNT: Final = (
    "/login", "/signin", "/account", "/account/login", "/account/settings", "/accounts/delete", "/settings/privacy",
    "/settings/account", "/profile/edit", "/user/delete-account", "/help/delete-account", "/support/contact",
    "/hc/en-us/articles/{n}-How-do-I-delete-my-account", "/hc/en-us/requests/new", "/contact", "/privacy",
    "/legal/privacy-policy", "/faq", "/en/help/article/{n}", "/login?next=/account/security",
    "/oauth2/authorize?client_id={h}&redirect_uri=https%3A%2F%2F{d}%2Fcallback&response_type=code"
    "&scope=openid%20profile&state={h}",
    "/signin?returnUrl=%2Fsettings%2Fprofile", "/account/verify?token={h}", "/password/reset", "/users/sign_in",
    "/my-account", "/customer/account/login", "/wp-login.php", "/unsubscribe?id={h}", "/billing/invoices/{n}",
    "/security/two-factor", "/auth/realms/main/protocol/openid-connect/auth?client_id=web&state={u}",
    "/confirm-email?key={h}", "/secure/checkout/payment", "/wallet", "/support/tickets/{n}", "/webmail/",
    "/owa/auth/logon.aspx?replaceCurrent=1", "/update", "/deactivate", "/terms",
)  # fmt: skip
_OTHER: Final = (
    "/collect?v=1&_v=j{n}&a={n}&t=pageview&dl=https%3A%2F%2F{d}%2F&ul=en-us&cid={n}.{n}&tid=UA-{n}-1",
    "/api/v1/events", "/api/v2/users/{n}/sessions?token={h}", "/assets/js/main.{h}.js", "/static/css/app.{x}.chunk.css",
    "/images/{n}/{h}.jpg", "/search?q={w}+{w}&page=2&hl=en", "/pixel.gif?id={u}&ts={n}&r={h}",
    "/ads/imp?cb={n}&u={h}&sz=300x250&gdpr_consent={b}", "/v1/update/check?version=1.2.{x}&os=windows&id={u}",
    "/{w}/{w}-{w}/{n}.html", "/{w}/{w}.aspx?id={n}&lang=en", "/{w}/", "/{w}", "/feed.xml", "/rss?format=xml",
    "/download/{w}-{x}.zip", "/wp-content/uploads/2023/05/{w}-{w}.png",
    "/index.php?option=com_content&view=article&id={n}",
    "/{w}/{w}/{w}", "/graphql?operationName={w}&variables=%7B%22id%22%3A%22{u}%22%7D", "/sync?partner={w}&uid={b}",
    "/sdk/{x}/telemetry?sid={u}&app={w}&build={n}", "/{w}.html", "/article/{n}/{w}-{w}-{w}", "/product/{w}-{w}-{n}",
    "/category/{w}?sort=price&page={x}", "/MFEwTzBNMEswSTAJBgUrDgMCGgUABBT{b}%3D", "/MFMwUTBP{b}{b}==",
    "/{b}", "/{b}/{n}",
    "/{w}.crl", "/{w}/{w}.crt", "/{w}.txt", "/{w}test.txt", "/{w}/{w}.svc", "/{w}/{w}.ashx?id={n}",
    "/d/{w}/update/{w}/2018/01/{n}_{h}{h}.cab", "/{w}service/files/{u}", "/{w}/{n}/{h}.exe", "/{w}/{u}/{w}.zip",
    "/{n}.{n}/",
    "/en-US/{w}/{w}?region=US&appid={h}{h}&FORM={w}", "/{h}/{h}/{w}.m3u8", "/{x}/{x}/{x}.png",
)  # fmt: skip
_WORDS: Final = (
    "about", "company", "products", "services", "team", "research", "news", "events", "people", "library",
    "project", "data", "software", "music", "video", "photo", "travel", "sport", "health", "science", "culture",
    "history", "education", "school", "university", "city", "world", "market", "business", "tools", "guide",
    "review", "archive", "gallery", "download", "blog", "forum", "game", "book", "film", "food", "kitchen",
    "garden", "car", "house", "weather", "report", "press", "career", "jobs", "contact", "partner", "member",
)  # fmt: skip


def _hash(*parts: object) -> int:
    text = "|".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def _filled(shape: str, domain: str, number: int) -> str:
    """The shape with its places filled: w a word, n and x numbers, h hexadecimal digits, u a UUID, b base64."""
    made, counted = [], 0

    def draw() -> int:
        nonlocal counted
        counted += 1
        return _hash(domain, number, shape, counted)

    rest = shape
    while "{" in rest:
        before, after = rest.split("{", 1)
        kind, rest = after[0], after[2:]
        v = draw()
        if kind == "n":
            text = str(v % 10**9)
        elif kind == "x":
            text = str(v % 100)
        elif kind == "h":
            text = f"{v:016x}{draw():016x}"
        elif kind == "u":
            text = f"{v >> 32:08x}-{v >> 16 & 65535:04x}-4{v & 4095:03x}-a{v >> 8 & 4095:03x}-{v & (1 << 48) - 1:012x}"
        elif kind == "w":
            text = _WORDS[v % len(_WORDS)]
        elif kind == "b":
            text = (
                base64.urlsafe_b64encode(b"".join(draw().to_bytes(8, "big") for _ in range(9)))
                .decode()
                .rstrip("=")
            )
        else:
            text = domain
        made += [before, text]
    return "".join(made) + rest


_KEYS: Final = (
    "id", "uid", "cid", "pid", "sid", "src", "u", "url", "ref", "r", "t", "ts", "v", "ver", "cb", "rnd", "q",
    "s", "p", "k", "key", "token", "tag", "type", "format", "lang", "loc", "page", "site", "dl", "dt", "ev",
    "event", "data", "d", "x", "y", "w", "h", "sz", "size", "ord", "callback", "gdpr", "consent", "user",
    "session", "a", "b", "c", "e", "i", "m", "n",
)  # fmt: skip
_STEPS: Final = (
    "api", "v1", "v2", "js", "b", "e", "dtb", "bid", "pixel", "px", "imp", "track", "event", "ping", "beacon",
    "sync", "tag", "ad", "ads", "img", "i", "p", "r", "rest", "rpc", "ajax", "data", "stats", "log", "update",
    "check", "query", "feed", "cdn", "static", "embed", "widget", "load", "get", "set", "batch", "content",
    "media", "player", "config", "init",
)  # fmt: skip
_FILES: Final = ("", "", "", ".gif", ".js", ".json", ".php", ".aspx", ".html", ".png", ".cgi", ".ashx")


def call(domain: str, number: int) -> str:
    """A request as programs make it: short steps, many parameters, identifiers, URLs within the URL."""
    drawn = 0

    def draw(many: int) -> int:
        nonlocal drawn
        drawn += 1
        return _hash(domain, "call", number, drawn) % many

    steps = [
        _STEPS[draw(len(_STEPS))]
        if draw(4)
        else _filled(("{n}", "{h}", "{x}", "{u}")[draw(4)], domain, drawn)
        for _ in range(1 + draw(4))
    ]
    values = ("{n}", "{n}", "{x}", "{h}", "{u}", "{b}", "{w}", "{w}-{w}", "http://www.{d}/",
              "https%3A%2F%2Fwww.{d}%2F{w}",              "{x}x{n}", "true", "0", "{n}.{n}", "")  # fmt: skip
    asked = [
        f"{_KEYS[draw(len(_KEYS))]}{'' if draw(5) else draw(20)}="
        + _filled(values[draw(len(values))], domain, drawn)
        for _ in range(draw(4) * draw(5))
    ]
    return "/" + "/".join(steps) + _FILES[draw(len(_FILES))] + ("?" + "&".join(asked) if asked else "")


def pages(domains: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(host, path) of made pages on harmless domains, and the bare names themselves.

    >>> len(list(pages(["a.example"])))
    8
    """
    for domain in domains:
        for group, shapes, times, share in (
            ("account", _ACCOUNT, ACCOUNT_PAGES, 3),
            ("other", _OTHER, OTHER_PAGES, 2),
        ):
            for number in range(times):
                v = _hash(domain, group, number)
                below = f"{_SUBDOMAINS[v % len(_SUBDOMAINS)]}." if (v >> 20) % share == 0 else ""
                yield below + domain, _filled(shapes[(v >> 32) % len(shapes)], domain, number)
        for number in range(CALLS):
            v = _hash(domain, "below", number)
            below = ("", "www.", f"{_SUBDOMAINS[v % len(_SUBDOMAINS)]}.")[(v >> 20) % 3]
            yield below + domain, call(domain, number)
        yield domain, ""
        yield f"{_SUBDOMAINS[_hash(domain, 'bare') % len(_SUBDOMAINS)]}.{domain}", ""


def addresses(count: int = ADDRESSES) -> Iterator[tuple[str, str]]:
    """(host, path) of harmless URLs on servers without a name: in real traffic they are as frequent among harmless
    URLs as among others (Vavra 2025: 6.1 and 5.8 %), on lists of links they are missing."""
    for number in range(count):
        v = _hash("address", number)
        first = (10, 172, 192, 23, 52, 104, 151, 199)[v % 8]
        host = f"{first}.{(v >> 8) % 256}.{(v >> 16) % 256}.{(v >> 24) % 256}"
        yield host, "" if v >> 40 & 1 else _filled(_OTHER[(v >> 42) % len(_OTHER)], host, number)
