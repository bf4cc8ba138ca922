"""Contacts as they come, a few hundred thousand at a time, before they are sorted into a run.

A batch's texts are dictionary-encoded; each word is hashed once a batch, and rows refer to words by number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.edges import kernels as k
from andon.detect.livenet.edges.names import Names
from andon.detect.livenet.edges.store import (
    ADDRESS_OF,
    PORT_OF,
    SERVER_OF,
    USER_OF,
    WHITE,
    Run,
    at_level,
    events_an_hour,
    facets_of,
    few_facets,
    row_keys,
)
from andon.records.columns import column
from andon.records.contact import DNS, TLS
from andon.sketch.texts import text_keys

LONGEST_NAME = 253  # bytes of a DNS name; a longer "host" is none
_LONGEST_TEXT, _CUT = (
    255,
    60,
)  # bytes of a name of a user, device or server; characters that stay of a longer one
MOST_BYTES = 1 << 40  # that one contact may claim
_DAY, _MS = 86_400_000_000_000, 1_000_000
NO_FIELD, NO_AGENT = 0, 1  # numbers of agents: the log has no such field; it was empty


@dataclass
class Words:
    """The words of a column that a batch uses, and the word of each row."""

    keys: np.ndarray
    texts: pa.Array
    codes: np.ndarray

    def kept(self, rows: np.ndarray) -> Words:
        """With the rows of a mask, and the words these use."""
        return _used(self.keys, self.texts, self.codes[rows])


@dataclass
class Piece:
    """One batch: what its contacts say, and pairs that are facets, numbers as in ``Words``."""

    terminal: Words
    host: Words
    address: Words
    user: Words
    server: Words
    agent: np.ndarray  # uint16
    ts: np.ndarray
    inward: np.ndarray
    outward: np.ndarray
    said: np.ndarray
    port: np.ndarray

    def __len__(self) -> int:
        return len(self.ts)


def _used(keys: np.ndarray, texts: pa.Array, codes: np.ndarray) -> Words:
    used = np.zeros(len(keys), np.bool_)
    used[codes] = True
    if used.all():
        return Words(keys, texts, codes)
    return Words(keys[used], texts.filter(pa.array(used)), (np.cumsum(used) - 1)[codes])


def words_of(array: pa.Array, salt: int, cut: bool = True) -> Words:
    """The words of a dictionary column; ``cut``: names that are too long are shortened."""
    words = array.dictionary.fill_null("")
    long = pc.greater(pc.binary_length(words), _LONGEST_TEXT)
    if cut and pc.any(long).as_py():
        words = pc.if_else(long, pc.utf8_slice_codeunits(words, 0, _CUT), words)
    codes = array.indices.to_numpy(zero_copy_only=False)
    return _used(text_keys(words, salt), words, codes)


def piece(batch: pa.RecordBatch, salt: int) -> tuple[Piece, int, int]:
    """(contacts that can be edges, contacts of no terminal, contacts of no destination)."""
    terminal = words_of(batch.column("terminal"), salt)
    host = words_of(batch.column("host"), salt, cut=False)
    unnamed = np.asarray(pc.is_in(terminal.texts, pa.array(["", "-"])))[terminal.codes]
    sizes = np.asarray(pc.binary_length(host.texts))
    nowhere = ((sizes == 0) | (sizes > LONGEST_NAME))[host.codes] & ~unnamed
    rows = ~(unnamed | nowhere)
    if not rows.all():
        batch = batch.filter(pa.array(rows))
        terminal, host = terminal.kept(rows), host.kept(rows)
    address = words_of(batch.column("address"), salt)
    user = words_of(batch.column("user"), salt)
    server = words_of(batch.column("server"), salt)
    made = Piece(
        terminal, host, address, user, server, _agents(batch.column("agent"), salt), column(batch, "ts"),
        np.minimum(column(batch, "bytes_in"), MOST_BYTES), np.minimum(column(batch, "bytes_out"), MOST_BYTES),
        _said(batch), column(batch, "port"),
    )  # fmt: skip
    return made, int(unnamed.sum()), int(nowhere.sum())


def _agents(array: pa.Array, salt: int) -> np.ndarray:
    """uint16 number of each agent: two for none, the others by hash, so that turning agents cannot fill memory."""
    words = array.dictionary.fill_null("")
    numbers = (text_keys(words, salt) % np.uint64(65534) + np.uint64(2)).astype(np.uint16)
    numbers[np.asarray(pc.equal(words, ""), bool)] = NO_AGENT
    codes = array.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
    out: np.ndarray = np.append(numbers, np.uint16(NO_FIELD))[codes]
    return out


def _said(batch: pa.RecordBatch) -> np.ndarray:
    """uint8 bits of each contact (``kernels``)."""
    status, via = column(batch, "status"), batch.column("via")
    codes = via.indices.to_numpy(zero_copy_only=False)
    is_dns = np.asarray(pc.equal(via.dictionary, DNS), bool)[codes]
    is_tls = np.asarray(pc.equal(via.dictionary, TLS), bool)[codes]
    failed = np.where(is_dns, status > 0, (status >= 400) | (status == 0))
    referer = batch.column("referer")
    has = np.asarray(pc.is_valid(referer))
    empty = np.asarray(pc.fill_null(pc.equal(pc.binary_length(referer), 0), False))
    untitled = is_tls & _is_server(batch) if is_tls.any() else is_tls
    said = np.asarray(batch.column("refused")).astype(np.uint8) * np.uint8(k.IS_REFUSED)
    for bit, where in (
        (k.IS_FAILED, failed),
        (k.HAS_NO_REFERER, has & empty),
        (k.HAS_REFERER, has),
        (k.IS_UNTITLED, untitled),
    ):
        said |= where.astype(np.uint8) * np.uint8(bit)
    return said


def _is_server(batch: pa.RecordBatch) -> np.ndarray:
    """Whether the destination is the address that answered, so that no name was given."""
    host, server = batch.column("host"), batch.column("server")
    same = pc.equal(host.cast(pa.string()), server.cast(pa.string()))
    return np.asarray(pc.fill_null(same, False))


def run_of(pieces: list[Piece], flags_of: Callable[[pa.Array], np.ndarray], level: int) -> Run:
    """The pieces, sorted and folded. ``flags_of`` gives the colours of host names (``store``)."""
    hosts = Names.of(*_all([piece.host for piece in pieces]))
    terminals = Names.of(*_all([piece.terminal for piece in pieces]))
    texts = Names.of(
        *_all([words for piece in pieces for words in (piece.address, piece.user, piece.server)])
    )
    flags = flags_of(hosts.texts)
    keys, facets = [], []
    for piece in pieces:
        host = hosts.find(piece.host.keys)[piece.host.codes]
        terminal = terminals.find(piece.terminal.keys)[piece.terminal.codes]
        keys.append(row_keys(terminal, host, piece.agent))
        for kind, owner, words in (
            (ADDRESS_OF, terminal, piece.address),
            (USER_OF, terminal, piece.user),
            (SERVER_OF, host, piece.server),
        ):
            said = np.asarray(pc.not_equal(words.texts, ""), bool)[words.codes]
            value = texts.find(words.keys)[words.codes]
            facets.append(k.distinct(facets_of(kind, owner[said], value[said])))
        known = piece.port >= 0
        facets.append(k.distinct(facets_of(PORT_OF, host[known], piece.port[known])))
    few, texts = few_facets(np.concatenate(facets), texts)
    row, ts = np.concatenate(keys), np.concatenate([piece.ts for piece in pieces])
    inward = np.concatenate([piece.inward for piece in pieces])
    said = np.concatenate([piece.said for piece in pieces])
    said[flags[(row >> np.uint64(16) & np.uint64(0xFFFFFF)).astype(np.int64)] == WHITE] |= np.uint8(
        k.UNLISTED
    )
    events = (ts % _DAY // _MS).astype(np.uint64) << np.uint64(32) | np.clip(inward, 0, 2**32 - 1).astype(
        np.uint64
    )
    order = np.argsort(events, kind="stable")
    order = order[np.argsort(row[order], kind="stable")]
    out_keys, listed = np.empty(len(row), np.uint64), np.empty(len(row), np.uint64)
    wide, narrow = np.empty((len(row), 4), np.int64), np.empty((len(row), 8), np.uint32)
    rows, kept = k.fold_contacts(
        order, row, ts, inward, np.concatenate([piece.outward for piece in pieces]), said, events,
        events_an_hour(0), out_keys, wide, narrow, listed,
    )  # fmt: skip
    whole = Run(
        hosts, flags, terminals, texts, few, out_keys[:rows].copy(), wide[:rows].copy(), narrow[:rows].copy(),
        listed[:kept].copy(),
    )  # fmt: skip
    return at_level(whole, level)


def _all(words: list[Words]) -> tuple[np.ndarray, pa.Array]:
    return np.concatenate([each.keys for each in words]), pa.concat_arrays([each.texts for each in words])
