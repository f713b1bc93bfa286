"""Counted from a config.json, and equal to what transformers and PEFT make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from sia_tui.core.shape import Shape, UnknownShape, shape_of

SHAPES = Path(__file__).parents[2] / "configs" / "h100" / "shapes"
TINY = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("mistral", {}),
    ("qwen2", {}),
    ("qwen3", {}),
    ("qwen3_moe", EXPERTS),
    ("qwen3_moe", EXPERTS | {"mlp_only_layers": [1]}),
    ("gpt_oss", {"num_local_experts": 5, "num_experts_per_tok": 2}),
]
TARGETS = {"all-linear": "all-linear", "attention": ["q_proj", "k_proj", "v_proj", "o_proj"]}


@pytest.mark.parametrize(("family", "changes"), FAMILIES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(FAMILIES)])
@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("rank", [1, 8])
def test_counts_are_those_of_the_model_and_of_peft(
    family: str, changes: dict[str, Any], targets: str, rank: int
) -> None:
    config = AutoConfig.for_model(family, **TINY | changes)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        weights = sum(weight.numel() * weight.element_size() for weight in model.parameters())
        adapted = get_peft_model(model, LoraConfig(r=rank, target_modules=TARGETS[targets], task_type="CAUSAL_LM"))
    trainable = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    shape = shape_of(config.to_dict())
    assert (shape.weights("bfloat16"), shape.trainable(rank, targets)) == (weights, trainable)


@pytest.mark.parametrize(
    ("name", "parameters", "served_gib"),
    [("gpt-oss-120b", 116.83e9, 60.8), ("gpt-oss-20b", 20.91e9, 12.8), ("qwen3-8b", 8.19e9, 15.26)],
)
def test_published_sizes_come_out(name: str, parameters: float, served_gib: float) -> None:
    """Model cards: gpt-oss, arXiv 2508.10925, table 1 (parameters, checkpoint size); Qwen3-8B, 8.2 B."""
    shape = shape_of(json.loads((SHAPES / f"{name}.json").read_text()))
    assert shape.parameters == pytest.approx(parameters, rel=1e-3)
    assert shape.served_weights("bfloat16") / 2**30 == pytest.approx(served_gib, abs=0.05)


def test_four_bit_experts_are_four_times_as_large_while_training() -> None:
    shape = shape_of(json.loads((SHAPES / "gpt-oss-120b.json").read_text()))
    assert 3.5 < shape.weights("bfloat16") / shape.served_weights("bfloat16") < 4


def test_a_window_keeps_no_more_than_itself() -> None:
    layers = ["sliding_attention", "full_attention"]
    windowed = shape_of(
        TINY | {"model_type": "gpt_oss", "num_hidden_layers": 2, "layer_types": layers, "sliding_window": 8}
    )
    assert windowed.kv_bytes(100, "float32") == 2 * 2 * 16 * 4 * (8 + 100)
    assert windowed.kv_bytes(4, "float32") == 2 * 2 * 16 * 4 * (4 + 4)


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(UnknownShape, match="'mamba' is not one of llama"):
        shape_of({"model_type": "mamba"})
    with pytest.raises(UnknownShape, match=r"config\.json has no 'vocab_size'"):
        shape_of({key: value for key, value in TINY.items() if key != "vocab_size"} | {"model_type": "llama"})


def test_an_expert_that_is_not_asked_costs_no_operations() -> None:
    def active(**changes: int) -> int:
        shape: Shape = shape_of(AutoConfig.for_model("qwen3_moe", **TINY | EXPERTS | changes).to_dict())
        return shape.active_parameters

    one = 3 * TINY["hidden_size"] * EXPERTS["moe_intermediate_size"] * TINY["num_hidden_layers"]
    assert active(num_experts_per_tok=3) - active(num_experts_per_tok=2) == one
