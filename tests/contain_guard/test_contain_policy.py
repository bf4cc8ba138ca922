"""The policy file: what it decides, and how it says what is wrong with it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from andon.contain.policy import Limits, PolicyError, built_in_text, load_policy
from andon.contain.policy.document import parse
from andon.records.case import CLASSES, LEVELS, Case
from andon.records.intent import BLOCK_PAIR, MIRROR, PROXY, QUARANTINE


def case_of(
    level: str, tier: str = "act", stage: str = "unknown", classes: tuple[str, ...] = (), **more: Any
) -> Case:
    judgement = {"attacker": {"classes": list(classes)}, "threat": {"stage": stage}, "certainty": 0.9, **more}
    return Case(
        "c1", 1, "open", tier, level, 1.0, "pc7", "", (("device", "pc7"),), 0, 1, 2, 2, judgement=judgement
    )


def load(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return load_policy(path)


@pytest.mark.parametrize(
    ("case", "asset", "action", "approvals"),
    [
        (case_of("high"), "workstation", BLOCK_PAIR, 0),  # high level, cut: without a human
        (case_of("high"), "unknown", BLOCK_PAIR, 0),
        (case_of("critical", stage="foothold"), "workstation", QUARANTINE, 0),
        (case_of("critical", stage="objective"), "device", QUARANTINE, 0),
        (case_of("high", classes=("targeted",)), "workstation", QUARANTINE, 1),
        (case_of("high", classes=("financial", "targeted")), "workstation", QUARANTINE, 1),
        (case_of("high", classes=CLASSES), "workstation", BLOCK_PAIR, 0),  # all possible: not known
        (case_of("high"), "server", BLOCK_PAIR, 1),
        (case_of("critical", stage="spread"), "network", BLOCK_PAIR, 1),
        (case_of("critical"), "critical", MIRROR, 0),
        (case_of("medium"), "workstation", MIRROR, 0),
        (case_of("low"), "workstation", PROXY, 0),
        (case_of("low"), "device", PROXY, 0),
        (case_of("low"), "unknown", PROXY, 0),
    ],
)
def test_the_built_in_policy_answers_as_its_table_says(
    case: Case, asset: str, action: str, approvals: int
) -> None:
    wish = load_policy(None).wish(case, asset)
    assert wish is not None
    assert (wish.action, wish.approvals) == (action, approvals)
    assert wish.rule and wish.rule in wish.reason and case.level in wish.reason and asset in wish.reason


@pytest.mark.parametrize("asset", ["server", "network", "critical"])
def test_low_cases_steer_nobody_whom_others_need(asset: str) -> None:
    assert load_policy(None).wish(case_of("low"), asset) is None


@pytest.mark.parametrize("tier", ["screened", "audit"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_dismissed_case_is_left_alone_at_every_level(tier: str, level: str) -> None:
    assert load_policy(None).wish(case_of(level, tier), "workstation") is None


def test_an_analyst_may_choose_to_observe_a_targeted_attacker() -> None:
    wish = load_policy(None).wish(case_of("high", classes=("targeted",)), "workstation")
    assert wish is not None
    assert "observe" in wish.choices and wish.mirror and wish.everywhere


def test_the_first_rule_that_matches_decides_and_says_so(tmp_path: Path) -> None:
    policy = load(
        tmp_path,
        """\
rules:
  - name: guests first
    when: {asset: [device], level: [high]}
    then: {action: mirror, ttl: 2h}
  - name: sure ones
    when: {certainty: 95 %}
    then: {action: quarantine, ttl: 90s, approvals: 2, enforcers: [core, edge], success: all}
  - name: rest
    then: {action: none}
""",
    )
    wish = policy.wish(case_of("high"), "device")
    assert wish is not None and (wish.action, wish.ttl_ns, wish.rule) == (
        "mirror",
        7_200 * 10**9,
        "guests first",
    )
    assert policy.wish(case_of("high"), "workstation") is None
    sure = policy.wish(case_of("low", certainty=0.96), "workstation")
    assert sure is not None
    assert (sure.action, sure.approvals, sure.enforcers, sure.success) == (
        "quarantine",
        2,
        ("core", "edge"),
        "all",
    )
    said = policy.explain(case_of("high"), "device")
    assert "Rule 1 of 3" in said and "line 2" in said and "mirror" in said


def test_what_a_file_leaves_out_is_as_built_in(tmp_path: Path) -> None:
    policy = load(tmp_path, "protect:\n  gateways: [10.0.0.1]\n  limits: {share: 1 %}\n")
    built_in = load_policy(None)
    assert policy.rules == built_in.rules and policy.classes == built_in.classes
    assert policy.protect.limits == Limits(share=0.01)
    assert policy.protect.entries == (("gateway", ("10.0.0.1",)),)


def test_an_empty_file_is_the_built_in_policy(tmp_path: Path) -> None:
    policy, built_in = load(tmp_path, ""), load_policy(None)
    assert (policy.rules, policy.classes) == (built_in.rules, built_in.classes)
    assert policy.protect.limits == built_in.protect.limits
    assert policy.protect.never_quarantine == built_in.protect.never_quarantine


def test_the_built_in_text_loads_as_a_file_of_ones_own(tmp_path: Path) -> None:
    assert load(tmp_path, built_in_text()).rules == load_policy(None).rules


RULES = "rules:\n  - name: a\n    then: {action: mirror}\n"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("version: 2\n", 1, "version 2"),
        ("rulez: []\n", 1, "is 'rules' meant"),
        ("rules: []\n", 1, "does nothing"),
        ("rules:\n  - name: a\n    then: {action: destroy}\n", 3, "destroy"),
        ("rules:\n  - name: a\n    then: {action: quarantine, ttl: 8d}\n", 3, "7 d"),
        ("rules:\n  - name: a\n    then: {action: quarantine, ttl: 24}\n", 3, "duration"),
        ("rules:\n  - name: a\n    then: {action: quarantine, approvals: -1}\n", 3, "0 to 5"),
        ("rules:\n  - name: a\n    then: {action: quarantine, approvals: true}\n", 3, "0 to 5"),
        ("rules:\n  - name: a\n    then: {action: allow}\n", 3, "approvals"),
        ("rules:\n  - name: a\n    then: {action: mirror, mirror: true}\n", 3, "beside a cut"),
        ("rules:\n  - name: a\n    when: {level: [huge]}\n    then: {action: mirror}\n", 3, "huge"),
        ("rules:\n  - name: a\n    when: {level: []}\n    then: {action: mirror}\n", 3, "level"),
        ("rules:\n  - name: a\n    when: {asset: [spaceship]}\n    then: {action: mirror}\n", 3, "spaceship"),
        ("rules:\n  - name: a\n    when: {attacker: [aliens]}\n    then: {action: mirror}\n", 3, "aliens"),
        (
            "rules:\n  - name: a\n    when: {levle: [high]}\n    then: {action: mirror}\n",
            3,
            "is 'level' meant",
        ),
        (RULES + "  - name: b\n    then: {action: mirror}\n", 4, "never reached"),
        (
            RULES.replace("then", "when: {level: [low]}\n    then") * 1
            + "  - name: a\n    then: {action: proxy}\n",
            5,
            "already",
        ),
        ("rules:\n  - then: {action: mirror}\n", 2, "needs a name"),
        ("classes:\n  list:\n    - class: Big Ones\n      hosts: [a]\n", 3, "small letters"),
        ("classes:\n  list:\n    - class: x\n      hosts: ['*']\n", 4, "every host"),
        ("classes:\n  list:\n    - class: x\n", 3, "needs hosts"),
        ("classes:\n  list:\n    - class: x\n      prefixes: [10.0.0.1/8]\n", 4, "bits are set"),
        ("protect:\n  gateways: [not an address]\n", 2, "not an address"),
        ("protect:\n  gateways: [0.0.0.0/0]\n", 2, "wider"),
        ("protect:\n  gateways: ['::/0']\n", 2, "wider"),
        ("protect:\n  macs: [zz]\n", 2, "hardware address"),
        ("protect:\n  ports: {sw1: [0]}\n", 2, "port"),
        ("protect:\n  nat64: [10.0.0.0/24]\n", 2, "NAT64"),
        ("protect:\n  warning_lists: [missing.json]\n", 2, "missing.json"),
        ("protect:\n  limits: {share: 200 %}\n", 2, "0 to 0.5"),
        ("protect:\n  limits: {share: .nan}\n", 2, "share"),
        ("protect:\n  limits: {widest_ipv4: 8}\n", 2, "16 to 32"),
        ("protect:\n  limits: {evidence: 0}\n", 2, "1 to 5"),
        ("protect:\n  limits: {longest: 1h}\n  classes: [nobody]\n", 3, "nobody"),
        ("a: 1\na: 2\n", 2, "twice"),
        ("rules: &x []\n", 1, "anchors"),
        ("rules: !!python/object:os.system {}\n", 1, "tags"),
        ("a: [\n", 2, "YAML"),
        ("--- {}\n--- {}\n", 2, "second document"),
        ("[1, 2]\n", 1, "mapping"),
        ("? [a]\n: 1\n", 1, "plain text"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_key(
    tmp_path: Path, text: str, line: int, word: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, text)
    said = str(caught.value)
    assert f"policy.yaml, line {line}" in said and word in said
    assert "\n" not in said and len(said) < 600


def test_a_bomb_of_aliases_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    bomb = "a: &a [x,x]\n" + "".join(f"b{n}: &b{n} [*a,*a]\n" for n in range(40))
    with pytest.raises(PolicyError, match="aliases"):
        load(tmp_path, bomb)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: " + "[" * 5000, "deeper"),
        ("".join(" " * n + f"b{n}:\n" for n in range(60)), "deeper"),
        ("a: [" + "1, " * 120_000 + "]", "more than"),
        ("# " + "x" * (1 << 20) + "\n", "larger"),
        ("a: \x00\n", "YAML"),
    ],
)
def test_documents_without_bounds_are_refused(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(PolicyError, match=word):
        load(tmp_path, text)


def test_text_that_is_no_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"version: 1\n# caf\xe9\n")
    with pytest.raises(PolicyError, match="line 2: not UTF-8"):
        load_policy(path)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.sampled_from(["x", "no", "1:30", "yes", "10.0.0.1", "~x", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "on"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["p", "q", "r"]), _VALUES, max_size=3))
def test_the_reader_agrees_with_pyyaml_on_plain_documents(document: dict[str, Any]) -> None:
    def plain(node: Any) -> Any:
        if isinstance(node.value, dict):
            return {key: plain(value) for key, value in node.value.items()}
        return [plain(one) for one in node.value] if isinstance(node.value, list) else node.value

    text = yaml.safe_dump(document)
    assert plain(parse(text.encode(), "x")) == document


@given(st.binary(max_size=300))
def test_any_bytes_are_a_policy_or_an_error(data: bytes) -> None:
    with suppress(PolicyError):
        parse(data, "x")


def test_classes_by_name_prefix_device_and_number(tmp_path: Path) -> None:
    classes = load(
        tmp_path,
        """\
classes:
  otherwise: other
  list:
    - {class: critical, prefixes: [10.0.9.0/24, "2001:db8:9::/48"], assets: [A-0012]}
    - {class: server, hosts: ["srv*", "*.dc.example"], devices: [NAS, File Server]}
rules:
  - {name: all, then: {action: mirror}}
""",
    ).classes
    assert classes.of(("10.0.9.3",))[0] == "critical"
    assert classes.of(("10.0.1.1", "2001:db8:9::1"))[0] == "critical"
    assert classes.of((), (), (), ("a-0012",))[0] == "critical"
    assert classes.of(("::ffff:10.0.9.3",))[0] == "critical"
    assert classes.of((), ("SRV7.corp.example",)) == ("server", "name SRV7.corp.example")
    assert classes.of((), ("x.dc.example",))[0] == "server"
    assert classes.of((), (), ("Synology NAS DS920",))[0] == "server"
    assert classes.of((), (), ("NASA laptop",))[0] == "other"
    assert classes.of(("10.0.8.3",), ("pc1",))[0] == "other"


@pytest.mark.parametrize(
    ("names", "devices", "expected"),
    [
        (("ci01.corp.example",), (), "server"),
        (("build02",), (), "server"),
        (("owa01",), (), "unknown"),  # no word says what it is
        (("idp3",), (), "critical"),
        (("east-vault1",), (), "critical"),
        (("plant-rtu4",), (), "critical"),
        (("hr-laptop3",), (), "workstation"),  # a class names it, so its role is not asked
        (("vault-notebook1",), (), "workstation"),
        (("payroll2",), (), "server"),  # somebody agrees; it is not beyond everybody
        (("core3",), (), "network"),
        (("lobby",), ("IoT thermostat",), "device"),
        (("testbox",), (), "unknown"),
        (("10.0.1.7",), (), "unknown"),
        ((), (), "unknown"),
    ],
)
def test_hosts_that_no_class_names_are_of_the_class_of_their_role(
    names: tuple[str, ...], devices: tuple[str, ...], expected: str
) -> None:
    assert load_policy(None).classes.of((), names, devices)[0] == expected


def test_roles_count_where_the_policy_says_so_and_knows_the_class(tmp_path: Path) -> None:
    listed = (
        "classes:\n{}  list:\n    - {{class: server, hosts: ['srv*']}}\n"
        "rules:\n  - {{name: all, then: {{action: mirror}}}}\n"
    )
    assert load(tmp_path, listed.format("")).classes.of((), ("ci01",))[0] == "unknown"
    classes = load(tmp_path, listed.format("  roles: true\n")).classes
    assert classes.of((), ("ci01",))[0] == "server"
    assert classes.of((), ("idp3",))[0] == "unknown"  # no class "critical" here


def test_whose_flows_they_are_is_said_in_words(tmp_path: Path) -> None:
    assert load(tmp_path, "protect:\n  flows: [Zeek, netflow]\n").protect.flows == ("zeek", "netflow")
    with pytest.raises(PolicyError, match="a product is expected"):
        load(tmp_path, "protect:\n  flows: ['']\n")


def test_protected_names_may_be_written_in_any_script(tmp_path: Path) -> None:
    policy = load(tmp_path, "protect:\n  others: [Bücher.example]\n")
    assert policy.protect.entries == (("protected by the policy", ("xn--bcher-kva.example",)),)
