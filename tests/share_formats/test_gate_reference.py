"""What the gate does fast is what the plain way gives: names in prose, dark addresses, addresses inside."""

from __future__ import annotations

import random
import re
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any

import pytest

from andon.records.inside import Inside
from andon.records.mask import MASKED, Mask
from andon.share.policy import _Texts

NAMES = (
    "aa",
    "aaa",
    "alice",
    "alice b",
    "10.0.0.7",
    "10.0.0.70",
    "10[.]0[.]0[.]7",
    "fd00::5",
    "-x",
    "é1",
    "h_1",
    "[::1]",
)
DARK = tuple(
    IPv4Network(one) for one in ("203.0.112.0/22", "203.0.116.0/24", "198.51.100.0/24", "0.0.0.0/30")
)


def test_names_are_found_as_a_regular_expression_of_them_finds_them() -> None:
    rng = random.Random(4)
    replaced = 0
    for _ in range(4_000):
        made = {name: f"<{n}>" for n, name in enumerate(rng.sample(NAMES, rng.randint(0, 6)))}
        glue = rng.choice(("", " ", ".", ",", "_", "a"))
        text = glue.join(rng.choice((*NAMES, "x", "٣", "-")) for _ in range(rng.randint(0, 8)))
        ordered = "|".join(map(re.escape, sorted(made, key=len, reverse=True)))
        wanted = text
        if made:
            wanted = re.sub(rf"(?<![\w.])(?:{ordered})(?![\w])", lambda match, to=made: to[match[0]], text)
        assert _Texts(made).sub(text) == wanted, (text, made)
        replaced += wanted != text
    assert replaced > 500


def test_addresses_are_masked_as_the_networks_of_the_library_overlap() -> None:
    rng = random.Random(5)
    mask, masked = Mask(DARK), 0
    for _ in range(8_000):
        octets = [
            rng.choice((203, 198, 0, 204, 256, "00", "٣")),
            rng.choice((0, 51, "051")),
            rng.choice((100, 112, 115, 117)),
            rng.randint(0, 260),
        ]
        text = rng.choice((".", "[.]")).join(map(str, octets)) + rng.choice(
            ("", "", "/", "/08", f"/{rng.randint(0, 40)}", "/٣")
        )
        whole = re.match(r"\d{1,3}(?:\.\d{1,3}|\[\.\]\d{1,3}){3}(?:/\d{1,2})?", text)
        assert whole is not None
        try:
            network = IPv4Network(whole[0].replace("[.]", "."), strict=False)
        except ValueError:
            wanted = text
        else:
            dark = any(network.overlaps(one) for one in DARK)
            wanted = MASKED + text[whole.end() :] if dark else text
        assert mask.text(text) == wanted, text
        masked += wanted != text
    assert masked > 500


def plainly(text: str) -> str:
    """Boundaries written as such, addresses as the library reads them."""
    halves = {int(one.network_address) >> 16 for one in DARK}

    def dark(value: int) -> bool:
        return any(int(one.network_address) <= value <= int(one.broadcast_address) for one in DARK)

    def address(match: re.Match[str]) -> str:
        try:
            network = IPv4Network(match[0].replace("[.]", "."), strict=False)
        except ValueError:
            return match[0]
        return MASKED if any(network.overlaps(one) for one in DARK) else match[0]

    def number(match: re.Match[str]) -> str:
        if not match[0].startswith("0x"):
            return MASKED if dark(int(match[0])) else match[0]
        value = int(match[0], 16)
        return MASKED if dark(value) or {value >> 16, value & 0xFFFF} & halves else match[0]

    text = re.sub(r"\b\d{1,3}(?:\.\d{1,3}|\[\.\]\d{1,3}){3}(?:/\d{1,2})?", address, text)
    return re.sub(r"\b0x[0-9a-fA-F]{3,8}\b|\b\d{5,10}\b", number, text)


PIECES = (
    "203.0.113.9", "203[.]0[.]113[.]9", "203.0.113.9/24", "198.51.100.7/32", "45.1.1.1", "45.1.1.01", "203.0.112",
    "0.0.0.3", "0xcb007109", "0xCB00", "0xcb0", "0Xcb007109", "3405803785", "340580378", "12345678901", "0x", "x", "0",
    "00000", "٢٠٣.0.113.9", "٠xcb00", "٣٤٠٥٨٠٣٧٨٥", "_", "a", "é", ".", "/", "[.]", " ", " ", "-", ",", "1", "203",
)  # fmt: skip


def test_texts_are_masked_as_by_the_plain_expressions() -> None:
    rng = random.Random(7)
    mask, masked = Mask(DARK), 0
    for _ in range(20_000):
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 9)))
        wanted = plainly(text)
        # A second time, when its words are known.
        assert mask.text(text) == mask.text(text) == wanted, text
        assert mask.value({text: [text]}) == {wanted: [wanted]}
        masked += wanted != text
    assert masked > 5_000


def test_entities_leave_as_if_each_were_masked_alone() -> None:
    rng = random.Random(8)
    values: tuple[Any, ...] = (
        *PIECES, None, True, 1, 0.5, 0xCB007109, "", [], ["203.0.113.9"], ["a"], {"a": "203.0.113.9"}, {"check": {}},
        (), ("a",),
    )  # fmt: skip
    keys: tuple[Any, ...] = ("type", "value", "203.0.113.9", "check", "0xcb00", 3405803785, "detail", None)
    mask, left = Mask(DARK), 0
    for _ in range(2_000):
        entities = [
            {rng.choice(keys): rng.choice(values) for _ in range(rng.randint(0, 3))}
            if rng.random() < 0.9
            else rng.choice(values)
            for _ in range(rng.randint(0, 6))
        ]
        wanted = [one for one in entities if Mask(DARK).value(one) == one]
        body = {"entities": entities, "entities_total": len(entities) + 3}
        made = mask.document(body)
        assert made == {"entities": wanted, "entities_total": len(wanted) + 3}, entities
        assert mask.document(body) == made
        left += len(wanted)
    assert left > 1_000


def test_a_mask_remembers_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.records.mask._REMEMBERED", 50)
    mask = Mask(DARK)
    for n in range(500):
        assert mask.text(f"host {n} at 45.1.1.{n % 256}, 203.0.113.{n % 256}") == (
            f"host {n} at 45.1.1.{n % 256}, {MASKED}"
        )
        assert len(mask._same) <= 50
    assert "203.0." not in " ".join(mask._same)


def test_an_address_is_inside_as_the_library_reads_it() -> None:
    rng = random.Random(6)
    prefixes = ("10.0.0.0/25", "10.0.0.0/30", "45.1.0.0/16", "fd00::/8")
    nets, inside, found = [ip_network(one) for one in prefixes], Inside(prefixes), 0
    others = (
        "",
        "10.0.0.01",
        " 10.0.0.1",
        "10.0.0.1 ",
        "10.0.0.1\n",
        "10.1",
        "0x0a.0.0.1",
        "167772161",
        "1٠.0.0.1",
    )
    others += (
        "10.0.0.1%eth0",
        "fd00::1%eth0",
        "fd00::10.0.0.1",
        "::ffff:10.0.0.1",
        "\ud800",
        "10.0.0.1\0",
        "alice",
    )
    for n in range(3_000):
        text = (
            others[n % len(others)]
            if n % 4
            else f"{rng.choice((10, 45))}.{rng.randint(0, 1)}.0.{rng.randint(0, 260)}"
        )
        try:
            address = ip_address(text.split("%", 1)[0])
        except ValueError:
            wanted = False
        else:
            wanted = any(address in net for net in nets if net.version == address.version)
        assert inside.has(text) is wanted, text
        found += wanted
    assert found > 300
