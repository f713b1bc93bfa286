"""One line of plain English per event: the engine prints them, `attach` follows them, the history quotes them."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from sia_tui.core import events as ev


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def points(value: float) -> str:
    return f"{100 * value:+.1f}"


def saved(checkpoint: int | None, rollouts: int, generation: int) -> str:
    """What is left of a training that broke off: optimizer steps behind its last checkpoint, rollouts in the store, and
    which generation serves on."""
    last = "no checkpoint yet" if checkpoint is None else f"its checkpoint of step {checkpoint}"
    return f"saved: {last}, {rollouts} rollouts; g{generation} serves on"


def repeated(found: ev.MeasuredAgain) -> str:
    """The incumbent under another sampling seed: the noise of its score."""
    otherwise = "" if found.differing is None else f" ({found.differing} of {found.n} cases answered differently)"
    return f"the incumbent again: {percent(found.mean)}{otherwise}"


def pooled(found: ev.EvidenceFound) -> str:
    """A gain under several sampling seeds, together."""
    moved = f"{found.moved} cases changed with the seed" if found.moved else "no reward changed with the seed"
    sides = f"fixed {found.fixed}, broke {found.broke}"
    return (
        f"seed {found.seed} {found.drawn.told}; {found.draws} seeds pooled by case {found.pooled.told}, {sides}, "
        f"n = {found.n}: {found.outcome}; {moved}"
    )


def matched(found: ev.Matched) -> str:
    return f"g{found.generation}, the best of {found.samples} answers: {percent(found.mean)} on {found.n} train cases"


def traced(found: ev.Traced) -> list[str]:
    """A line for each hunk that cases came through, alone or with others, and for those that came through none alone."""
    lines = []
    for number, hunk in enumerate(found.hunks):
        counts = [sum(number in one.hunks for one in side) for side in (found.fixed, found.broke)]
        if number in found.untold:
            lines.append(f"hunk {number + 1} ({hunk}): cannot be told, the rest does not stand without it")
        else:
            lines.append(f"hunk {number + 1} ({hunk}): {counts[0]} fixed, {counts[1]} broken through it")
    looked = len(found.fixed) + len(found.broke)
    none = sum(not one.hunks for one in (*found.fixed, *found.broke))
    more = f", of {looked + found.left} that changed" if found.left else ""
    return [*lines, f"{none} of {looked} cases looked at came through no single hunk{more}"]


@singledispatch
def tell(event: Any) -> str | None:
    """The line, or None for an event nobody needs to read."""
    return None


@tell.register
def _(event: ev.RunCreated) -> str:
    return f"run {event.run} of task {event.task}" + (f", branched from {event.parent}" if event.parent else "")


@tell.register
def _(event: ev.EngineStarted) -> str:
    return f"engine pid {event.pid} on {event.host}, harness code confined by {event.isolation}"


@tell.register
def _(event: ev.NodeJoined) -> str:
    gpus = f", {event.gpus} GPUs" if event.gpus else ""
    return f"node {event.node} takes part: {event.slots} workers{gpus}, harness code confined by {event.isolation}"


@tell.register
def _(event: ev.NodeRefused) -> str:
    return f"node {event.node} is not used: {event.why}"


@tell.register
def _(event: ev.NodeLost) -> str:
    return f"node {event.node} is lost: {event.why}"


@tell.register
def _(event: ev.EpisodesReissued) -> str:
    why = "were under way there" if event.why == "lost" else "were late there"
    return f"begun anew elsewhere: {event.count} episodes that {why} (node {event.node})"


@tell.register
def _(event: ev.ReplicasServe) -> str:
    where = ", ".join(filter(None, event.where))
    return f"{len(event.where)} servers answer as the policy" + (f": {where}" if where else "")


@tell.register
def _(event: ev.ReplicaOut) -> str:
    asked = f"; {event.requests} requests go to the others" if event.requests else ""
    return f"replica {_placed(event)} is out: {event.why}{asked}; {event.left} left"


@tell.register
def _(event: ev.ReplicaBack) -> str:
    return f"replica {_placed(event)} is back and says what the others say; {event.left} answer"


def _placed(event: ev.ReplicaOut | ev.ReplicaBack) -> str:
    return f"{event.replica} ({event.where})" if event.where else str(event.replica)


@tell.register
def _(event: ev.TaskReady) -> str:
    return "task: " + ", ".join(f"{count} {name}" for name, count in event.counts.items())


@tell.register
def _(event: ev.EvaluatorChecked) -> str:
    odd = [f"{row.level} {row.row}: {row.found}" for row in event.findings if row.level != "ok"]
    well = f"{len(event.findings) - len(odd)} of {len(event.findings)} rows ok"
    return f"evaluator: {'; '.join([well, *odd])}" + (" (asked before)" if event.known else "")


@tell.register
def _(event: ev.RiskAccepted) -> str:
    return f"risk accepted by {event.by}: {event.row} — {event.reason}"


@tell.register
def _(event: ev.BaselinesMeasured) -> str:
    return "null baselines on dev: " + ", ".join(f"{name} {percent(mean)}" for name, mean in event.dev.items())


@tell.register
def _(event: ev.PolicyReady) -> str:
    return f"policy ready: {event.model}, sha256 {event.sha256[:12]}"


@tell.register
def _(event: ev.GenerationCreated) -> str:
    return f"g{event.index}: {event.lever or 'seed'}, commit {event.commit[:10]}"


@tell.register
def _(event: ev.Evaluated) -> str | None:
    if event.split == "hidden":
        return f"g{event.generation}: hidden audit made, {event.n} cases"
    tool = f", {percent(event.tool_share)} answered without the policy" if event.tool_share else ""
    mean = f"{percent(event.mean)} [{100 * event.lo:.1f}, {100 * event.hi:.1f}]"
    return f"g{event.generation}: {event.split} {mean}, n = {event.n}{tool}"


@tell.register
def _(event: ev.ProposalMade) -> str:
    gain = event.proposal.predicted_gain
    expected = "" if gain is None else f" (predicts {points(gain)} points)"
    return f"proposal {event.id}: {event.proposal.lever}: {event.proposal.title}{expected}. {event.proposal.reason}"


@tell.register
def _(event: ev.AgentCalled) -> str:
    cost = "" if event.cost is None else f", {event.cost:.4f} $"
    cached = f" ({event.cached} cached)" if event.cached else ""
    tokens = f"{event.tokens_in} tokens read{cached}, {event.tokens_out} written"
    return f"{event.role} agent: {event.model} at {event.host}, {tokens}, {event.seconds:.1f} s{cost}"


@tell.register
def _(event: ev.AgentFailed) -> str:
    return f"{event.role} agent: {event.reason}; {event.instead}"


@tell.register
def _(event: ev.ProposalChecked) -> str:
    odd = [f"{light.level} {light.name}: {light.detail}" for light in event.lights if light.level != "ok"]
    return f"checks of {event.id}: {'; '.join(odd) if odd else f'{len(event.lights)} ok'}"


@tell.register
def _(event: ev.PreviewDone) -> str:
    seen = event.preview
    return (
        f"preview on {seen.n} train cases: {percent(seen.incumbent)} → {percent(seen.candidate)}, "
        f"{points(seen.gain)} [{points(seen.lo)}, {points(seen.hi)}]"
        + (f", {percent(seen.tool_share)} answered without the policy" if seen.tool_share else "")
    )


@tell.register
def _(event: ev.PilotDone) -> str:
    seen = event.pilot
    return (
        f"pilot of {event.id}: {seen.n} train cases × {seen.samples} samples: {percent(seen.pass_1)} of the rollouts solve "
        f"their case, {percent(seen.pass_n)} of the cases are solved at least once, {percent(seen.useful)} of the groups "
        f"teach; the training should take {event.expected_s / 60:.1f} min"
        + (f", {event.gpu_hours:.1f} GPU-hours" if event.gpus else "")
        + (f"; an optimizer step: {seen.rehearsal.told}" if seen.rehearsal else "")
        + (f"; it recommends {event.advised.algorithm or 'no training'}: {event.advised.rule}" if event.advised else "")
    )


@tell.register
def _(event: ev.ProposalReviewed) -> str:
    return f"critic of {event.id}: {event.review.light.detail}"


@tell.register
def _(event: ev.TrainingBegan) -> str:
    start = f"adapter {event.parent_adapter[:12]}" if event.parent_adapter else "the base"
    turns = ", in turns with the policy: nothing is rolled out ahead (staleness 0)" if event.in_turns else ""
    return f"training of {event.id} begins, from {start}{turns}"


@tell.register
def _(event: ev.TrainerLost) -> str:
    return f"training of {event.id}: {event.why}; another trainer goes on" + _more(event.saved)


@tell.register
def _(event: ev.AdapterTrained) -> str:
    return (
        f"adapter {event.adapter[:12]} of {event.id}: {event.steps} steps, {event.rollouts} rollouts, "
        f"{event.seconds / 60:.1f} min ({event.stopped}); on the cases held out of train "
        f"{percent(event.held_out_before)} → {percent(event.held_out_after)} at step {event.best_step}; "
        f"{event.moved} of {event.modules} modules moved; served as trained within {event.probe_gap:.1e}"
    )


@tell.register
def _(event: ev.TrainingCutShort) -> str:
    return f"{event.id}: {event.by} ends the training early; its best look is measured" + _more(event.saved)


@tell.register
def _(event: ev.MeasuredAgain) -> str:
    of = (
        f"g{event.harness}"
        if event.harness == event.weights
        else f"g{event.harness}'s harness, g{event.weights}'s weights"
    )
    otherwise = "" if event.differing is None else f", {event.differing} of {event.n} cases answered differently"
    bounds = f"[{100 * event.lo:.1f}, {100 * event.hi:.1f}]"
    return f"{of} again on {event.split}, sampling seed {event.seed}: {percent(event.mean)} {bounds}{otherwise}"


@tell.register
def _(event: ev.EvidenceWanted) -> str:
    return f"{event.gate}: {event.by} wants more evidence; it is put again with that"


@tell.register
def _(event: ev.EvidenceFound) -> str:
    return f"g{event.generation} over g{event.incumbent} on dev: {pooled(event)}"


@tell.register
def _(event: ev.EvidenceMissed) -> str:
    return f"{event.id}: no more evidence: {event.why}"


@tell.register
def _(event: ev.Attributed) -> str:
    found = event.table
    named = (("harness alone", found.harness), ("weights alone", found.weights), ("both", found.both))
    cells = [f"{name} {cell.told}" for name, cell in named if cell] + [
        f"{found.interaction.told} beyond their sum" if found.interaction else f"the fourth cell {found.absent}"
    ]
    return f"g{event.between} and g{event.new} told apart on dev: {', '.join(cells)}"


@tell.register
def _(event: ev.Matched) -> str:
    return f"{event.id}: {matched(event)}, for about its tokens"


@tell.register
def _(event: ev.Traced) -> str:
    return f"{event.id}: {'; '.join(traced(event))}"


@tell.register
def _(event: ev.GateOpened) -> str:
    question = "go ahead?" if event.gate.kind == "step" else "keep it?"
    return f"{event.gate.id} ({event.gate.proposal}): {question} hash {event.gate.hash[:12]}"


@tell.register
def _(event: ev.VerdictGiven) -> str:
    note = f": {event.verdict.note}" if event.verdict.note else ""
    note += "; another lever is asked for" if event.verdict.other_lever else ""
    return f"{event.verdict.gate}: {event.verdict.kind} by {event.verdict.by}{note}"


@tell.register
def _(event: ev.ContractMade) -> str:
    return f"contract of {event.by}: approves {event.contract.told}; any red light, alarm or doubtful result ends it"


@tell.register
def _(event: ev.ContractEnded) -> str:
    return f"contract ended by {event.by}: {event.why}"


@tell.register
def _(event: ev.GateDeferred) -> str:
    return f"{event.gate}: put off by {event.by}"


@tell.register
def _(event: ev.ProposalWanted) -> str:
    return f"{event.by} proposes: {event.proposal.title}"


@tell.register
def _(event: ev.ProposalRefused) -> str:
    return f"{event.id} refused by {event.by}: {event.reason}" + _more(event.saved)


@tell.register
def _(event: ev.ProposalAmended) -> str:
    dropped = [f"dropped {hunk.told}" for hunk in event.dropped]
    how = "; ".join([*dropped, *(["edited lines"] if event.edited else [])])
    return f"{event.id} amended by {event.by} into {event.into}" + _more(how)


@tell.register
def _(event: ev.Measured) -> str:
    return (
        f"g{event.generation} against its parent on dev: {points(event.gain)} points "
        f"[{points(event.lo)}, {points(event.hi)}], fixed {len(event.fixed)}, broke {len(event.broke)}: {event.outcome}"
        + (f" on the first {event.n} cases; the other {event.spared} were spared" if event.spared else "")
        + (f"; held for a person: {event.held}" if event.held else "")
    )


@tell.register
def _(event: ev.Alarmed) -> str:
    return f"{event.light.name}: {event.light.level}, {event.detail}"


@tell.register
def _(event: ev.GenerationKept) -> str:
    return f"g{event.index} kept: {event.why}"


@tell.register
def _(event: ev.GenerationRolledBack) -> str:
    return f"g{event.index} rolled back: {event.why}"


@tell.register
def _(event: ev.WentBack) -> str:
    return f"{event.by} went back to g{event.index}"


@tell.register
def _(event: ev.RunPaused) -> str:
    return f"paused by {event.by}" + _more(event.why)


@tell.register
def _(event: ev.RunResumed) -> str:
    return f"resumed by {event.by}"


@tell.register
def _(event: ev.StopAsked) -> str:
    return f"no further steps ({event.by}): {event.reason}"


@tell.register
def _(event: ev.TestOpened) -> str:
    again = f"; opened before by other runs of this workspace: {event.opened_before}" if event.opened_before else ""
    return f"test opened, once, for g{event.generation}{again}"


@tell.register
def _(event: ev.BaselinesTested) -> str:
    return "null baselines on test: " + ", ".join(f"{name} {percent(mean)}" for name, mean in event.test.items())


@tell.register
def _(event: ev.RunEnded) -> str:
    return f"run {event.status}: {event.reason}"


def _more(text: str) -> str:
    return f"; {text}" if text else ""
