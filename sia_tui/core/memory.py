"""What a weights update holds in memory, part by part, in bytes: the trainer's side and the serving side.

Weights, adapter, gradients and optimiser are counted, activations follow from the modules, and what no formula gives is a
constant with its origin in its docstring. Nothing here looks at a machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sia_tui.core.plans import TrainPlan
from sia_tui.core.shape import BYTES, Shape

Device = Literal["cpu", "cuda"]
Parts = Mapping[str, int]
"""Bytes by what they are for."""

GIB = 1 << 30
MICRO_TOKENS: Mapping[Device, int] = {"cpu": 2_048, "cuda": 32_768}
"""Tokens, padding included, of one forward and backward pass where the config names no number. A core is fastest while a pass
stays in its cache: half the time of 32,768 (1.4 M parameters, 128 rows of 215 tokens)."""
ADAPTER_BYTES = 4
"""Of an adapter's parameter: PEFT keeps it in float32 beside a bfloat16 base (`autocast_adapter_dtype`)."""
ADAM_BYTES = 8
"""Of a trained parameter: two moments in float32 (Kingma & Ba 2015, arXiv 1412.6980)."""
TILE = (4096, 32768)
"""Tokens and vocabulary entries of which TRL 1.16's fused head holds the logits at once (`trl/kernels/chunked_logprob.py`)."""
LOGIT_BYTES = 12
"""Of a scored token and vocabulary entry, beside the logits: their float32 copy, log-softmax and its gradient."""
RUNTIME: Mapping[Device, int] = {"cpu": 7 * GIB // 10, "cuda": GIB}
"""What a process with torch and TRL holds besides: on a CPU measured after a step; a CUDA context, guessed."""
VLLM_BYTES = 3 * GIB
"""Of a serving GPU beside weights and cache: CUDA graphs, activations of a full batch, NCCL. Guessed for `max_num_seqs`
256; vLLM takes the whole of `gpu_memory_utilization` whatever it needs."""
SLEEPING = 2 * GIB
"""What vLLM leaves on a GPU in sleep level 1: context and graphs. Guessed."""


@dataclass(frozen=True)
class Training:
    """How the trainer computes."""

    device: Device
    dtype: str
    """Of the base's weights and of activations."""
    micro_tokens: int
    """Tokens, padding included, of one forward and backward pass; never less than one row."""
    checkpointing: bool
    """Only each layer's input is kept, and the layer computed again on the way back."""
    gpus: int = 1
    """Over which the layers are spread, one after another."""


@dataclass(frozen=True)
class Serving:
    """How the policy is served."""

    device: Device
    backend: str
    dtype: str
    context: int
    """Longest row, in tokens."""
    lanes: int
    """Rows in flight."""
    gpus: int = 1
    """Over which every matrix is split (tensor parallel)."""
    replicas: int = 1
    """Servers, on so many GPUs each."""
    adapters: int = 1
    """Loaded side by side."""
    share: float = 0.0
    """Of a GPU's memory, that a vLLM of ours takes whatever it needs; 0: what it needs."""


def training(shape: Shape, plan: TrainPlan, how: Training, row: int) -> Parts:
    """Of the fullest of the training GPUs, or of the CPU process. `row`: tokens of the longest row.

    - weights: parameters × bytes; MXFP4 experts de-quantised, four times what is served;
    - adapter, gradients: 4 bytes each a trainable parameter, optimiser 8 (ZeRO, Rajbhandari et al. 2020, arXiv
      1910.02054, §3.1, of whose 16 bytes the frozen base has only its weights);
    - activations: `activations`;
    - logits: of sampled tokens alone, `LOGIT_BYTES`; on a GPU a tile of them and the float32 gradient of their inputs.
    """
    tokens = max(how.micro_tokens, row)
    trainable = shape.trainable(plan.rank, plan.targets)
    return {
        "weights": shape.weights(how.dtype) // how.gpus,
        "adapter": trainable * ADAPTER_BYTES // how.gpus,
        "gradients": trainable * ADAPTER_BYTES // how.gpus,
        "optimiser": trainable * ADAM_BYTES // how.gpus,
        "activations": activations(shape, plan, how, tokens, row),
        "logits": _logits(shape, plan, how, tokens, row),
        "runtime": RUNTIME[how.device],
    }


def activations(shape: Shape, plan: TrainPlan, how: Training, tokens: int, row: int) -> int:
    """Bytes kept for the way back of a pass over so many tokens in rows of `row`, on the fullest GPU.

    Without checkpointing every layer's. With it, every layer's input, the last norm's in float32, and one layer's whole
    (Chen et al. 2016, arXiv 1604.06174; Korthikanti et al. 2022, arXiv 2205.05198, §5).
    """
    layers = [layer_activations(shape, plan, layer, how.dtype, row) for layer in range(shape.layers)]
    copies = expert_copies(shape, plan, how.dtype)
    if how.checkpointing:
        inputs = (shape.layers * BYTES[how.dtype] + 4) * shape.hidden
        return copies + tokens * (inputs // how.gpus + max(layers))
    return (copies * sum(shape.sparse) + tokens * sum(layers)) // how.gpus


def expert_copies(shape: Shape, plan: TrainPlan, dtype: str) -> int:
    """Bytes of one layer's experts once more, where they are adapted: PEFT makes B·A whole in every pass, in float32, and
    the weights with it added."""
    if shape.family != "qwen3_moe" or plan.targets != "all-linear" or not any(shape.sparse):
        return 0
    return shape.expert_parameters // sum(shape.sparse) * (4 + BYTES[dtype])


def layer_activations(shape: Shape, plan: TrainPlan, layer: int, dtype: str, row: int) -> int:
    """Bytes a token that one layer keeps, counted as Korthikanti et al. §4.1 count them, for what these models do differently.

    The base is frozen, so that only what an adapter or a non-linear function needs is kept: the float32 copy that each
    norm computes with; each adapted module's input in float32 (PEFT casts it) and its product with A; queries, keys,
    values and result of fused attention (Dao 2023, arXiv 2307.08691), or the table of scores where attention is eager;
    gate, its activation and up of the feed-forward part (gpt-oss clamps them: one more), for every expert of a token.
    """
    size = BYTES[dtype]
    width = shape.expert_intermediate if shape.sparse[layer] else shape.intermediate
    passes = shape.active_experts if shape.sparse[layer] else 1
    norms = 4 * (2 * shape.hidden + (shape.query + shape.key if shape.normed_heads else 0))
    attention = size * (2 * shape.query + 2 * shape.key)
    if shape.eager:
        attention += size * (2 * shape.query + 2 * shape.heads * row)
    kept = 4 if shape.family == "gpt_oss" else 3
    forward = size * passes * (kept * width + (shape.hidden if shape.sparse[layer] else 0))
    return norms + attention + forward + _adapters(shape, plan, layer, dtype)


def _adapters(shape: Shape, plan: TrainPlan, layer: int, dtype: str) -> int:
    """In float32, modules that read the same input keep it once, and attention's result is kept anyway; cast to float32,
    each module keeps a copy of its own."""
    adapted = shape.adapted(layer, plan.targets)
    dense = any(not one.attention for one in adapted)
    shared = shape.hidden + (shape.hidden + shape.intermediate if dense else 0)
    kept = shared if dtype == "float32" else sum(one.inputs for one in adapted)
    return 4 * (kept + plan.rank * len(adapted))


def _logits(shape: Shape, plan: TrainPlan, how: Training, tokens: int, row: int) -> int:
    scored = tokens * min(plan.max_tokens, row) // row
    if how.device == "cuda":
        return min(scored, TILE[0]) * min(shape.vocab, TILE[1]) * BYTES[how.dtype] + scored * 4 * shape.hidden
    return scored * shape.vocab * (BYTES[how.dtype] + LOGIT_BYTES)


def serving(shape: Shape, plan: TrainPlan, how: Serving) -> Parts:
    """Of one of the serving GPUs, or of the CPU process.

    - weights: as stored (MXFP4 experts stay four bits);
    - adapters: as many as may be loaded at once;
    - KV cache: every lane's row at its longest, by `Shape.kv_bytes`. Key/value heads are what is split: more GPUs than
      heads hold copies.
    """
    cache = how.lanes * shape.kv_bytes(how.context, how.dtype)
    adapter = shape.trainable(plan.rank, plan.targets) * BYTES[how.dtype]
    return {
        "weights": shape.served_weights(how.dtype) // how.gpus,
        "adapters": how.adapters * adapter // how.gpus,
        "KV cache": cache // min(how.gpus, shape.kv_heads),
        "runtime": VLLM_BYTES if how.backend == "vllm" else RUNTIME[how.device],
    }
