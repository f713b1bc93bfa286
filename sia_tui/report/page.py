"""The whole report of a run, section by section."""

from __future__ import annotations

from sia_tui.core.clock import utc
from sia_tui.core.spending import phases
from sia_tui.core.text import one_line
from sia_tui.report.blocks import Block, Code, Page, Section, Table, Words
from sia_tui.report.facts import Facts
from sia_tui.report.figures import generations
from sia_tui.report.grounds import again, integrity, levers
from sia_tui.report.steps import tried
from sia_tui.report.words import minutes, scored, share


def page(facts: Facts) -> Page:
    rest = (levers, again, integrity, _cost, _reproduce)
    sections = (_run(facts), _scores(facts), *tried(facts), *(part(facts) for part in rest))
    return Page(f"Run {facts.state.run}", sections)


def _run(facts: Facts) -> Section:
    state = facts.state
    why = f": {one_line(state.stop_reason, 600)}" if state.stop_reason else ""
    rows = [
        ("status", f"{facts.status}{why}"),
        ("task", state.task),
        ("began", utc(state.created_at)),
        ("last recorded", utc(state.last_at or "")),
        ("this report", utc(facts.made_at)),
    ]
    if state.parent:
        rows.append(("branched from", state.parent))
    if state.policy_ready:
        rows.append(("policy", state.policy_ready.model))
    if state.engine:
        rows.append(("harness code confined by", state.engine.isolation))
    if state.task_ready:
        counts = ", ".join(f"{split} {count}" for split, count in state.task_ready.counts.items())
        rows.append(("cases", counts))
    sealed = (
        "Hidden and test are shown." if facts.over else "The run is not over: no figure of hidden or test is shown."
    )
    return Section("The run", (Table(("", ""), rows), Words(sealed)))


def _scores(facts: Facts) -> Section:
    state = facts.state
    figure = generations(state, facts.drawn)
    if figure is None:
        return Section("Scores", (Words("No generation is measured yet."),))
    told: list[Block] = [figure]
    head = ("", "lever", "dev", *(("hidden",) if facts.over else ()), "came to", "harness commit", "adapter")
    rows = []
    for made in state.generations:
        hidden = (scored(made.results.get("hidden")),) if facts.over else ()
        fate = {
            None: "not decided",
            True: f"kept: {made.why}" if made.why else "kept",
            False: f"rolled back: {made.why}",
        }
        serves = " (serves)" if made.index == state.incumbent else ""
        rows.append(
            (
                f"g{made.index}{serves}",
                made.lever or "seed",
                scored(made.results.get("dev")),
                *hidden,
                one_line(fate[made.kept], 200),
                made.commit[:12],
                (made.adapter or "none")[:12],
            )
        )
    told.append(Table(head, rows))
    told += _nulls(facts)
    return Section("Scores", tuple(told))


def _nulls(facts: Facts) -> list[Block]:
    state, told = facts.state, list[Block]()
    test = (state.baselines_test or {}) if facts.over else {}
    rows = [
        (name, share(mean), share(test[name]) if name in test else "–")
        for name, mean in (state.baselines_dev or {}).items()
    ]
    if rows:
        told.append(Table(("baseline without a policy", "dev", "test"), rows))
    opened = state.test_opened if facts.over else None
    if opened is not None and (found := state.generations[opened.generation].results.get("test")):
        before = f"; opened before by {opened.opened_before} other runs" if opened.opened_before else ""
        told.append(Words(f"Test, opened once at the end for g{opened.generation}: {scored(found)}{before}."))
    return told


def _cost(facts: Facts) -> Section:
    state, cost = facts.state, facts.state.cost
    gpus = f", {cost.gpu_s / 3600:.1f} GPU-hours" if cost.gpu_s else ""
    said = f"{minutes(cost.wall_s)} of engine time{gpus}, {cost.episodes} episodes, {cost.tokens} tokens of the policy"
    if cost.calls:
        said += f"; agents' models: {cost.calls} replies, {cost.agent_tokens} tokens, {cost.money:.4f} $ where prices are known"
    took = phases(facts.log)
    left = cost.wall_s - sum(took.values())
    if left > 1 and not state.over:
        took["under way"] = left
    return Section(
        "Cost",
        (
            Words(f"{said}."),
            Table(("phase", "engine time"), [(name, minutes(seconds)) for name, seconds in took.items()]),
            Table(
                ("episodes made for", "episodes", "tokens"),
                [(_purpose(one.split, one.purpose), str(one.episodes), str(one.tokens)) for one in facts.spent],
            ),
        ),
    )


def _purpose(split: str, purpose: str | None) -> str:
    if purpose is None:
        return f"measuring on {split}, previews included" if split == "train" else f"measuring on {split}"
    return {"pilot": "pilots", "train": "training", "held_out": "held-out looks of a training"}.get(purpose, purpose)


def _reproduce(facts: Facts) -> Section:
    state = facts.state
    kept = [f"g{made.index}" for made in state.generations if made.kept]
    lines = [
        "# the whole run anew, from the config below",
        f"sia-tui run config.yaml --name {state.run}-again",
        "# in its workspace: a kept generation measured anew and compared with what was recorded",
        *(f"sia-tui reproduce {state.run} {name}" for name in kept),
        "# what a generation is made of",
        *(f"git -C WORKSPACE/harness show {state.run}/{name}:generation.json" for name in kept),
    ]
    if state.parent:
        lines.insert(0, f"# it was branched from {state.parent}: sia-tui branch {state.parent.replace('/', ' ')}")
    versions = [(name, version) for name, version in facts.versions.items()]
    return Section(
        "How to reproduce it",
        (
            Words(f"Seed {facts.seed}; config {state.config_hash}."),
            Code("commands", "\n".join(lines), folded=False),
            Code("config.yaml", facts.config),
            Words("Versions where this report was made:"),
            Table(("", ""), versions),
        ),
    )
