"""The chain of signatures: what it says before it sees, its memory's bound, and its bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.triage.prediction.markov import ORDER, SEEN, Chain


def plain(hosts: list[int], symbols: list[int], depth: int) -> list[int]:
    """The same, written with dictionaries."""
    last: dict[int, tuple[int, ...]] = {}
    counts: dict[tuple[int, ...], dict[int, int]] = {}
    best: dict[tuple[int, ...], int] = {}
    said = []
    for host, symbol in zip(hosts, symbols, strict=True):
        past = last.get(host, ())
        if past and past[0] == symbol:
            said.append(-2)
            continue
        contexts = [past[:k] for k in range(1, min(len(past), depth) + 1)]
        answer = next((best[c] for c in reversed(contexts) if sum(counts.get(c, {}).values()) >= SEEN), -1)
        said.append(answer)
        for c in contexts:
            held = counts.setdefault(c, {})
            held[symbol] = held.get(symbol, 0) + 1
            if held[symbol] > held.get(best.get(c, -1), 0):
                best[c] = symbol
        last[host] = (symbol, *past)[:ORDER]
    return said


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=120), st.sampled_from([1, 3, 5]))
def test_it_says_what_dictionaries_say(steps: list[tuple[int, int]], depth: int) -> None:
    hosts, symbols = [h for h, _ in steps], [s for _, s in steps]
    said, _, order = Chain.new(4096, depth).steps(np.array(hosts, np.int64), np.array(symbols, np.int64))
    assert [-2 if o < 0 else s for s, o in zip(said.tolist(), order.tolist(), strict=True)] == plain(
        hosts, symbols, depth
    )


def test_long_memory_tells_apart_what_a_short_one_cannot() -> None:
    rng = np.random.default_rng(3)
    symbols = np.concatenate(
        [([0, 1, 2, 9, 3] if rng.random() < 0.5 else [4, 1, 2, 9, 5]) for _ in range(800)]
    )
    hosts = np.zeros(len(symbols), np.int64)
    at = symbols >= 3
    at &= (symbols == 3) | (symbols == 5)
    long, _, _ = Chain.new(4096).steps(hosts, symbols)
    short, _, _ = Chain.new(4096, 1).steps(hosts, symbols)
    assert (long == symbols)[at][20:].mean() == 1.0
    assert (short == symbols)[at].mean() < 0.7


def test_how_the_steps_are_cut_changes_nothing_and_bytes_keep_everything() -> None:
    rng = np.random.default_rng(4)
    hosts, symbols = rng.integers(0, 20, 5000), rng.integers(0, 8, 5000) ** 2 % 11
    whole = Chain.new(1 << 14)
    said, chance, _ = whole.steps(hosts, symbols)
    parts = Chain.new(1 << 14)
    pieces = [parts.steps(hosts[n : n + 700], symbols[n : n + 700]) for n in range(0, 2800, 700)]
    parts = Chain.from_bytes(parts.to_bytes())
    pieces.append(parts.steps(hosts[2800:], symbols[2800:]))
    assert np.array_equal(np.concatenate([p[0] for p in pieces]), said)
    assert np.allclose(np.concatenate([p[1] for p in pieces]), chance)
    assert parts.to_bytes() == whole.to_bytes() == Chain.from_bytes(whole.to_bytes()).to_bytes()
    everyone = np.arange(20)
    asked, _ = whole.next(everyone)
    before = whole.to_bytes()
    assert np.array_equal(asked, whole.next(everyone)[0]) and whole.to_bytes() == before


def test_memory_is_bounded_however_wild_the_steps() -> None:
    rng = np.random.default_rng(5)
    chain = Chain.new(1024)
    for _ in range(20):
        chain.steps(rng.integers(0, 50, 2000), rng.integers(0, 10**6, 2000))
    assert chain.faded > 5 and (chain.contexts != 0).sum() <= 768 and (chain.pairs != 0).sum() <= 1536
    # and it still learns
    cycle = np.arange(3000) % 3 + 5
    said, _, _ = chain.steps(np.full(3000, 7), cycle)
    assert (said == cycle)[-500:].mean() == 1.0


def test_what_is_no_number_is_refused() -> None:
    for size, depth in ((1000, 5), (1 << 25, 5), (1024, 0), (1024, 6)):
        with pytest.raises(ValueError, match=r"places|signatures"):
            Chain.new(size, depth)
    with pytest.raises(ValueError, match="from 0"):
        Chain.new(1024).steps(np.array([-1]), np.array([0]))
