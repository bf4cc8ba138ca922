"""Tactics of statements: what anybody would say, and how well the way of training does on sessions it has not
seen."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from andon.detect.intel.session import tactics, techniques

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("statements", "wanted"),
    [
        (("uname -a", "cat /proc/cpuinfo", "free -m", "nproc"), "Discovery"),
        (("cd /tmp", "wget <URL>", "chmod 777 a", "./a"), "Execution"),
        (
            (
                "cd ~",
                "rm -rf .ssh",
                "mkdir .ssh",
                "echo <KEY> mdrfckr >> .ssh/authorized_keys",
                "chmod -R go= ~/.ssh",
            ),
            "Persistence",
        ),
        (("service iptables stop", "/etc/init.d/iptables stop"), "Impact"),
    ],
)
def test_statements_that_leave_no_doubt(statements: tuple[str, ...], wanted: str) -> None:
    found = tactics.of(statements)
    assert found.count(wanted) > len(found) / 2


def test_one_tactic_a_statement_and_none_for_none() -> None:
    assert tactics.of(()) == ()
    assert len(tactics.of(("x",) * 256)) == 256
    assert set(tactics.of(("", " ", "\x00", "é" * 500))) <= set(tactics.NAMES)


def test_the_path_through_the_tactics_is_the_likeliest() -> None:
    rng = np.random.default_rng(5)
    count = len(tactics.NAMES)
    model = tactics.Model(np.zeros((1, count)), np.zeros(count), rng.normal(size=(count, count)))
    scores = rng.normal(size=(4, count))
    paths = np.stack(np.meshgrid(*[np.arange(count)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    worth = scores[np.arange(4), paths].sum(axis=1) + model.follows[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    assert model.decoded(scores).tolist() == paths[worth.argmax()].tolist()


def test_techniques_by_table() -> None:
    assert techniques.techniques(("iptables -F", "rm -rf /var/log", "crontab -l", "echo x | crontab -")) == (
        "T1562.004", "T1070.002", "T1070.004", "T1053.003",
    )  # fmt: skip
    assert techniques.techniques(("dd if=/dev/zero of=/dev/sda", "reboot", "./xmrig --donate-level 1")) == (
        "T1561.001", "T1529", "T1059.004", "T1496",
    )  # fmt: skip


def training() -> ModuleType:
    spec = importlib.util.spec_from_file_location("session_training", ROOT / "benchmarks/session/train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.real_data
def test_training_reaches_the_bar_on_sessions_it_has_not_seen(andon_data: Path) -> None:
    pytest.importorskip("sklearn")
    train = training()
    texts, labels, apart = train.sessions(andon_data / "joint/shell/haas_tactics_train.parquet")
    assert sum(map(len, labels)) == 4140
    assert apart <= 6
    assert train.validated(texts, labels, seed=11)["macro"] >= train.BAR
