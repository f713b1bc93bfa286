"""What a gate asks, in the order a person decides: the question, what it may bring, what it costs, what can be lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sia_tui.core.gates import Gate
from sia_tui.core.memo import signs
from sia_tui.core.plans import estimate
from sia_tui.core.refusals import Refusal, repeated
from sia_tui.core.standing import says
from sia_tui.core.state import State, Step
from sia_tui.core.stats import resolvable_gain
from sia_tui.core.telling import points
from sia_tui.core.text import one_line
from sia_tui.store.browse import Browser
from sia_tui.store.reader import EpisodeRow
from sia_tui.tui.budget import left
from sia_tui.tui.diffing import LONGEST
from sia_tui.tui.pieces import BAD, DIM, GOOD, STRONG, WARN, Line, Piece, interval, line, minutes, sentence
from sia_tui.tui.plan_words import Changes, changes_told

if TYPE_CHECKING:
    from sia_tui.config import RunConfig

_NAMED = {
    "harness": "run this patch on dev?",
    "weights": "train by this plan?",
    "both": "train by this plan, with this patch?",
}
_BADGES = {"harness": "HARNESS", "weights": "WEIGHTS", "both": "BOTH", "stop": "STOP"}
_TONES = {"better": GOOD, "worse": BAD, "indecisive": WARN}


@dataclass(frozen=True)
class Found:
    """What had to be read from disk to put the question well."""

    measure_s: float | None = None
    """How long the incumbent took over dev."""
    by_case: Mapping[str, EpisodeRow] = field(default_factory=dict)
    """The newest episode on each case that changed sides."""
    evidence: tuple[EpisodeRow, ...] = ()
    """The episodes the agent, or the pilot, points to."""


@dataclass(frozen=True)
class Question:
    """An open gate and all it is about."""

    state: State
    gate: Gate
    step: Step
    config: RunConfig | None = None
    found: Found = Found()

    @property
    def dev_n(self) -> int | None:
        dev = self.state.best.results.get("dev") if self.state.best else None
        return dev.n if dev else None

    @property
    def patch(self) -> str | None:
        return self.step.proposal.patch

    @property
    def proposed(self) -> Step | None:
        """The agent's step, where people made this one of it."""
        found, was = None, self.state.amends(self.step)
        while was is not None:
            found, was = was, self.state.amends(was)
        return found

    @property
    def own_changes(self) -> Changes:
        """Fields of the plan that are not as the agent proposed them."""
        plan, was = self.step.proposal.plan, self.proposed.proposal.plan if self.proposed else None
        return plan.changes(was) if plan is not None and was is not None else {}

    @property
    def measure_s(self) -> float | None:
        """What measuring on dev should take: as the incumbent's did, by the tokens of the preview."""
        seen, base = self.step.preview, self.found.measure_s
        if base is None or seen is None or not seen.tokens_before:
            return base
        return base * max(0.2, seen.tokens_after / seen.tokens_before)


def unanswered(asked: Question, ends: str) -> str:
    """Why a standing yes does not answer this one."""
    said = says(asked.state)
    return (
        f"the contract does not answer this one: {said.why} · {ends} ends it" if said and said.kind == "waits" else ""
    )


def looked_up(asked: Question, browser: Browser) -> Found:
    """Closes the browser. Raises StoreError."""
    step, best = asked.step, asked.state.best
    sides = step.measured or step.preview
    cases = (*sides.broke[:200], *sides.fixed[:200]) if sides else ()
    paid = step.pilot.pilot.episodes if step.pilot else ()
    try:
        return Found(
            browser.seconds(best.key, "dev") if best else None,
            browser.of_cases(cases),
            tuple(browser.by_id((*paid, *step.proposal.evidence))),
        )
    finally:
        browser.close()


def question(state: State, config: RunConfig | None = None, found: Found | None = None) -> Question | None:
    """What waits for a person, if anything does."""
    if state.waiting is None or state.current is None:
        return None
    return Question(state, state.waiting, state.current, config, found or Found())


def title(asked: Question) -> str:
    return f"{asked.gate.id} · {asked.gate.hash[:12]} · {_asks(asked)}"


def _asks(asked: Question) -> str:
    if asked.gate.kind == "keep":
        why = "too good to be taken unseen" if asked.step.held else "indecisive on dev"
        return f"{why}: keep g{asked.step.generation}?"
    if asked.step.proposal.lever == "stop":
        return "end the run here?"
    if asked.step.proposal.first:
        return "start from this harness?"
    return _NAMED[asked.step.proposal.lever]


def decision(asked: Question, brief: bool = False) -> list[Line]:
    """The few lines that a decision can be made by in three seconds; `brief` for a small window."""
    proposal = asked.step.proposal
    what = line((f" {_BADGES[proposal.lever]} ", "bold reverse"), "  ", (proposal.title, STRONG), (_size(asked), DIM))
    reason = line(sentence(proposal.reason, 76 if brief else 240))
    expected, warned = line(*_expected(asked, brief)), _warnings(asked)
    if brief:
        # Where it is cut off at the end, nothing is lost that the evidence does not say again.
        return [
            what,
            line(*_lights(asked)),
            expected,
            *_spent(asked),
            *warned,
            *_amended(asked),
            *_wanted(asked),
            reason,
        ]
    return [
        what,
        reason,
        *_amended(asked),
        *_wanted(asked),
        expected,
        *_spent(asked),
        line(*_lights(asked), *_then(asked)),
        *warned,
    ]


def _amended(asked: Question) -> list[Line]:
    """Who made it of another one, and what they dropped."""
    was = asked.state.amends(asked.step)
    made = was.amended if was else None
    if made is None:
        return []
    gone = f", without {', '.join(sentence(hunk.told, 60) for hunk in made.dropped)}" if made.dropped else ""
    edited = ", with lines of their own" if made.edited else ""
    plan = f": {changes_told(asked.own_changes)}" if asked.own_changes else ""
    said = f"AMENDED by {made.by} from {made.id}{gone}{edited}{plan}; the agent promised nothing of this"
    return [line((said, WARN))]


def _wanted(asked: Question) -> list[Line]:
    """What a person has proposed meanwhile: nobody need think that it is lost behind this one."""
    if not asked.state.wanted:
        return []
    first, *more = asked.state.wanted
    turn = "an engine puts this aside for it" if asked.step.can_wait else "its turn comes after this one"
    said = (
        f"WAITS “{sentence(first.proposal.title, 80)}” by {first.by}{f' and {len(more)} more' if more else ''}: {turn}"
    )
    return [line((said, WARN))]


def _size(asked: Question) -> str:
    if asked.patch is None:
        return ""
    lines = asked.patch.splitlines()
    files = sum(one.startswith("+++ ") for one in lines)
    added = sum(one.startswith("+") for one in lines) - files
    removed = sum(one.startswith("-") and not one.startswith("--- ") for one in lines)
    return f"   {files} file{'s' if files != 1 else ''} +{added} −{removed}"


def _expected(asked: Question, brief: bool) -> list[Piece]:
    measured = asked.step.measured
    if asked.gate.kind == "keep" and measured is not None:
        return [
            ("MEASURED ", DIM),
            (f"{points(measured.gain)} pt {interval(measured.lo, measured.hi)}", _TONES.get(measured.outcome, "")),
            f" over {measured.n} dev cases: {measured.outcome}",
            ("" if brief else f"   fixed {len(measured.fixed)} · broke {len(measured.broke)}", ""),
            *_under_seeds(asked.step),
            (f"   ▲ {sentence(measured.held, 160)}" if measured.held else "", WARN),
        ]
    if asked.step.proposal.lever == "stop":
        return [("EXPECT ", DIM), "no further gain: the agent has nothing left that it would try"]
    return [("EXPECT ", DIM), *_prediction(asked, brief)]


def _under_seeds(step: Step) -> list[Piece]:
    if not step.evidence:
        return []
    found = step.evidence[-1]
    return [(f"   {found.draws} seeds pooled {found.pooled.told}: {found.outcome}", _TONES.get(found.outcome, ""))]


def _prediction(asked: Question, brief: bool) -> list[Piece]:
    """What is to be expected: the promise, discounted by how its author's promises held."""
    promised, record = asked.step.proposal.predicted_gain, asked.step.record
    seen = resolvable_gain(asked.dev_n) if asked.dev_n else None
    gain = promised if promised is None or record is None else record.discounted(promised)
    said: list[Piece] = [("no prediction" if gain is None else f"{points(gain)} pt", STRONG)]
    if promised is not None and record is not None and not brief:
        said.append((f"   promised {points(promised)}, {signs(record)}", DIM))
    if seen is None:
        return said
    said.append((f"   dev (n = {asked.dev_n}) can tell {points(seen)}", DIM))
    if gain is not None and gain < seen:
        said.append(("   ▲ less than dev can tell", WARN))
    return said


def _spent(asked: Question) -> list[Line]:
    """What a yes costs beside what there is to spend."""
    cost, lost = _price(asked)
    rest = left(asked.state, asked.config)
    has: list[Piece] = [("   LEFT ", DIM), rest] if rest else []
    return [line(("COST ", DIM), (cost, STRONG), *has), line(("AT MOST LOST ", DIM), lost)]


def _price(asked: Question) -> tuple[str, str]:
    """What a yes costs, and the most that can be lost by it."""
    state, lever = asked.state, asked.step.proposal.lever
    serving = f"g{state.incumbent}"
    if asked.gate.kind == "keep":
        return "nothing more now", f"nothing: {serving} stays in git, going back is instant"
    if lever == "stop":
        test = state.task_ready.counts.get("test") if state.task_ready else None
        return (
            f"measuring test{f', {test} cases' if test else ''}",
            "the seal: test is opened, once, and no step follows",
        )
    if asked.step.proposal.first:
        return "measuring it on dev, train and hidden", "that time; a no, and the house's own first harness is measured"
    measuring = asked.measure_s
    if measuring is not None and lever == "both":
        measuring *= 3
    told = f"about {minutes(measuring)}" if measuring is not None else "unknown"
    if lever == "harness":
        return f"{told} of measuring on dev", f"that time; undo is instant (git), {serving} stays"
    pilot = asked.step.pilot
    training = f"about {minutes(pilot.expected_s)} of training" if pilot else "unknown"
    training += f", {pilot.gpu_hours:.1f} GPU-hours" if pilot and pilot.gpus else ""
    rolled = f", {_rollouts(asked):,} rollouts" if pilot else ""
    more = f" + {minutes(measuring)} on dev" if measuring is not None else ""
    return f"{training}{more}{rolled}", f"that time; {serving} is not touched"


def _rollouts(asked: Question) -> int:
    plan, pilot = asked.step.proposal.plan, asked.step.pilot
    return estimate(plan, pilot.pilot, 0.0).rollouts if plan and pilot else 0


def _lights(asked: Question) -> list[Piece]:
    lights = asked.step.lights or ()
    amber, red = (sum(light.level == level for light in lights) for level in ("amber", "red"))
    pieces: list[Piece] = [("LIGHTS ", DIM), (f"✓ {len(lights) - amber - red} ok", GOOD)]
    pieces += [(f" · ▲ {amber} amber", f"bold {WARN}")] if amber else [(" · 0 amber", DIM)]
    pieces += [(f" · ✗ {red} red", f"bold {BAD}")] if red else []
    return pieces


def _then(asked: Question) -> list[Piece]:
    """What follows a yes by itself."""
    if asked.gate.kind == "keep":
        return [("   yes keeps it · no rolls it back", DIM)]
    if asked.step.proposal.lever == "stop":
        return [("   no pauses the run", DIM)]
    if asked.step.proposal.first:
        return [("   THEN ", DIM), ("it is generation 0, which every step is measured against", "")]
    rule = asked.config.gate.indecisive if asked.config else None
    doubtful = {"ask": "asks you", "keep": "kept", "roll_back": "rolled back", None: "as the config says"}[rule]
    best = "of patch, weights and both the best: " if asked.step.proposal.lever == "both" else ""
    return [("   THEN ", DIM), (f"{best}better → kept · worse → rolled back · indecisive → {doubtful}", "")]


def _warnings(asked: Question) -> list[Line]:
    """Every light that is not green, in words: nobody has to look for them."""
    odd = [light for light in asked.step.lights or () if light.level != "ok"]
    told = []
    for light in odd:
        glyph, tone = ("▲", WARN) if light.level == "amber" else ("✗", BAD)
        told.append(line((f"{glyph} {light.name}: ", tone), light.detail))
    if again := repeated(asked.state, asked.step):
        told.append(_again(*again))
    if asked.patch and any(len(one) > LONGEST for one in asked.patch.splitlines()):
        told.append(line((f"▲ a line of the patch is longer than {LONGEST:,} characters: its end is not shown", WARN)))
    return told


def _again(was: Refusal, back: int) -> Line:
    """That a person has said no to it once."""
    said = f"{was.by} refused in {was.step}{f': {one_line(was.note, 100)}' if was.note else ''}"
    return line(("▲ turned down before: ", WARN), f"{back} of {len(was.digests)} hunks that {said}")
