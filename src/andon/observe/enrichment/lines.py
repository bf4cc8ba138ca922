"""Feeds that are one object for each observation: passive DNS, registration data, certificates, TLS, samples, sandbox.

Passive DNS is the Common Output Format (draft-dulaunoy-dnsop-passive-dns-cof: rrname, rrtype, rdata, time_first,
time_last, count) with the variants of Farsight (rdata a list, zone_time_*) and CIRCL. Registration data is flat
WHOIS JSON as the usual
parsers write it, or RDAP (RFC 9083: entities with vCards, events). Certificates are those of crt.sh (name_value,
not_before) and of Zeek (x509, ssl). Which of them an object is, is told by its fields, one object at a time.
"""

from __future__ import annotations

from typing import Any, Final

from andon.observe.enrichment.values import Refused, Rows, host_of, moment, node, operator, words
from andon.records.infrastructure import (
    ADDRESS,
    ANNOUNCED,
    CERTIFICATE,
    CONFIGURED,
    CONTACTS,
    DETECTED,
    DETECTION,
    DOMAIN,
    DROPS,
    FETCHED,
    FILE,
    FILE_NAME,
    IS_A,
    MALWARE,
    NAME_SERVER,
    NAMED,
    OPERATOR,
    PRESENTS,
    REGISTERED_AT,
    REGISTERED_BY,
    REGISTRANT,
    REGISTRAR,
    SERVED,
)

_MOST: Final = 1000  # values of one field of one object
_HASHES: Final = ("sha256", "sha1", "md5", "sha256_hash", "sha1_hash", "md5_hash")
_C2: Final = (
    "c2",
    "c2s",
    "cncs",
    "c2_servers",
    "c2_list",
    "controllers",
    "config_c2",
    "command_and_control",
    "hosts_c2",
)
_EMAILS: Final = ("registrant_email", "email", "emails", "contact_email", "registrant_emails")
_PEOPLE: Final = (
    "registrant_name",
    "registrant_org",
    "registrant_organization",
    "registrant_organisation",
    "registrant",
    "org",
    "organization",
    "registrant_handle",
    "registrant_id",
    "registrant_phone",
)


def one(rows: Rows, item: dict[str, Any], origin: str, where: str) -> bool:
    """Add what an object says; False if it is of no kind that is known."""
    low = {str(key).lower().replace("-", "_").replace(" ", "_"): value for key, value in item.items()}
    if "rrname" in low and ("rdata" in low or "rrvalue" in low):
        _dns(rows, low, origin, where)
    elif str(low.get("objectclassname", "")).lower() == "domain" or ("ldhname" in low and "entities" in low):
        _rdap(rows, low, origin, where)
    elif any(key in low for key in _HASHES) and _is_sample(low):
        _sample(rows, low, origin, where)
    elif (
        "cert_chain_fps" in low or "cert_chain_fuids" in low or ("id.resp_h" in low and "server_name" in low)
    ):
        _tls(rows, low, origin, where)
    elif (
        "name_value" in low or "certificate.serial" in low or "san.dns" in low or "fingerprint_sha256" in low
    ):
        _certificate(rows, low, origin, where)
    elif _first(low, ("domain", "domain_name", "domainname")) and any(
        key in low
        for key in (
            "registrar",
            "name_servers",
            "nameservers",
            "creation_date",
            "created",
            "expires",
            *_EMAILS,
            *_PEOPLE,
        )
    ):
        _whois(rows, low, origin, where)
    elif _first(low, ("ip", "address", "ip_address")) and _first(
        low, ("asn", "as", "as_number", "organisation", "org")
    ):
        _operator(rows, low, origin, where)
    else:
        return False
    return True


def _first(low: dict[str, Any], names: tuple[str, ...]) -> Any:
    for key in names:
        value = low.get(key)
        if value not in (None, "", [], {}):
            return value
    return None


def _many(value: Any) -> list[Any]:
    """A field that is one text, several, or several in one text."""
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, list):
        return [part for part in value[:_MOST] if part not in (None, "")]
    if isinstance(value, str) and ("\n" in value or "," in value or ";" in value):
        return [
            part.strip() for part in value.replace("\n", ",").replace(";", ",").split(",") if part.strip()
        ][:_MOST]
    return [value] if value != "" else []


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 1 <= value < 2**62 else 1


def _dns(rows: Rows, low: dict[str, Any], origin: str, where: str) -> None:
    first = moment(_first(low, ("time_first", "zone_time_first", "first_seen", "firstseen")))
    last = moment(_first(low, ("time_last", "zone_time_last", "last_seen", "lastseen")))
    data = low.get("rdata", low.get("rrvalue"))
    for value in data[:_MOST] if isinstance(data, list) else [data]:
        rows.record(
            low["rrname"], low.get("rrtype"), value, origin, where, first, last, _count(low.get("count"))
        )


def _whois(rows: Rows, low: dict[str, Any], origin: str, where: str) -> None:
    names = _many(_first(low, ("domain", "domain_name", "domainname")))
    dates = [
        _many(_first(low, keys))
        for keys in (
            ("created", "creation_date", "create_date", "registered", "created_date"),
            (
                "expires",
                "expiration_date",
                "expiry_date",
                "registry_expiry_date",
                "expires_date",
                "valid_until",
            ),
        )
    ]
    first, last = (moment(found[0]) if found else None for found in dates)
    if not names:
        return
    subject = names[0]
    contact = low.get("contacts") or low.get("registrant")
    people = [part for key in (*_EMAILS, *_PEOPLE) for part in _people(low.get(key), key)]
    if isinstance(contact, dict):
        inner = contact.get("registrant", contact)
        people += [
            inner[key]
            for key in ("email", "name", "organization", "org", "handle")
            if isinstance(inner, dict) and inner.get(key)
        ]
    for who in people[:_MOST]:
        if isinstance(who, str):
            rows.link(DOMAIN, subject, REGISTERED_BY, REGISTRANT, who, origin, where, first, last)
    for server in _many(_first(low, ("name_servers", "nameservers", "name_server", "ns"))):
        rows.link(DOMAIN, subject, SERVED, NAME_SERVER, server, origin, where, first, last)
    registrar = _first(low, ("registrar", "registrar_name"))
    if isinstance(registrar, str):
        rows.link(DOMAIN, subject, REGISTERED_AT, REGISTRAR, registrar, origin, where, first, last)


def _people(value: Any, key: str) -> list[Any]:
    return _many(value) if "email" in key else [value] if isinstance(value, str) and value else []


def _rdap(rows: Rows, low: dict[str, Any], origin: str, where: str) -> None:
    subject = low.get("ldhname") or low.get("unicodename")
    events = {
        str(event.get("eventAction")): moment(event.get("eventDate"))
        for event in _many(low.get("events"))
        if isinstance(event, dict)
    }
    first, last = events.get("registration"), events.get("expiration")
    for server in _many(low.get("nameservers")):
        if isinstance(server, dict) and server.get("ldhName"):
            rows.link(DOMAIN, subject, SERVED, NAME_SERVER, server["ldhName"], origin, where, first, last)
    for entity in _many(low.get("entities")):
        if not isinstance(entity, dict):
            continue
        roles = _many(entity.get("roles"))
        card = _vcard(entity.get("vcardArray"))
        if "registrar" in roles:
            for said in card.get("fn", [])[:1]:
                rows.link(DOMAIN, subject, REGISTERED_AT, REGISTRAR, said, origin, where, first, last)
        elif "registrant" in roles:
            known = [*card.get("email", []), *card.get("fn", []), *card.get("org", [])]
            known += [entity["handle"]] if isinstance(entity.get("handle"), str) else []
            for said in dict.fromkeys(known):
                rows.link(DOMAIN, subject, REGISTERED_BY, REGISTRANT, said, origin, where, first, last)


def _vcard(array: Any) -> dict[str, list[str]]:
    """Texts of a jCard (RFC 7095) by property."""
    found: dict[str, list[str]] = {}
    for entry in (
        array[1][:_MOST] if isinstance(array, list) and len(array) > 1 and isinstance(array[1], list) else ()
    ):
        if isinstance(entry, list) and len(entry) > 3 and isinstance(entry[3], str) and entry[3]:
            found.setdefault(str(entry[0]).lower(), []).append(entry[3])
    return found


def _certificate(rows: Rows, low: dict[str, Any], origin: str, where: str) -> None:
    mark = _first(low, ("fingerprint_sha256", "sha256", "fingerprint", "fingerprint_sha1", "sha1"))
    if mark is None:
        serial = _first(low, ("serial_number", "certificate.serial", "serial"))
        if serial is None:
            rows.skipped.add(f"{where}: a certificate without fingerprint and serial number")
            return
        # A serial number is unique for its issuer alone (RFC 5280, 4.1.2.2).
        issuer = _first(low, ("issuer_ca_id", "issuer_name", "certificate.issuer", "issuer")) or ""
        mark = f"{issuer}/{str(serial).lower().replace(':', '').lstrip('0')}"
    first = moment(_first(low, ("not_before", "certificate.not_valid_before", "valid_from")))
    last = moment(_first(low, ("not_after", "certificate.not_valid_after", "valid_to")))
    names = [
        part
        for key in ("common_name", "name_value", "san.dns", "dns_names", "subject_alt_names")
        for part in _many(low.get(key))
    ]
    mark = str(mark).replace(":", "") if "/" not in str(mark) else mark
    for subject in dict.fromkeys(str(part).lower().removeprefix("*.") for part in names):
        if "@" not in subject and " " not in subject:
            rows.link("url", subject, "", CERTIFICATE, mark, origin, where, first, last)
    for key in ("id.resp_h", "ip", "address"):
        if low.get(key):
            rows.link(ADDRESS, low[key], PRESENTS, CERTIFICATE, mark, origin, where, first, last)


def _tls(rows: Rows, low: dict[str, Any], origin: str, where: str) -> None:
    """A line of Zeek's ssl.log: which address showed which certificate, for which name."""
    at, server = moment(low.get("ts")), low.get("id.resp_h")
    for mark in _many(low.get("cert_chain_fps"))[:1]:  # the first is the server's own
        if server:
            rows.link(ADDRESS, server, PRESENTS, CERTIFICATE, mark, origin, where, at, at)
        if low.get("server_name") not in (None, "", "-"):
            rows.link("url", low["server_name"], "", CERTIFICATE, mark, origin, where, at, at)


def _is_sample(low: dict[str, Any]) -> bool:
    return "name_value" not in low and "not_before" not in low


def _sample(rows: Rows, low: dict[str, Any], origin: str, where: str) -> None:
    """A sample with what is known of it: configuration (c2), contacts seen in a sandbox, names, detections."""
    best = rows.same(
        [low[key] for key in _HASHES if isinstance(low.get(key), str) and low[key]], origin, where
    )
    if not best:
        return
    at = moment(_first(low, ("first_seen", "analysis_date", "date", "timestamp", "submitted", "last_seen")))
    until = moment(low.get("last_seen")) or at
    config = low.get("config") or low.get("configuration")
    sources = [low, {str(k).lower(): v for k, v in config.items()}] if isinstance(config, dict) else [low]
    said = [
        (CONFIGURED, part)
        for part in (value for inner in sources for key in _C2 for value in _many(inner.get(key)))
    ]
    network = low.get("network") if isinstance(low.get("network"), dict) else {}
    for inner in (low, network):
        for key in (
            "contacted",
            "contacted_domains",
            "contacted_ips",
            "domains",
            "hosts",
            "dns",
            "http",
            "contacted_urls",
            "urls",
        ):
            said += [(CONTACTS, part) for part in _many((inner or {}).get(key))]
    said += [
        (FETCHED, part)
        for key in ("download_url", "itw_urls", "downloaded_from")
        for part in _many(low.get(key))
    ]
    for relation, part in said:
        text = (
            _first(
                {str(k).lower(): v for k, v in part.items()},
                ("domain", "host", "hostname", "request", "ip", "url", "address", "uri"),
            )
            if isinstance(part, dict)
            else part
        )
        try:
            target = host_of(str(text))
        except Refused as error:
            rows.skipped.add(f"{where}: {str(text)[:40]!r}: {error}")
            continue
        rows.add((FILE, best), relation, target, origin, at, until)
    for keys, relation, kind in (
        (("family", "malware", "malware_family", "signature"), IS_A, MALWARE),
        (("detection", "detections", "detection_name", "label"), DETECTED, DETECTION),
        (("file_name", "filename", "name", "names", "file_names"), NAMED, FILE_NAME),
    ):
        for key in keys:
            for text in _many(low.get(key)):
                if isinstance(text, str):
                    rows.link(FILE, best, relation, kind, text, origin, where, at, until)
    for child in _many(_first(low, ("drops", "dropped", "dropped_files"))):
        text = _first(child, _HASHES) if isinstance(child, dict) else child
        rows.link(FILE, best, DROPS, FILE, text, origin, where, at, until)


def _operator(rows: Rows, low: dict[str, Any], origin: str, where: str) -> None:
    try:
        source = node(ADDRESS, str(_first(low, ("ip", "address", "ip_address"))))
        target = operator(
            _first(low, ("asn", "as", "as_number")),
            words(str(_first(low, ("organisation", "org", "as_name")) or "?")),
        )
    except Refused as error:
        rows.skipped.add(f"{where}: {error}")
        return
    rows.add(source, ANNOUNCED, (OPERATOR, target), origin)
