"""What analysts said of cases, as the precision of each field at each level; and the guard that asks for it."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "casebook"))

from triage_samples import case, episode_row, episodes

from andon.records.case import BENIGN, FALSE, TRUE, UNSURE, Verdict
from andon.records.contract import Site
from andon.run.containment.build import prepared
from andon.run.containment.precision import precision_of
from andon.run.live.config import load
from andon.store.casebook import Casebook


def filled(book: Casebook) -> None:
    """Six cases: what they say and what was said of them."""
    said = [
        ("high", "suricata", [TRUE]), ("high", "Suricata", [FALSE]), ("high", "wazuh", [BENIGN]),
        ("critical", "suricata", [FALSE, TRUE]), ("high", "suricata", [UNSURE]), ("high", "suricata", []),
    ]  # fmt: skip
    for number, (level, product, labels) in enumerate(said):
        row = episode_row(number, id=f"{number:024x}", product=product, rule=f"r{number}")
        book.episodes.put(episodes(row))
        items = (("episode", row["id"]),)
        held = book.cases.create(replace(case(number), level=level, items=items), actor="test")
        for label in labels:
            book.verdicts.add(Verdict(("case", held.id), label, "ito"))
    book.verdicts.add(Verdict(("case", "case0005"), TRUE, "ito", shown="bulk"))
    book.verdicts.add(Verdict(("episode", f"{0:024x}"), FALSE, "ito"))


def test_each_field_is_counted_by_the_newest_verdict_on_its_cases(tmp_path: Path) -> None:
    with Casebook(tmp_path) as book:
        book.migrate()
        assert precision_of(book) == {}
        filled(book)
        assert precision_of(book) == {
            ("alerts:suricata", "high"): (1, 2),
            ("alerts:wazuh", "high"): (0, 1),
            ("alerts:suricata", "critical"): (1, 1),
        }


def test_it_is_measured_where_the_policy_lets_one_field_act_alone(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "bold.yaml").write_text("protect:\n  limits: {evidence: 1}\n")
    text = '[[source]]\nname = "caps"\nkind = "folder"\npath = "caps"\n[store]\npath = "store"\n[contain]\n'
    plain, bold = tmp_path / "plain.toml", tmp_path / "bold.toml"
    plain.write_text(text)
    bold.write_text(text + 'policy = "bold.yaml"\n')
    with Casebook(tmp_path / "store") as book:
        book.migrate()
        filled(book)
        for path, measured in ((plain, {}), (bold, precision_of(book))):
            made = prepared(load(path), path, Site(), book, time.time_ns())
            assert dict(made.terrain.precision) == measured
            made.close()
