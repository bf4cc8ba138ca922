"""The guard against generated intents, many of them adversarial, judged by an oracle that was written otherwise.

    python benchmarks/contain/guard.py [--cases 1000000] [--seed 1] [--no-mutants]

Prints how many intents of each action were allowed, left to a human and refused, how often each rule spoke, what the
oracle had against what the guard let through (must be nothing), where the guard is stricter than the oracle, the CPU of
a decision, and for each way of breaking the guard how many forbidden intents then get through. Ends with 1 if one got
through the whole guard, or if a broken one was not noticed. Site, oracle, cases and mutants are those of
``tests/contain_guard``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "contain_guard"))

import guard_oracle as oracle
import guard_site as site
from guard_cases import Case, Cases, Parties
from guard_mutants import broken, mutants

from andon.contain.guard import ALLOWED, FORBIDDEN, Held, guard

BLOCK = 5_000
MUTANT_CASES = 100_000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-mutants", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        policy, terrain, _ = site.site(Path(folder))
    parties = Parties(7)
    drawn = Cases(given.seed, parties)
    pools = f"{len(parties.good)} of our hosts, {len(parties.outside)} destinations, {len(parties.bad):,} wrong parties"
    print(f"load {os.getloadavg()[0]:.2f}; {given.cases:,} cases of seed {given.seed}; {pools}")

    decisions: Counter[tuple[str, str]] = Counter()
    rules: Counter[str] = Counter()
    against: Counter[str] = Counter()
    strict: Counter[str] = Counter()
    through: list[tuple[str, Case]] = []
    bad: list[tuple[Case, str]] = []
    cost = judging = 0.0
    blocks = []
    for start in range(0, given.cases, BLOCK):
        cases = [next(drawn) for _ in range(min(BLOCK, given.cases - start))]
        began = time.process_time()
        rulings = [guard(case.intent, terrain, case.held, case.now) for case in cases]
        blocks.append((time.process_time() - began) / len(cases) * 1e6)
        cost += time.process_time() - began
        began = time.process_time()
        for case, ruling in zip(cases, rulings, strict=True):
            decisions[case.intent.action, ruling.decision] += 1
            rules.update(ruling.rules)
            never = oracle.forbidden(*case)
            ask = never or oracle.needs_human(*case)
            if ask:
                against[ask] += 1
                if len(bad) < MUTANT_CASES:
                    bad.append((case, never))
            if (never and ruling.decision != FORBIDDEN) or (ask and ruling.decision == ALLOWED):
                through.append((ask, case))
            elif not ask and ruling.decision != ALLOWED:
                strict[" + ".join(ruling.rules)] += 1
        judging += time.process_time() - began

    print(f"\n{'action':12}{'allow':>10}{'needs-approval':>16}{'refuse':>10}")
    for action in sorted({action for action, _ in decisions}):
        row = [decisions[action, one] for one in ("allow", "needs-approval", "refuse")]
        print(f"{action:12}{row[0]:>10,}{row[1]:>16,}{row[2]:>10,}")
    print("\nrule of the guard (several may speak)")
    for rule, count in rules.most_common():
        print(f"  {rule:18}{count:>10,}")
    print(f"\nthe oracle minds {against.total():,} of {given.cases:,} cases")
    for why, count in against.most_common():
        print(f"  {why:32}{count:>10,}")
    print(f"\nforbidden intents that got through: {len(through)}")
    for why, case in through[:10]:
        print(f"  {why}: {case.intent.action} {case.intent.subject} -> {case.intent.target}")
    total = given.cases - against.total()
    unread = sum(count for rule, count in strict.items() if "unreadable" in rule)
    print(f"\nof {total:,} others the guard stops {strict.total():,} ({unread:,} for want of a sure reading)")
    for rule, count in strict.most_common(8):
        print(f"  {rule:32}{count:>10,}")
    print(
        f"\nCPU of a decision: mean {cost / given.cases * 1e6:.1f} us, blocks of {BLOCK:,}: "
        f"median {statistics.median(blocks):.1f}, highest {max(blocks):.1f} us; "
        f"oracle {judging / given.cases * 1e6:.1f} us"
    )
    crowded(parties, terrain)
    missed = [] if given.no_mutants else break_it(policy, terrain, bad)
    print(f"load {os.getloadavg()[0]:.2f}")
    return 1 if through or missed else 0


def crowded(parties: Parties, terrain: object) -> None:
    """A decision while very much is in force already."""
    cases = Cases(5, parties)
    for count in (0, 100, 2_000):
        held = tuple(Held(next(cases).intent, "verified", site.NOW, True) for _ in range(count))
        asked = [next(cases).intent for _ in range(200)]
        began = time.process_time()
        for intent in asked:
            guard(intent, terrain, held, site.NOW)  # type: ignore[arg-type]
        print(
            f"  with {count:>5,} intents in force: {(time.process_time() - began) / len(asked) * 1e6:>8.1f} us"
        )


def break_it(policy: object, terrain: object, bad: list[tuple[Case, str]]) -> list[str]:
    print(f"\nbroken in one place, over {len(bad):,} cases that must not pass by themselves:")
    missed = []
    for mutant in mutants(policy, terrain):  # type: ignore[arg-type]
        found, first = 0, 0
        with broken(mutant) as ground:
            for number, (case, never) in enumerate(bad, 1):
                ruling = guard(case.intent, ground, case.held, case.now)
                if ruling.decision == ALLOWED or (never and ruling.decision != FORBIDDEN):
                    found += 1
                    first = first or number
                if number >= 10_000 and found:
                    break
        said = f"{found:>7,} got through, the first after {first:>6,}" if found else " NOT NOTICED"
        print(f"  {mutant.name:58}{said}")
        if not found:
            missed.append(mutant.name)
    print(f"broken guards that were not noticed: {len(missed)}")
    return missed


if __name__ == "__main__":
    sys.exit(main())
