"""Small randomly initialised policies: a Llama or another, a BPE tokenizer with a chat template, LoRA adapters that matter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TARGETS = ("q_proj", "v_proj", "o_proj", "up_proj")
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def make_tokenizer(folder: Path, vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(vocabulary)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(words)] * 3, trainer)
    wrap: Any = PreTrainedTokenizerFast
    fast = wrap(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>", chat_template=TEMPLATE)
    fast.save_pretrained(folder)
    return fast


def make_model(
    folder: Path,
    *,
    family: str = "llama",
    vocabulary: int = 400,
    hidden: int = 64,
    layers: int = 2,
    context: int = 256,
    seed: int = 0,
    dtype: str = "float32",
    shard: str = "1GB",
    **shape: Any,
) -> Path:
    """A model folder whose logits are spread wide enough that greedy and sampling differ; `shard` is a file's largest size."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder.mkdir(parents=True)
    tokenizer = make_tokenizer(folder, vocabulary)
    config = AutoConfig.for_model(
        family,
        vocab_size=max(vocabulary, len(tokenizer)),
        hidden_size=hidden,
        intermediate_size=hidden * 3,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.15,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
        **shape,
    )
    torch.manual_seed(seed)
    built: Any = AutoModelForCausalLM.from_config(config)
    built.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard)
    return folder


def make_adapter(
    model: Path, folder: Path, *, seed: int, rank: int = 4, targets: Sequence[str] | str = TARGETS, **fields: Any
) -> Path:
    """A LoRA adapter with both factors away from zero; `fields` are further ones of PEFT's LoraConfig."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(model)
    adapted = get_peft_model(base, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, **fields))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(str(folder))
    return folder
