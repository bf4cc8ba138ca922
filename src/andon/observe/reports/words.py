"""What malware says and does, as a report quotes it: tokens, credentials, request paths, header relations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from andon.observe.reports.found import Found
from andon.records import report as R
from andon.records.expression import ExpressionError, canonical, parse

_OPEN, _SHUT = r"[\"'“‘`「『]", r"[\"'”’`」』]"

# Tokens ------------------------------------------------------------------------------------------
_APPLETS: Final = frozenset(
    [
        "ash", "awk", "base64", "bash", "busybox", "cat", "chmod", "chown", "chpasswd", "clear", "cp", "crontab",
        "cut", "date", "dd", "df", "dmesg", "echo", "env", "false", "file", "find", "free", "ftpget", "ftpput",
        "grep", "gunzip", "gzip", "halt", "head", "hostname", "id", "ifconfig", "init", "iptables", "kill",
        "killall", "ls", "lsmod", "mkdir", "mknod", "more", "mount", "mv", "nc", "netstat", "nohup", "nslookup",
        "passwd", "ping", "ps", "pwd", "reboot", "rm", "rmdir", "route", "sed", "sh", "shell", "sleep", "sort",
        "su", "sync", "system", "tail", "tar", "tee", "telnet", "telnetd", "tftp", "top", "touch", "tr", "true",
        "umount", "uname", "uptime", "users", "vi", "w", "wc", "wget", "which", "who", "whoami", "xargs",
    ]
)  # fmt: skip
_NO_TOKEN: Final = frozenset(
    ("CVE", "DDOS", "TCP", "UDP", "SSH", "HTTP", "IOT", "API", "URL", "MD5", "SHA256", "NFT")
)
_OF_TOKENS: Final = frozenset(
    (
        "alone", "anymore", "again", "above", "below", "bucket", "value", "itself", "there", "however", "store",
        "stores", "login", "access", "replay", "theft", "abuse", "first", "later", "holder", "owner", "server",
        "string", "field", "format", "header", "cookie", "number", "therefore", "though", "names", "either",
        "twice", "which", "instead",
    )
)  # fmt: skip
_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9_&?])(?:(?P<kind>access|api|session|csrf|xsrf|auth|bearer|oauth2?|jwt|refresh|security|crypto|hardware|"
    r"id|login|user|authentication|stok)[\s-])?tokens?"
    r"(?:\s(?:string|word|value|name))?(?:\s(?:is|was|are|were|called|named|such\sas|like|of)|\s?[:=])?\s?"
    rf"(?:(?P<open>{_OPEN})(?P<quoted>[A-Za-z0-9_]{{3,16}}){_SHUT}|(?P<bare>[A-Za-z0-9_]{{3,16}})(?![A-Za-z0-9_=]|-[A-Za-z0-9]))",
    re.ASCII | re.IGNORECASE,
)
_TOKEN_JA = re.compile(
    rf"(?:トークン|合言葉|識別子|文字列)(?:として|は|の|:|、)?\s?(?:{_OPEN}(?P<quoted>[A-Za-z0-9_]{{3,16}}){_SHUT}|(?P<bare>[A-Z0-9_]{{3,16}})(?![A-Za-z0-9_]))"
    rf"|(?:{_OPEN}(?P<quoted2>[A-Za-z0-9_]{{3,16}}){_SHUT}|(?<![A-Za-z0-9_])(?P<bare2>[A-Z0-9_]{{3,16}}))\s?(?:という|との)?トークン"
)
_BUSYBOX = re.compile(
    r"(?:/bin/)?busybox\s+(?P<word>[A-Za-z0-9_]{3,16})(?![A-Za-z0-9_/.-])"
    rf"|(?P<word2>[A-Za-z0-9_]{{3,16}}):\s?applet\snot\sfound|applets?\s(?:called\s|named\s)?{_OPEN}(?P<word3>[A-Za-z0-9_]{{3,16}}){_SHUT}",
    re.ASCII,
)
_AND_QUOTED = re.compile(rf"(?:,|、|\s(?:and|or)|や|と)\s?{_OPEN}(?P<quoted>[A-Za-z0-9_]{{3,16}}){_SHUT}")
_AND_BARE = re.compile(r"(?:,\s?|、|\s(?:and|or)\s|や|と)(?P<quoted>[A-Z0-9_]{3,16})(?![A-Za-z0-9_/.-])")


def tokens(text: str) -> Iterator[Found]:
    """Words by which bots know one another, as ``/bin/busybox TOKEN`` shows them."""
    seen: set[int] = set()
    for pattern in (_TOKEN, _TOKEN_JA, _BUSYBOX):
        for match in pattern.finditer(text):
            groups = match.groupdict()
            if groups.get("kind"):
                continue
            name = next(key for key, value in groups.items() if value and key not in ("open", "kind"))
            at, quoted = match.span(name), name.startswith(("quoted", "word"))
            while at and (
                _is_token(text[at[0] : at[1]], quoted) or (name == "bare" and _ends_a_clause(text, at))
            ):
                if at[0] not in seen:
                    seen.add(at[0])
                    yield Found(R.TOKEN, text[at[0] : at[1]], *at)
                if pattern is _BUSYBOX:
                    break
                more = _AND_QUOTED.match(text, at[1] + 1) if quoted else _AND_BARE.match(text, at[1])
                if more is None:
                    break
                at = more.span("quoted")


def _is_token(word: str, quoted: bool) -> bool:
    if word.casefold() in _APPLETS or word.isdigit():
        return False
    if quoted:
        return True
    inner = any(c.isupper() for c in word[1:]) or any(c.isdigit() for c in word)
    return inner and word.upper() not in _NO_TOKEN


def _ends_a_clause(text: str, at: tuple[int, int]) -> bool:
    """A word in lower case is a token only where the sentence stops behind it, as in "the token zabtmn."; it must be no
    word that says something of tokens."""
    word = text[at[0] : at[1]]
    plain = word.isalpha() and word.islower() and 5 <= len(word) <= 12
    said = word.endswith(("ed", "ing", "ion", "ly", "es", "ity", "ment", "able")) or word in _OF_TOKENS
    return plain and not said and (at[1] == len(text) or text[at[1]] in ".,;)。、")


# Credentials -------------------------------------------------------------------------------------
_SECRET = re.compile(
    r"passwords?|credentials?|brute[\s-]?forc\w*|log(?:s|ged)?[\s-]?in|logins?|dictionary|"
    r"パスワード|認証情報|資格情報|クレデンシャル|ログイン|アカウント|総当たり|辞書",
    re.IGNORECASE,
)
_USERS: Final = frozenset(
    [
        "root", "admin", "user", "support", "default", "guest", "supervisor", "telnet", "telnetadmin", "ubnt",
        "pi", "tech", "service", "administrator", "test", "oracle", "postgres", "git", "ftp", "ftpuser", "mother",
        "666666", "888888", "daemon", "operator", "debug", "ubuntu", "nobody", "mysql", "sh", "mg3500", "admin1",
        "adm", "www", "hikvision", "vstarcam2015", "enable", "cisco", "e8ehome", "e8telnet", "superadmin",
        "superuser", "root1", "adminlvjh", "zyfwp", "sysadmin", "hadoop", "nagios", "tomcat", "jenkins", "deploy",
        "minecraft", "es", "elastic", "odoo", "steam", "teamspeak", "ts3", "web", "webmaster", "info", "sa",
        "debian", "centos", "vagrant", "ec2-user", "dev", "demo", "student", "manager",
    ]
)  # fmt: skip
_PAIR = re.compile(
    r"(?<![A-Za-z0-9_./:@\\-])(?P<user>[A-Za-z0-9_][A-Za-z0-9_.$-]{0,31})(?P<sep>\s/\s|[/:])"
    r"(?P<password>[\x21-\x2b\x2d-\x3a\x3c-\x7e]{0,64})",
    re.ASCII,
)
_SAID = re.compile(
    rf"\b(?:user(?:\s?name)?|login|account|ID)s?(?:\s(?:is|was|of|name))?\s?[:=]?\s?{_OPEN}?(?P<user>[A-Za-z0-9_.$-]{{1,32}}){_SHUT}?"
    r",?\s(?:and|with|,|/)?\s?(?:(?:the|a|an|its)\s)?(?:(?P<none>(?:empty|blank|no)\s)password|password(?:\s(?:is|was|of))?\s?[:=]?\s?"
    rf"(?:(?P<open>{_OPEN})(?P<quoted>[\x21-\x7e]{{0,32}}?){_SHUT}|(?P<bare>[\x21-\x7e]{{1,32}})))"
    rf"|(?:ユーザー?名?|ログイン名|ID)(?:は|が|:|=)?\s?{_OPEN}?(?P<user2>[A-Za-z0-9_.$-]{{1,32}}){_SHUT}?(?:、|,|・|と|で|/|\s){{0,2}}"
    rf"パスワード(?:は|が|:|=)?\s?(?:(?P<none2>なし|空|無し)|{_OPEN}(?P<quoted2>[\x21-\x7e]{{0,32}}?){_SHUT}|(?P<bare2>[\x21-\x7e]{{1,32}}))",
    re.IGNORECASE,
)
_NO_USER: Final = frozenset(
    [
        "and", "tcp", "udp", "http", "https", "username", "user_name", "login", "id", "ssh", "telnet", "ftp",
        "read", "client", "bot", "scanner", "input", "c2", "and/or", "c&c", "km", "name", "account", "e.g", "i.e",
        "port", "ports", "sha256", "md5", "sha1", "url", "cve", "note", "default-credential",
    ]
)  # fmt: skip
_NO_PASSWORD: Final = frozenset(
    [
        "or", "tcp", "udp", "password", "passwords", "pass", "passwd", "https", "ssh", "telnet", "ftp", "server",
        "write", "output", "bot", "and", "username", "sftp", "rdp",
    ]
)  # fmt: skip
_LIST_BEFORE = re.compile(
    r"(?:such\sas|like|includ\w*|e\.g\.,?|for\sexample,?|namely|:|=|,|\band|\bor|using|with|used|tried|try|credentials?|"
    r"passwords?|pairs?|combinations?|[\"'“‘`「『(、]|など|と|や|は|が|を|に|で|して|例えば)\s?[\"'“‘`「『(]?$",
    re.IGNORECASE,
)
_SENTENCE_REACH: Final = 240


def credentials(text: str) -> Iterator[Found]:
    """User names with their passwords as ``user/password``; an empty password leaves nothing behind the stroke."""
    places = [match.span() for match in _SECRET.finditer(text)]
    if not places:
        return
    seen: set[int] = set()
    for match in _SAID.finditer(text):
        groups = match.groupdict()
        user = groups["user"] or groups["user2"]
        name = "user" if groups["user"] else "user2"
        password = groups["quoted"] or groups["quoted2"]
        if password is None:
            bare = groups["bare"] or groups["bare2"]
            password = "" if bare is None else _ended(bare)
        if user.casefold() in ("and", "name", "is", "names", "with", "the", "or", "a", "of", "s", "for"):
            continue
        if password.casefold() in (
            "is",
            "was",
            "and",
            "or",
            "are",
            "for",
            "of",
            "to",
            "that",
            "list",
            "lists",
            "the",
        ):
            continue
        seen.add(match.start(name))
        yield Found(R.CREDENTIAL, f"{user}/{password}", match.start(name), match.end())
    near = 0
    for match in _PAIR.finditer(text):
        start = match.start()
        if start in seen:
            continue
        while near + 1 < len(places) and places[near + 1][0] <= start:
            near += 1
        close = [p for p in places[max(near - 1, 0) : near + 2] if -_SENTENCE_REACH < p[0] - start < 120]
        if not close or not any(_same_sentence(text, p, start) for p in close):
            continue
        pair = _pair(text, match)
        if pair is not None:
            yield Found(R.CREDENTIAL, pair[0], start, pair[1])


def _same_sentence(text: str, place: tuple[int, int], start: int) -> bool:
    between = text[place[1] : start] if place[1] <= start else text[start : place[0]]
    return "。" not in between and not re.search(r"(?<!e\.g)(?<!i\.e)[.!?]\s+[A-Z]", between)


def _pair(text: str, match: re.Match[str]) -> tuple[str, int] | None:
    user, sep, password = match.group("user"), match.group("sep"), match.group("password")
    known = user.casefold() in _USERS
    before = text[max(match.start() - 24, 0) : match.start()]
    opened = before[-1:] if before[-1:] in "\"'“‘`「『" and before else ""
    listed = bool(_LIST_BEFORE.search(before)) or not before.strip() or before[-1:] in "\n-*•|"
    if user.casefold() in _NO_USER or (user.isdigit() and not known):
        return None
    if not known and not (listed and (sep == "/" or opened)):
        return None
    if known and sep != "/" and not (listed or opened):
        return None
    shut = {"“": "”", "‘": "’", "「": "」", "『": "』"}.get(opened, opened)
    end = match.end()
    if opened and shut in password:
        password = password[: password.index(shut)]
        end = match.start("password") + len(password)
    elif not opened:
        password = _ended(password)
        end = match.start("password") + len(password)
    if sep == " / " and not password:
        return None
    lowered = password.casefold()
    if lowered in _NO_PASSWORD or "://" in password or password.startswith(("//", "\\")):
        return None
    if not known and (password == "" or "/" in password or not listed):
        return None
    if not known and password.isdigit() and len(password) < 3:
        return None
    if "/" in password and not opened and sep == "/":
        return None
    return f"{user}/{password}", end


def _ended(password: str) -> str:
    """Without the punctuation of the sentence: one full stop, comma or semicolon, a bracket that was never opened."""
    for _ in range(2):
        last = password[-1:]
        opened = last == ")" and "(" in password
        if (last and last in ".,;:)" and not opened) or (
            last in ('"', "'", "`") and password.count(last) == 1
        ):
            password = password[:-1]
    return password


# Requests ----------------------------------------------------------------------------------------
_PATH = r"/[A-Za-z0-9_.+~%$@;=:\-/]{1,200}"
_REQUEST = re.compile(
    r"(?:(?P<verb>(?<![A-Za-z])(?:GET|POST|PUT|HEAD|DELETE|OPTIONS)\s+|(?<![A-Za-z])(?:requests?|URI|URL\spath|endpoint|path|posts?|sent)\s"
    r"(?:(?:to|for|of|at|path|is|against)\s)?(?:the\s)?[\"'“`]?)|(?P<other>(?<![A-Za-z0-9_./:@-])))"
    rf"(?P<path>{_PATH})",
    re.ASCII,
)
_WEB: Final = re.compile(
    r"/(?:cgi-bin|cgi|boaform|GponForm|HNAP1|goform|SDK|ctrlt|UD|tmUnblock|picsdesc|wanipcn|soap|setup\.cgi|boafrm|formWsc|"
    r"apply|api|login|shell|command|manager|actuator|druid|solr|struts|index\.|wp-|phpunit|vendor/phpunit|tmui|mgmt/tm|vpns|"
    r"\+CSCO[TUE]\+|webadmin|onvif|device\.rsp|board|language|ws/v1|_search|jenkins|remote/|dana|ping|diag|currentsetting|stssys|luci)"
    r"|\.(?:cgi|php|asp|aspx|jsp|do|action|rsp|htm|html|xml|ashx|lua|fcgi|htp)(?:[/?;]|$)",
    re.IGNORECASE,
)
_FILES: Final = ("/bin", "/tmp", "/etc", "/var", "/proc", "/dev", "/usr", "/opt", "/home", "/root", "/mnt",
"/sys", "/sbin", "/lib", "/run", "/boot")  # fmt: skip
_PATH_JA = re.compile(
    rf"(?<![A-Za-z0-9_./:@-])(?P<path>{_PATH})\s?{_SHUT}?\s?(?:へ|に対する|宛|への|に)(?:の)?\s?(?:HTTP)?(?:GET|POST)?\s?(?:リクエスト|要求|アクセス)",
    re.ASCII,
)


def requests(text: str) -> Iterator[Found]:
    """Paths of HTTP requests, without what follows a question mark."""
    seen: set[int] = set()
    for pattern in (_REQUEST, _PATH_JA):
        for match in pattern.finditer(text):
            start = match.start("path")
            path = match.group("path").rstrip(".,;:=").rstrip("-")
            verb = pattern is _PATH_JA or match.group("verb")
            if start in seen or path.startswith("//") or len(path) < 3 or "//" in path:
                continue
            if not verb and (path.startswith(_FILES) or not _WEB.search(path)):
                continue
            if verb and path.startswith(_FILES) and not _WEB.search(path):
                continue
            seen.add(start)
            yield Found(R.REQUEST, path, start, start + len(path))


# Relations ---------------------------------------------------------------------------------------
_PIECE = (
    r"(?:(?:ip|tcp|udp)\.[a-z]{2,7}|0[xX][0-9A-Fa-f]{1,8}|\d{1,10}|key16|key32|rotl16|rotl32|bswap16|"
    r"bswap32|lo16|hi16|and|or|==|!=|<<|>>|[()^|&+*,-])"
)
_RUN = re.compile(rf"(?:{_PIECE}[ \t]{{0,2}}){{3,120}}", re.ASCII)
_ONE = re.compile(_PIECE, re.ASCII)
_EQUAL_WORDS = re.compile(
    r"sequence\snumbers?(?:\s(?:that|which))?\s(?:(?:is|are|was|were)\s)?(?:always\s)?(?:set\s)?(?:equals?|equal\sto|to|the\ssame\sas|identical\sto)\s(?:to\s)?"
    r"(?:the\s|its\s|their\s)?destination(?:\sIP(?:v4)?)?(?:\saddress(?:es)?)?"
    r"|シーケンス番号(?:が|を|は|に)?(?:、)?宛先\s?(?:IP)?\s?(?:アドレス)?(?:と|に|が)?(?:同じ|一致|等し|設定)",
    re.IGNORECASE,
)
_TRIES: Final = 64  # parts of one run that are tried
_ALL_TRIES: Final = 4_000  # of one text


def relations(text: str) -> Iterator[Found]:
    """Relations between header fields in the language of ``records.expression``, in canonical form."""
    left = _ALL_TRIES
    for match in _RUN.finditer(text):
        if left <= 0:
            break
        if "=" not in match.group() or "." not in match.group():
            continue
        pieces = [(p.start(), p.end(), p.group()) for p in _ONE.finditer(text, match.start(), match.end())]
        found, tries = _longest(text, pieces)
        left -= tries
        if found:
            yield found
    for match in _EQUAL_WORDS.finditer(text):
        yield Found(R.RELATION, "tcp.seq == ip.dst", *match.span())


def _longest(text: str, pieces: list[tuple[int, int, str]]) -> tuple[Found | None, int]:
    """(the longest part of a run that reads as a relation, trimmed from the left, then from the right; parts tried)."""
    tries = 0
    first = next(
        (n for n, piece in enumerate(pieces) if "." in piece[2] or piece[2] in ("(", "lo16", "hi16")), 0
    )
    for begin in range(first, min(first + 8, len(pieces))):
        for end in range(len(pieces), max(begin + 2, len(pieces) - 8), -1):
            tries += 1
            if tries > _TRIES:
                return None, tries
            start, stop = pieces[begin][0], pieces[end - 1][1]
            try:
                relation = str(canonical(parse(text[start:stop])))
            except (ExpressionError, RecursionError):
                continue
            if re.search(r"(?:ip|tcp|udp)\.", relation) and relation not in ("true", "false"):
                return Found(R.RELATION, relation, start, stop), tries
    return None, tries
