"""LoRA adapters: made, written as plain PEFT folders, measured against the parent, probed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from sia_tui.weights.progress import Prompt
from sia_tui.weights.protocol import Job, Probe
from sia_tui.weights.whole import half_of

NAME = "default"
"""PEFT's name for the one adapter that is trained."""
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
PROBE_TOKENS = 16

Factors = dict[str, tuple[torch.Tensor, torch.Tensor, float]]
"""By module: A, B and the scaling of their product, detached copies."""


def make(job: Job) -> Any:
    """The base model with the parent's adapter, or a new one that changes nothing yet.

    A parent keeps its own rank and alpha. Raises ValueError for a parent that is not plain LoRA.
    """
    load: Any = AutoModelForCausalLM.from_pretrained
    spread = {"device_map": "auto"} if len(job.plan.train_on) > 1 and job.workers == 1 else {}
    base = load(job.model, local_files_only=True, dtype=getattr(torch, job.dtype), **spread)
    if not spread:
        base.to(job.device)
    if job.parent is not None:
        model: Any = PeftModel.from_pretrained(base, str(job.parent), is_trainable=True)
        config = model.peft_config[NAME]
        if config.use_dora or config.bias != "none" or config.modules_to_save:
            raise ValueError("the parent is not plain LoRA: no DoRA, no bias, no modules_to_save")
        return model
    torch.manual_seed(job.plan.seed)
    config = LoraConfig(
        r=job.plan.rank,
        lora_alpha=job.plan.alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules="all-linear" if job.plan.targets == "all-linear" else ATTENTION,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config)


def write(model: Any, folder: Path) -> Path:
    """The adapter as it is now, at `folder` by one rename. The same weights give the same bytes."""
    weights = get_peft_model_state_dict(model, adapter_name=NAME, save_embedding_layers=False)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(weights.items())}
    with half_of(folder) as half:
        save_file(tensors, half / WEIGHTS, metadata={"format": "pt"})
        (half / CONFIG).write_text(_config(model), encoding="utf-8")
    return folder


def _config(model: Any) -> str:
    """PEFT keeps module names in sets, whose order differs between processes; the base's path is this machine's."""
    content = model.peft_config[NAME].to_dict() | {"inference_mode": True, "base_model_name_or_path": None}
    plain = {key: sorted(value) if isinstance(value, set | list) else value for key, value in content.items()}
    return json.dumps(plain, indent=1, sort_keys=True)


def read(model: Any, folder: Path) -> None:
    """Put the adapter written at `folder` into the model."""
    set_peft_model_state_dict(model, load_file(folder / WEIGHTS), adapter_name=NAME)


def factors(model: Any) -> Factors:
    found = {name: module for name, module in model.named_modules() if NAME in getattr(module, "lora_A", ())}
    return {
        name.removeprefix("base_model.model."): (
            module.lora_A[NAME].weight.detach().clone(),
            module.lora_B[NAME].weight.detach().clone(),
            float(module.scaling[NAME]),
        )
        for name, module in found.items()
    }


def moved(before: Factors, after: Factors) -> dict[str, float]:
    """Frobenius norm of the change of scaling * B @ A, by module."""

    def product(a: torch.Tensor, b: torch.Tensor, scaling: float) -> torch.Tensor:
        return scaling * (b @ a)

    return {name: float(torch.linalg.norm(product(*after[name]) - product(*before[name]))) for name in after}


def probe(model: Any, prompts: Iterable[Prompt], ends: frozenset[int]) -> tuple[Probe, ...]:
    """Greedy completions with their logprobs at temperature 1, by whole forward passes, without a cache."""
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        probes = tuple(_greedy(model, prompt, ends) for prompt in prompts)
    model.train(was_training)
    return probes


def _greedy(model: Any, prompt: Prompt, ends: frozenset[int]) -> Probe:
    ids = list(prompt.prompt_ids)
    logprobs: list[float] = []
    context = model.config.get_text_config(decoder=True).max_position_embeddings
    while len(logprobs) < min(PROBE_TOKENS, context - len(prompt.prompt_ids)) and (not logprobs or ids[-1] not in ends):
        table = model(input_ids=torch.tensor([ids], device=model.device)).logits[0, -1].float().log_softmax(-1)
        ids.append(int(table.argmax()))
        logprobs.append(float(table[ids[-1]]))
    sampled = tuple(ids[len(prompt.prompt_ids) :])
    return Probe(
        messages=prompt.messages, prompt_ids=prompt.prompt_ids, completion_ids=sampled, logprobs=tuple(logprobs)
    )


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a completion, from what the model's and the tokenizer's configurations say."""
    declared = model.generation_config.eos_token_id
    found = [declared] if isinstance(declared, int) else declared or []
    return frozenset(token for token in [*found, tokenizer.eos_token_id] if token is not None)
