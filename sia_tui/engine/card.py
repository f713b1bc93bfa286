"""What an exported folder says of itself, in Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict

from sia_tui.config import PolicyConfig
from sia_tui.core.state import Step
from sia_tui.core.telling import percent
from sia_tui.core.text import one_line
from sia_tui.engine.export import Source
from sia_tui.policy.export import lora_config, vllm_rank

ADAPTER = """---
library_name: peft
license: unknown
tags: [lora]
---
# {name}

A LoRA adapter, rank {rank}, alpha {alpha}, without bias, DoRA or saved modules.

{facts}

```python
from peft import AutoPeftModelForCausalLM
model = AutoPeftModelForCausalLM.from_pretrained("this folder")
```
```
vllm serve {base} --enable-lora --max-lora-rank {largest} --lora-modules {name}="this folder"
```
`adapter_config.json` names the base as the run's config does: by its hub id, or by its path on the machine this was
exported on. The adapter's own sha256 is that of the folder in its run, where no base is named;
`adapter_model.safetensors` is the same file.

{plan}"""

MERGED = """---
library_name: transformers
license: unknown
---
# {name}

{what}

{facts}

{plan}"""

BUNDLE = """# {name}

An agent: a harness, the policy it asks, and the solved cases its search knows. With sia-tui installed:

```
python run.py "the text of a new case"
python run.py < cases.jsonl > answers.jsonl
```
A line of `cases.jsonl` is `{{"text": "…"}}`, with an `id` of your own if you like. The policy draws by the id, so the same id
and text get the same answer, on other machines up to rounding. The harness runs confined, without network, and in a Python
environment of its own, which the first call installs below `.sia` (`--workspace` or SIA_WORKSPACE puts it elsewhere).

{serving}

{facts}

`rows/` holds the labelled train rows of the task: pass them on only where its terms allow.

{plan}"""

SERVING = """The policy answers as in its run: by {backend} on {device}, in {dtype}. For a machine that differs, `--set` overrides
the config: `--set policy.backend=hf --set policy.device=cpu`."""

ELSEWHERE = """

The base model is not in here, by its size: it is looked for as `{base}`, where the run had it; else give its folder with
`--model`."""


def adapter_card(source: Source) -> str:
    assert source.adapter is not None
    config = lora_config(source.adapter)
    return ADAPTER.format(
        name=source.name,
        rank=config["r"],
        alpha=config["lora_alpha"],
        largest=vllm_rank(source.adapter),
        base=source.called,
        facts=_facts(source),
        plan=_plan(source),
    )


def merged_card(source: Source) -> str:
    what = "The base model with a LoRA adapter merged into it." if source.adapter else "The base model as it is."
    return MERGED.format(name=source.name, what=what, facts=_facts(source), plan=_plan(source))


def bundle_card(source: Source, policy: PolicyConfig, has_model: bool) -> str:
    serving = SERVING.format(backend=policy.backend, device=policy.device, dtype=policy.dtype)
    serving += "" if has_model else ELSEWHERE.format(base=source.called)
    return BUNDLE.format(name=source.name, serving=serving, facts=_facts(source), plan=_plan(source))


def _facts(source: Source) -> str:
    state, generation = source.state, source.generation
    assert state.policy_ready is not None
    dev = generation.results.get("dev")
    score = "not measured"
    if dev:
        score = f"{percent(dev.mean)}, ci95 {percent(dev.lo)} to {percent(dev.hi)}, {dev.n} cases"
    fate = {None: "not decided", True: "kept", False: "rolled back"}[generation.kept]
    made = next((step for step in state.steps if generation.index in step.candidates), None)
    rows = [
        ("generation", f"g{generation.index} of run {state.run}, task {state.task}: {fate}"),
        ("step", _code(made.proposal.title) if made else state.beginning),
        ("accuracy on dev, with its harness", score),
        ("harness", f"tree {generation.tree}"),
        ("base model", f"{state.policy_ready.model}, sha256 {state.policy_ready.sha256}"),
        ("adapter", f"sha256 {generation.adapter}" if generation.adapter else "none"),
        *((risk.light.name, _code(risk.light.detail)) for risk in state.risks),
        ("licence", "unknown"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {said} |" for name, said in rows)])


def _plan(source: Source) -> str:
    """How the adapter came to be, which may have been many generations ago."""
    state, adapter = source.state, source.generation.adapter
    if adapter is None:
        return ""
    step = next((step for step in state.steps if step.trained and step.trained.adapter == adapter), None)
    if step is None:
        return f"The adapter was trained before this run was branched from {state.parent}; its plan is told there.\n"
    return _trained(step)


def _trained(step: Step) -> str:
    assert step.trained is not None and step.proposal.plan is not None
    done = step.trained
    return (
        f"Trained by {step.proposal.plan.algorithm} on {done.rollouts} rollouts of its run's own harness; the best of "
        f"{done.steps} steps on held-out train cases was step {done.best_step}. The plan:\n"
        f"```json\n{json.dumps(asdict(step.proposal.plan), indent=1)}\n```\n"
    )


def _code(text: str) -> str:
    """Untrusted text as code, so that none of it is markup."""
    return f"`{one_line(text, 200).replace('`', chr(39)).replace('|', '/')}`"
