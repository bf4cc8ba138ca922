"""Lists that survive: restarts, damage, full disks, two intents for one entry, and the kill switch."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from edl_world import Clock, apply, body, host, intent, made
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.contain.contract import DEGRADED, DOWN, Rejected, Unreachable
from andon.contain.enforcers.edl import enforcer
from andon.contain.enforcers.edl.entries import LISTS


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_apply_is_idempotent_and_ordered(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    first = apply(one, intent(3, "203.0.113.9"), intent(1, "9.0.0.1"), intent(2, "203.0.113.10"))
    assert [receipt.intent for receipt in first] == [3, 1, 2]
    assert body(one, "ip") == "9.0.0.1\n203.0.113.9\n203.0.113.10\n"
    version = one.snapshot("ip").published.version  # type: ignore[union-attr]
    again = apply(one, intent(1, "9.0.0.1"))
    assert again[0].digest == first[1].digest
    assert one.snapshot("ip").published.version == version  # type: ignore[union-attr]
    assert one.actual() == {receipt.intent: receipt.digest for receipt in first}


def test_an_entry_stays_while_one_intent_wants_it(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(one, intent(1, "203.0.113.9"), intent(2, "203.0.113.9", ttl=7200))
    one.revoke([1, 99])
    assert body(one, "ip") == "203.0.113.9\n"
    one.revoke([2])
    assert body(one, "ip") == ""
    assert one.actual() == {}


def test_entries_end_with_their_intent(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(one, intent(1, "203.0.113.9", ttl=60), intent(2, "203.0.113.10", ttl=120))
    assert one.tick(clock.on(59)) == []
    assert one.tick(clock.on(1)) == [1]
    assert body(one, "ip") == "203.0.113.10\n"
    assert one.tick(clock.on(3600)) == [2]
    assert body(one, "ip") == ""


def test_a_renewed_intent_holds_longer(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(one, intent(1, "203.0.113.9", ttl=60))
    apply(one, intent(1, "203.0.113.9", ttl=600))
    assert one.tick(clock.on(61)) == []
    assert body(one, "ip") == "203.0.113.9\n"


def test_lists_survive_a_restart_with_their_versions(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(
        one,
        intent(1, "203.0.113.9"),
        host(2, "10.0.0.5", "2001:db8::5"),
        intent(3, "evil.example.com", "domain"),
    )
    one.revoke([3])
    before = {name: one.snapshot(name).published for name in LISTS}  # type: ignore[union-attr]
    held = dict(one.actual())
    one.close()
    other = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    assert not other.held_back
    assert other.actual() == held
    assert {name: other.snapshot(name).published for name in LISTS} == before  # type: ignore[union-attr]
    clock.on(4000)
    assert sorted(other.tick(clock())) == [1, 2]


def test_a_limit_is_said_and_nothing_is_skipped(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock, limits={"ip": 3})
    apply(one, intent(1, "203.0.113.1"), host(2, "10.0.0.5"))
    with pytest.raises(Rejected, match=r"4 entries and a reader takes 3.*nothing was listed"):
        apply(one, intent(3, "203.0.113.3"), intent(4, "2001:db8::4"))
    assert body(one, "ip") == "203.0.113.1\n" and body(one, "ip6") == ""
    assert set(one.actual()) == {1, 2}
    apply(one, intent(3, "203.0.113.3"))
    assert "3 entries of 3" in one.health().statement
    one.revoke([1])
    apply(one, intent(4, "2001:db8::4"))


def test_aggregation_makes_room_and_says_the_same(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock, aggregate=True, limits={"ip": 2})
    apply(one, *(intent(10 + i, f"203.0.113.{i}") for i in range(4)))
    assert body(one, "ip") == "203.0.113.0/30\n"
    one.revoke([11])
    assert body(one, "ip") == "203.0.113.0\n203.0.113.2/31\n"
    assert set(one.actual()) == {10, 12, 13}


def test_a_placeholder_stands_in_empty_lists_only(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock, placeholder=True)
    assert (body(one, "ip"), body(one, "url")) == ("192.0.2.1\n", "empty.invalid/\n")
    apply(one, intent(1, "203.0.113.9"))
    assert body(one, "ip") == "203.0.113.9\n"


@pytest.mark.parametrize("damage", [b"", b"0.0.0.0/0\n", b"203.0.113.9\n198.51.100.66\n", b"\xff\x00"])
def test_a_list_that_was_changed_by_hand_is_seen_and_mended(
    tmp_path: Path, clock: Clock, damage: bytes
) -> None:
    one = made(tmp_path, clock)
    receipt = apply(one, intent(1, "203.0.113.9"), host(2, "10.0.0.5"))[0]
    epoch = one.health().epoch
    (tmp_path / "edl" / "ip.txt").write_bytes(damage)
    assert one.actual()[1] != receipt.digest
    assert one.actual()[2] == apply(one, host(2, "10.0.0.5"))[0].digest
    assert body(one, "ip") == "203.0.113.9\n"
    health = one.health()
    assert (
        health.epoch != epoch and health.state == DEGRADED and "changed by somebody else" in health.statement
    )


def test_a_list_that_is_gone_is_written_by_tick(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(one, intent(1, "203.0.113.9"))
    (tmp_path / "edl" / "ip.txt").unlink()
    (tmp_path / "edl" / "url.txt").write_text("evil.example.com/\n")
    one.tick(clock.on(11))
    assert body(one, "ip") == "203.0.113.9\n" and body(one, "url") == ""


@pytest.mark.parametrize("how", ["gone", "flipped", "short", "garbage"])
def test_with_a_damaged_journal_readers_keep_what_they_have(tmp_path: Path, clock: Clock, how: str) -> None:
    one = made(tmp_path, clock)
    apply(one, *(intent(i, f"203.0.113.{i}") for i in range(1, 6)))
    one.close()
    path = tmp_path / "edl" / "intents.log"
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "flipped":
        path.write_bytes(data.replace(b"203.0.113.3", b"203.0.113.7"))
    elif how == "garbage":
        path.write_bytes(b"\x00" * 4096)
    else:
        path.write_bytes(data[:-20])
    served = (tmp_path / "edl" / "ip.txt").read_bytes()
    other = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    if how == "short":  # a write that was cut off was never acknowledged; the rest is whole
        assert not other.held_back
        return
    assert other.held_back and (tmp_path / "edl" / "ip.txt").read_bytes() == served
    missing = sorted(set(range(1, 6)) - set(other.actual()))
    assert missing == ([3] if how == "flipped" else [1, 2, 3, 4, 5])
    receipt = apply(other, *(intent(i, f"203.0.113.{i}") for i in missing))[0]
    assert (tmp_path / "edl" / "ip.txt").read_bytes() == served
    assert not other.verify(receipt)
    assert set(other.actual()) == set(range(1, 6))  # the second look releases
    assert not other.held_back
    assert body(other, "ip").splitlines() == [f"203.0.113.{i}" for i in range(1, 6)]
    third = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    assert not third.held_back and set(third.actual()) == set(range(1, 6))


def test_lists_are_not_held_back_for_ever(tmp_path: Path, clock: Clock) -> None:
    one = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    assert one.held_back and "reconciler" in one.health().statement
    one.tick(clock.on(61))
    assert not one.held_back


def test_in_a_new_folder_the_first_intent_is_published_at_once(tmp_path: Path, clock: Clock) -> None:
    one = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    assert one.held_back and one.actual() == {}
    apply(one, intent(1, "203.0.113.9"))
    assert not one.held_back and body(one, "ip") == "203.0.113.9\n"


def test_lists_of_others_are_left_alone(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "edl").mkdir()
    (tmp_path / "edl" / "ip.txt").write_text("198.51.100.1\n")
    with pytest.raises(ValueError, match="not written by Andon"):
        enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    assert (tmp_path / "edl" / "ip.txt").read_text() == "198.51.100.1\n"


def _no_room(folder: Path) -> None:
    """Nothing can be renamed onto this any more."""
    path = folder / "edl" / "ip.txt"
    path.unlink()
    path.mkdir()
    (path / "full").touch()


def _room(folder: Path) -> None:
    (folder / "edl" / "ip.txt" / "full").unlink()
    (folder / "edl" / "ip.txt").rmdir()


def test_where_files_cannot_be_written_nothing_new_is_acknowledged_but_everything_is_lifted(
    tmp_path: Path, clock: Clock
) -> None:
    one = made(tmp_path, clock)
    apply(one, intent(1, "203.0.113.1"), intent(2, "203.0.113.2", ttl=60))
    _no_room(tmp_path)
    with pytest.raises(Unreachable):
        apply(one, intent(3, "203.0.113.3"))
    snapshot = one.snapshot("ip")
    assert snapshot is not None and snapshot.body == b"203.0.113.1\n203.0.113.2\n"
    with pytest.raises(Unreachable):
        one.revoke([1])
    assert one.snapshot("ip").body == b"203.0.113.2\n"  # type: ignore[union-attr]
    assert one.tick(clock.on(61)) == [2]
    assert one.snapshot("ip").body == b""  # type: ignore[union-attr]
    assert one.health().state == DOWN
    _room(tmp_path)
    one.tick(clock.on(11))
    assert body(one, "ip") == "" and one.health().state != DOWN
    other = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    assert other.actual() == {}


def test_the_kill_switch_empties_everything_at_once(tmp_path: Path, clock: Clock) -> None:
    one = made(tmp_path, clock)
    apply(
        one,
        intent(1),
        host(2, "10.0.0.5"),
        intent(3, "evil.example.com", "domain"),
        intent(4, "http://a.example.com/", "url"),
    )
    one.revoke_all()
    assert [body(one, name) for name in LISTS] == [""] * len(LISTS)
    assert one.actual() == {}
    assert enforcer("perimeter", {"folder": "edl"}, tmp_path, clock).actual() == {}


def test_the_kill_switch_works_while_lists_are_held_back(tmp_path: Path, clock: Clock) -> None:
    one = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    apply(one, intent(1))
    one.revoke_all()
    assert not one.held_back and body(one, "ip") == ""


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["apply", "revoke", "restart", "tick", "damage"]),
        st.integers(1, 6),
        st.integers(0, 3),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(STEPS, st.booleans())
def test_whatever_happens_the_lists_are_what_is_held(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], aggregate: bool
) -> None:
    folder, clock = tmp_path_factory.mktemp("edl"), Clock()
    one = made(folder, clock, aggregate=aggregate)
    model: dict[int, tuple[str, int]] = {}
    for what, number, last in steps:
        if what == "apply":
            each = intent(number, f"203.0.113.{last}", ttl=100 * number, created=clock())
            apply(one, each)
            model[number] = (each.subject.value, each.until)
        elif what == "revoke":
            one.revoke([number])
            model.pop(number, None)
        elif what == "restart":
            one = enforcer("perimeter", {"folder": "edl", "aggregate": aggregate}, folder, clock)
        elif what == "damage":
            (folder / "edl" / "ip.txt").write_text("198.51.100.66\n")
        else:
            one.tick(clock.on(37))
            model = {k: v for k, v in model.items() if v[1] > clock()}
    one.tick(clock.on(11))
    model = {k: v for k, v in model.items() if v[1] > clock()}
    from ipaddress import ip_network

    listed = {str(address) for line in body(one, "ip").split() for address in ip_network(line)}
    assert listed == {value for value, _ in model.values()}
    assert set(one.actual()) == set(model)


def test_a_journal_that_cannot_grow_acknowledges_nothing_and_stays_whole(
    tmp_path: Path, clock: Clock
) -> None:
    one = made(tmp_path, clock)
    apply(one, intent(1, "203.0.113.1"))
    path = tmp_path / "edl" / "intents.log"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = path.stat().st_size + 50  # the kernel refuses more, as it does on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(Unreachable, match="room"):
            apply(one, intent(2, "203.0.113.2"))
        with pytest.raises(Unreachable, match="room"):
            one.revoke([1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    snapshot = one.snapshot("ip")
    assert snapshot is not None and snapshot.body == b"" and one.actual() == {}
    one.tick(clock.on(11))
    apply(one, intent(3, "203.0.113.3"))
    other = enforcer("perimeter", {"folder": "edl"}, tmp_path, clock)
    assert not other.held_back and set(other.actual()) == {3} and body(other, "ip") == "203.0.113.3\n"
