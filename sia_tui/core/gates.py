"""The question to a person, bound by a hash to everything it was asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sia_tui.core.forecast import TrackRecord
from sia_tui.core.hashing import digest
from sia_tui.core.plans import Pilot
from sia_tui.core.proposals import Light, Preview, Proposal
from sia_tui.core.pulls import Advice

GateKind = Literal["step", "keep"]
VerdictKind = Literal["approve", "reject"]
"""`step`: may this run on dev? approve runs it. `keep`: an indecisive result; approve keeps it, reject rolls back."""


@dataclass(frozen=True)
class Gate:
    id: str
    kind: GateKind
    proposal: str
    hash: str
    parts: Mapping[str, str]
    """Digest of each thing the hash binds, by name."""


@dataclass(frozen=True)
class Verdict:
    gate: str
    kind: VerdictKind
    by: str
    """`auto` for the configured policy, else the person's login name."""
    note: str
    at: str
    other_lever: bool = False
    """A no that also closes its lever on this generation."""


class StaleHash(ValueError):
    """The verdict names a hash that is not the open gate's."""


def gate_parts(
    kind: GateKind,
    proposal: Proposal,
    incumbent_key: str,
    lights: tuple[Light, ...],
    preview: Preview | None,
    pilot: Pilot | None,
    record: TrackRecord | None,
    advice: Advice | None,
    result: Sequence[Mapping[str, Any]] | None,
    keep_rule: Mapping[str, str],
    config_hash: str,
    evidence: Sequence[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """The digest of each thing the hash binds, by name, so that a stale verdict can be told what changed."""
    parts: dict[str, Any] = {
        "kind": kind,
        "proposal": asdict(proposal),
        "incumbent": incumbent_key,
        "lights": [asdict(light) for light in lights],
        "preview": asdict(preview) if preview else None,
        "pilot": asdict(pilot) if pilot else None,
        "record": asdict(record) if record else None,
        "advice": asdict(advice) if advice else None,
        "result": result,
        "keep rule": dict(keep_rule),
        "config": config_hash,
    }
    parts |= {"evidence": list(evidence)} if evidence else {}
    return {name: digest(part) for name, part in parts.items()}


def gate_hash(parts: Mapping[str, str]) -> str:
    return digest(dict(parts))


def changes(old: Gate, new: Gate) -> list[str]:
    """What is bound otherwise by `new`, by name."""
    names = dict.fromkeys((*new.parts, *old.parts))
    return [name for name in names if old.parts.get(name) != new.parts.get(name)]


def require_hash(gate: Gate, given: str, earlier: Iterable[Gate] = ()) -> None:
    """Accept `given` if it is the gate's hash or a prefix of it (8 characters at least).

    Raises StaleHash, naming what changed where `given` belongs to one of the `earlier` gates.
    """
    if len(given) >= 8 and gate.hash.startswith(given):
        return
    if len(given) < 8:
        raise StaleHash(f"hash {given[:12]!r} is too short: give 8 characters or more of it")
    known = next((old for old in earlier if old.hash.startswith(given)), None)
    if known is None:
        raise StaleHash(f"hash {given[:12]} is not that of gate {gate.id}; look at it again with: sia-tui pending")
    changed = ", ".join(changes(known, gate)) or "nothing"
    raise StaleHash(f"hash {given[:12]} is of gate {known.id}; since then changed: {changed}")
