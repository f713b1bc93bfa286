"""Activations as reckoned against what autograd really keeps; the rest against its own laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from sia_tui.core.memory import Serving, Training, activations, expert_copies, layer_activations, serving, training
from sia_tui.core.plans import TrainPlan
from sia_tui.core.shape import Shape, shape_of

ROWS, ROW = 8, 64
TINY = {
    "vocab_size": 97,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
OSS = {"num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 128}
PLAN = TrainPlan("grpo", 1, 1, 8, 8, 8, 1e-3, rank=8, max_tokens=32)
TARGETS = {"all-linear": "all-linear", "attention": ["q_proj", "k_proj", "v_proj", "o_proj"]}
CPU = Training("cpu", "float32", ROWS * ROW, False)
SERVED = Serving("cuda", "vllm", "bfloat16", 512, 4)


def shape(family: str = "qwen3", **changes: Any) -> Shape:
    return shape_of(AutoConfig.for_model(family, **TINY | changes).to_dict())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize(
    ("family", "changes"), [("llama", {}), ("qwen3", {}), ("qwen3_moe", EXPERTS), ("gpt_oss", OSS)]
)
def test_activations_are_what_autograd_keeps(family: str, changes: dict[str, Any], targets: str, dtype: str) -> None:
    model = _adapted(family, changes, targets, dtype)
    found = shape(family, **changes)
    reckoned = activations(found, replace(PLAN, targets=targets), replace(CPU, dtype=dtype), ROWS * ROW, ROW)
    assert reckoned == pytest.approx(_kept(model), rel=0.08)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_with_checkpointing_each_layer_keeps_its_input_alone(dtype: str) -> None:
    model = _adapted("llama", {}, "all-linear", dtype)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
    found, how = shape("llama"), replace(CPU, dtype=dtype, checkpointing=True)
    one_layer = ROWS * ROW * layer_activations(found, PLAN, 0, dtype, ROW)
    assert activations(found, PLAN, how, ROWS * ROW, ROW) - one_layer == pytest.approx(_kept(model), rel=0.01)


def test_adapted_experts_are_made_whole() -> None:
    moe = shape("qwen3_moe", **EXPERTS)
    assert expert_copies(moe, PLAN, "float32") == moe.expert_parameters // 2 * 8
    assert expert_copies(moe, replace(PLAN, targets="attention"), "float32") == 0


@given(st.integers(64, 100_000), st.booleans(), st.sampled_from(["cpu", "cuda"]), st.integers(1, 8))
def test_more_tokens_never_need_less(tokens: int, checkpointing: bool, device: Any, gpus: int) -> None:
    found, how = shape(), Training(device, "bfloat16", tokens, checkpointing, gpus)
    small, large = training(found, PLAN, how, ROW), training(found, PLAN, replace(how, micro_tokens=2 * tokens), ROW)
    assert all(large[part] >= small[part] for part in small)
    assert large["activations"] == pytest.approx(2 * small["activations"], abs=2)


def test_the_trainers_parts_by_hand() -> None:
    found = shape()
    trainable = found.trainable(8, "all-linear")
    parts = training(found, PLAN, CPU, ROW)
    assert parts["weights"] == 4 * found.parameters
    assert (parts["adapter"], parts["gradients"], parts["optimiser"]) == (4 * trainable, 4 * trainable, 8 * trainable)
    assert parts["logits"] == ROWS * ROW // 2 * 97 * 16, "half of every row is sampled"
    assert training(found, PLAN, replace(CPU, micro_tokens=1), ROW)["activations"] * ROWS == parts["activations"]


def test_what_serves_by_hand() -> None:
    found = shape()
    parts = serving(found, PLAN, SERVED)
    assert parts["weights"] == 2 * found.parameters
    assert parts["KV cache"] == 4 * 2 * 2 * 4 * 16 * 512 * 2, "lanes × (K, V) × layers × heads × width × tokens × bytes"
    assert serving(found, PLAN, replace(SERVED, gpus=8))["KV cache"] == parts["KV cache"] // 4, "four heads to split"
    assert serving(found, PLAN, replace(SERVED, adapters=4))["adapters"] == 4 * parts["adapters"]


def _adapted(family: str, changes: dict[str, Any], targets: str, dtype: str) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **TINY | changes)
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    return get_peft_model(model, LoraConfig(r=8, target_modules=TARGETS[targets], task_type="CAUSAL_LM")).train()


def _kept(model: Any) -> int:
    """Bytes of the storages that autograd saves in a forward pass, the model's own left out."""
    own = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    ids = torch.randint(0, 97, (ROWS, ROW))
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        states = model.base_model.model.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    assert states.last_hidden_state.requires_grad
    return sum(storage.nbytes() for storage in kept.values())
