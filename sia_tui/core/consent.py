"""Whether the log still says what people said yes to: verdicts chained by hash, and gates against what they were about.

A verdict's `before` is a digest of every row of the log since the verdict before it, that one included, so that each hash
holds the whole log up to it. What comes after, the newest verdict and a standing yes among it, is held by the log's `End`, which
is written anew with every event. That makes a change seen, not impossible: whoever can write the log can write all of it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sia_tui.core.codec import build
from sia_tui.core.gates import gate_hash
from sia_tui.core.hashing import digest
from sia_tui.core.proposals import Proposal


@dataclass(frozen=True)
class Row:
    """One of the log, as it is written."""

    seq: int
    at: str
    kind: str
    data: str
    """JSON."""


def chained(rows: Iterable[Row]) -> str:
    """sha256 (hex) of rows as they are written."""
    found = hashlib.sha256()
    for row in rows:
        found.update(json.dumps([row.seq, row.at, row.kind, row.data], ensure_ascii=False).encode() + b"\n")
    return found.hexdigest()


@dataclass(frozen=True)
class End:
    """The last row, and `linked` over all of them."""

    seq: int
    digest: str


NO_END = End(0, "")


def linked(end: End, row: Row) -> End:
    return End(row.seq, hashlib.sha256(f"{end.digest}\n{chained([row])}".encode()).hexdigest())


@dataclass(frozen=True)
class Written:
    """A log at one moment."""

    rows: Sequence[Row]
    end: End | None = None
    """None: written by a version that kept none."""


@dataclass(frozen=True)
class Given:
    """A verdict, as the log has it."""

    seq: int
    gate: str
    kind: str
    by: str
    uid: int | None
    at: str
    hash: str
    seen: str
    chained: bool
    """False: written by a version that did not chain them."""


@dataclass(frozen=True)
class Audit:
    given: tuple[Given, ...]
    faults: tuple[str, ...]
    """One line each; none where all holds."""


def audit(log: Written) -> Audit:
    """Looks at the whole log of a run, from its first row."""
    book, end = _Book(), NO_END
    for row in log.rows:
        book.read(row)
        end = linked(end, row)
    if not book.faults and log.end is not None and log.end != end:
        book.faults.append(
            f"event {log.end.seq}: what was written since the newest verdict, or itself, is not what it was"
        )
    return Audit(tuple(book.given), tuple(book.faults))


@dataclass
class _Book:
    given: list[Given] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _next: int = 1
    _since: list[Row] = field(default_factory=list)
    _config: str = ""
    _proposals: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _gates: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _answers: set[str] = field(default_factory=set)
    """Gates that have one."""
    _agreed: set[str] = field(default_factory=set)
    """Proposals that were said yes to before anything was made of them; a yes to a result is none."""

    def read(self, row: Row) -> None:
        try:
            self._read(row)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._fault(row, "cannot be read")
            self._since.append(row)

    def _read(self, row: Row) -> None:
        if row.seq != self._next:
            self._fault(row, f"event {self._next} is missing before it")
        self._next = row.seq + 1
        data = json.loads(row.data)
        match row.kind:
            case "RunCreated":
                self._config = data["config_hash"]
            case "ProposalMade":
                self._proposals[data["id"]] = data["proposal"]
            case "GateOpened":
                self._opened(row, data["gate"])
            case "GenerationCreated" if data.get("proposal"):
                self._made(row, data["index"], data["proposal"])
            case "VerdictGiven":
                self._verdict(row, data)
        self._since.append(row)

    def _made(self, row: Row, index: int, proposal: str) -> None:
        if proposal not in self._agreed:
            self._fault(row, f"g{index} was made of {proposal}, which nobody said yes to before")

    def _opened(self, row: Row, gate: Mapping[str, Any]) -> None:
        self._gates[gate["id"]] = gate
        parts, proposal = gate["parts"], self._proposals.get(gate["proposal"])
        if gate_hash(parts) != gate["hash"]:
            self._fault(row, f"{gate['id']}: its hash is not that of its parts")
        if proposal is None or parts.get("proposal") not in _digests(proposal):
            self._fault(row, f"{gate['id']}: {gate['proposal']} is not what was asked about")
        if parts.get("config") != digest(self._config):
            self._fault(row, f"{gate['id']}: the run's config is not what was asked about")

    def _verdict(self, row: Row, data: Mapping[str, Any]) -> None:
        verdict, before = data["verdict"], data.get("before", "")
        id, gate = verdict["gate"], self._gates.get(verdict["gate"])
        if gate is None:
            self._fault(row, f"a verdict on {id}, which was never asked")
        elif before and data.get("hash") != gate["hash"]:
            self._fault(row, f"{id}: the verdict names another hash than the gate")
        if id in self._answers:
            self._fault(row, f"{id} is answered twice")
        if before and before != chained(self._since):
            self._fault(row, f"{id}: the log before this verdict is not what it was")
        if not before and any(one.chained for one in self.given):
            self._fault(row, f"{id}: the verdict is not chained, and one before it is")
        if gate is not None:
            self._answers.add(id)
            if (gate["kind"], verdict["kind"]) == ("step", "approve"):
                self._agreed.add(gate["proposal"])
        self._since = []
        given = (
            str(verdict["kind"]),
            str(verdict["by"]),
            data.get("uid"),
            str(verdict["at"]),
            str(data.get("hash", "")),
            str(data.get("seen", "")),
        )
        self.given.append(Given(row.seq, str(id), *given, bool(before)))

    def _fault(self, row: Row, said: str) -> None:
        self.faults.append(f"event {row.seq}: {said}")


def _digests(proposal: Mapping[str, Any]) -> set[str]:
    """As it was written, and as this version reads it, which may know more fields."""
    try:
        return {digest(proposal), digest(asdict(build(Proposal, proposal)))}
    except (TypeError, ValueError):
        return {digest(proposal)}
