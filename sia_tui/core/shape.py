"""A decoder-only transformer as its `config.json` describes it: what it weighs and what LoRA adds to it, to the parameter.

The counts are those of the modules that transformers 5 builds for these families, where the experts of a layer are two
three-dimensional parameters and their router one more. PEFT's `all-linear` adapts every `torch.nn.Linear` but the output
embedding. Of Qwen3's experts PEFT 0.21 makes targets as well, by the names that they had in transformers 4, router
included, and then no longer adapts a dense layer beside them; of gpt-oss's it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "gpt_oss")

MXFP4_BYTES = (4 + 8 / 32) / 8
"""Of a weight: four bits, and eight of scale for each block of 32. OCP Microscaling Formats (MX) v1.0, table 1."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Of an element, by dtype."""


class UnknownShape(ValueError):
    """Neither counted nor guessed: a `config.json` of a family that this module does not know, or without its numbers."""


@dataclass(frozen=True)
class Linear:
    """One `torch.nn.Linear`: inputs, outputs, and whether attention or the feed-forward layer holds it."""

    inputs: int
    outputs: int
    attention: bool
    bias: bool = False

    @property
    def parameters(self) -> int:
        return self.inputs * self.outputs + (self.outputs if self.bias else 0)


@dataclass(frozen=True)
class Shape:
    """All counts are of elements, not of bytes."""

    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    """Width of a dense feed-forward layer."""
    vocab: int
    context: int
    """Longest row in tokens."""
    tied: bool
    """One matrix reads and writes tokens."""
    windows: tuple[int, ...]
    """By layer, tokens that attention looks back; 0 for all."""
    sparse: tuple[bool, ...]
    """By layer, whether its feed-forward part is experts."""
    experts: int = 0
    active_experts: int = 0
    """Experts that a token passes."""
    expert_intermediate: int = 0
    attention_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    mxfp4: bool = False
    """Experts are stored, and served, in four bits."""

    @property
    def query(self) -> int:
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        return self.kv_heads * self.head_dim

    @property
    def normed_heads(self) -> bool:
        return self.family in ("qwen3", "qwen3_moe")

    @property
    def eager(self) -> bool:
        """Attention keeps its table of scores: transformers has no fused kernel for gpt-oss's sinks but from the hub."""
        return self.family == "gpt_oss"

    def linears(self, layer: int) -> tuple[Linear, ...]:
        """The Linear modules of a layer."""
        return self._attention if self.sparse[layer] else (*self._attention, *self._dense)

    @cached_property
    def _attention(self) -> tuple[Linear, ...]:
        return (
            Linear(self.hidden, self.query, True, self.attention_bias),
            Linear(self.hidden, self.key, True, self.attention_bias),
            Linear(self.hidden, self.key, True, self.attention_bias),
            Linear(self.query, self.hidden, True, self.output_bias),
        )

    @cached_property
    def _dense(self) -> tuple[Linear, ...]:
        wide = Linear(self.hidden, self.intermediate, False, self.mlp_bias)
        return wide, wide, Linear(self.intermediate, self.hidden, False, self.mlp_bias)

    def adapted(self, layer: int, targets: str) -> tuple[Linear, ...]:
        """Those of them that get an adapter, by TrainPlan's `targets`."""
        whole = targets == "all-linear" and self.family != "qwen3_moe"
        return tuple(one for one in self.linears(layer) if one.attention or whole)

    def trainable(self, rank: int, targets: str) -> int:
        """Parameters of a LoRA adapter: r × (inputs + outputs) of each adapted module (Hu et al. 2021, arXiv 2106.09685).

        An expert is adapted as one: gate and up, which are one matrix, with 2r, and down with r (PEFT's conversion of
        targets to transformers 5).
        """
        adapted = (one for layer in range(self.layers) for one in self.adapted(layer, targets))
        found = sum(one.inputs + one.outputs for one in adapted)
        if targets == "all-linear" and self.family == "qwen3_moe":
            expert = 2 * (self.hidden + 2 * self.expert_intermediate) + self.expert_intermediate + self.hidden
            found += sum(self.sparse) * (self.experts * expert + self.hidden + self.experts)
        return rank * found

    @property
    def expert_parameters(self) -> int:
        """Of all experts' matrices, which is what MXFP4 packs; their biases are counted with the rest."""
        return sum(self.sparse) * self.experts * 3 * self.hidden * self.expert_intermediate

    @property
    def parameters(self) -> int:
        """Of the whole model, tied matrices counted once."""
        embeddings = self.vocab * self.hidden * (1 if self.tied else 2)
        return embeddings + self.hidden + self.expert_parameters + sum(map(self._others, range(self.layers)))

    @property
    def active_parameters(self) -> int:
        """Of the matrices that a token is multiplied with: a forward pass is twice as many floating point operations."""
        idle = 1 - self.active_experts / self.experts if self.experts else 0.0
        read_only = 0 if self.tied else self.vocab * self.hidden
        return self.parameters - read_only - int(self.expert_parameters * idle)

    def weights(self, dtype: str) -> int:
        """Bytes of the weights, de-quantised where they are stored in four bits: what a trainer holds."""
        return self.parameters * BYTES[dtype]

    def served_weights(self, dtype: str) -> int:
        """Bytes of the weights while serving: experts in MXFP4 stay as they are."""
        if not self.mxfp4:
            return self.weights(dtype)
        return int(self.expert_parameters * MXFP4_BYTES) + (self.parameters - self.expert_parameters) * BYTES[dtype]

    def kv_bytes(self, tokens: int, dtype: str) -> int:
        """Of the keys and values of one row of so many tokens; a layer with a window keeps no more than that.

        2 × layers × key/value heads × their width × tokens (Kwon et al. 2023, arXiv 2309.06180, §3).
        """
        kept = sum(min(tokens, window or tokens) for window in self.windows)
        return 2 * self.key * kept * BYTES[dtype]

    def _others(self, layer: int) -> int:
        """A layer's parameters without its experts' matrices."""
        norms = 2 * self.hidden + (2 * self.head_dim if self.normed_heads else 0)
        found = norms + sum(one.parameters for one in self.linears(layer))
        if self.family == "gpt_oss":
            found += self.heads + self.experts * (1 + 2 * self.expert_intermediate + self.hidden)
        return found + (self.experts * self.hidden if self.sparse[layer] else 0)


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape that the content of a `config.json` describes. Raises UnknownShape."""
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        raise UnknownShape(f"model type {family!r} is not one of {', '.join(FAMILIES)}: its memory cannot be counted")
    try:
        return _shape(family, config)
    except KeyError as missing:
        raise UnknownShape(f"the model's config.json has no {missing}") from None


def _shape(family: str, config: Mapping[str, Any]) -> Shape:
    layers, heads, hidden = config["num_hidden_layers"], config["num_attention_heads"], config["hidden_size"]
    experts = config.get("num_local_experts") or config.get("num_experts") or 0
    biased = bool(config.get("attention_bias", family == "gpt_oss"))
    return Shape(
        family=family,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or hidden // heads,
        intermediate=config["intermediate_size"],
        vocab=config["vocab_size"],
        context=config["max_position_embeddings"],
        tied=bool(config.get("tie_word_embeddings", False)),
        windows=_windows(config, layers),
        sparse=_sparse(config, layers, experts),
        experts=experts,
        active_experts=config.get("num_experts_per_tok") or 0,
        expert_intermediate=config.get("moe_intermediate_size") or (config["intermediate_size"] if experts else 0),
        attention_bias=biased or family == "qwen2",
        output_bias=biased and family != "qwen2",
        mlp_bias=bool(config.get("mlp_bias", False)),
        mxfp4=(config.get("quantization_config") or {}).get("quant_method") == "mxfp4",
    )


def _windows(config: Mapping[str, Any], layers: int) -> tuple[int, ...]:
    window = config.get("sliding_window") or 0
    kinds = config.get("layer_types") or ["full_attention"] * layers
    return tuple(window if kind == "sliding_attention" else 0 for kind in kinds)


def _sparse(config: Mapping[str, Any], layers: int, experts: int) -> tuple[bool, ...]:
    dense, every = config.get("mlp_only_layers") or (), config.get("decoder_sparse_step") or 1
    return tuple(experts > 0 and layer not in dense and (layer + 1) % every == 0 for layer in range(layers))
