"""The nano policy: a causal language model of a few million parameters, trained from scratch in about a minute.

It exists so that the whole loop runs anywhere without a download. It learns to read the task's texts as language and
to answer in the *form* of an answer (`nano_forms`); which answer belongs to which text it is never shown.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from sia_tui.loading import quickly
from sia_tui.policy.nano_forms import Example, examples, plans

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

VERSION: Final = 1
"""Raised whenever the same recipe would give other weights, so that an older model is not taken for a newer one."""

PAD, UNKNOWN, END, SYSTEM, USER, ASSISTANT = "<pad>", "<unk>", "<end>", "<system>", "<user>", "<assistant>"
SPECIALS: Final = (PAD, UNKNOWN, END, SYSTEM, USER, ASSISTANT)
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
ALPHABET: Final = 4000
"""Characters kept, most frequent first; rarer ones read as <unk>."""

SORTED: Final = 8
"""Batches drawn together and sorted by length."""

Progress = Callable[[int, int, float], None]
"""Called with steps done, steps in all and the loss (nats a token)."""


class NanoRecipe(BaseModel):
    """What decides a nano model besides its texts and answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal["choice", "plan"] = "choice"
    """What answers look like: one of a list, or a letter for each of a row of choices. The task decides."""
    hidden: int = Field(default=160, ge=32, le=512, multiple_of=16)
    """Width of the residual stream."""
    layers: int = Field(default=2, ge=1, le=12)
    """Transformer blocks."""
    heads: int = Field(default=5, ge=1, le=16)
    """Attention heads; must divide `hidden` into even parts."""
    vocab: int = Field(default=5000, ge=256, le=16000)
    """Size of the BPE vocabulary, special tokens and single characters included."""
    context: int = Field(default=512, ge=128, le=4096)
    """Longest prompt and answer together, in tokens."""
    excerpt: int = Field(default=180, ge=30, le=1000)
    """Longest excerpt of facts in a synthetic prompt, in characters."""
    steps: int = Field(default=480, ge=1, le=20000)
    """Optimizer steps."""
    batch: int = Field(default=24, ge=1, le=256)
    """Synthetic exchanges a step."""
    learning_rate: float = Field(default=3e-3, gt=0, le=0.1)
    """Peak of the learning rate; it rises linearly and falls along a cosine to nothing."""
    warmup: float = Field(default=0.15, ge=0, le=0.9)
    """Share of the steps in which the learning rate rises; without it a model this small stays at chance."""
    reading: float = Field(default=0.15, ge=0, le=1)
    """Share of the prompt's tokens that are predicted too, so that the model learns the language of the texts."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of the weights, of the synthetic exchanges and of their order."""
    threads: int = Field(default=2, ge=1, le=64)
    """Threads of the training; another number adds in another order and so gives other weights."""


def recipe_hash(recipe: NanoRecipe, texts: Sequence[str], answers: Sequence[str]) -> str:
    """The name of what `train` would make of these, 16 hexadecimal digits."""
    content = {"version": VERSION, "recipe": recipe.model_dump(), "texts": list(texts), "answers": list(answers)}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def train(
    recipe: NanoRecipe, texts: Sequence[str], answers: Sequence[str], out_dir: Path, progress: Progress
) -> dict[str, Any]:
    """Train a base and put it at `out_dir` in one rename; return its manifest. A model already there is kept."""
    if (out_dir / "manifest.json").exists():
        return dict(json.loads((out_dir / "manifest.json").read_text()))
    with quickly():
        import torch
        from transformers import LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: F401 - used further down

    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(True)
    started = time.monotonic()
    tokenizer = make_tokenizer(recipe, texts, answers)
    model = make_model(recipe, tokenizer)
    _fit(model, tokenizer, recipe, texts, answers, progress)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir.parent, prefix=".nano-") as scratch:
        folder = Path(scratch) / "model"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        manifest = {
            "recipe": recipe.model_dump(),
            "recipe_hash": recipe_hash(recipe, texts, answers),
            "parameters": sum(weight.numel() for weight in model.parameters()),
            "seconds": round(time.monotonic() - started, 1),
            "weights_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
        shutil.rmtree(out_dir, ignore_errors=True)
        folder.replace(out_dir)
    return manifest


def make_tokenizer(recipe: NanoRecipe, texts: Sequence[str], answers: Sequence[str]) -> "PreTrainedTokenizerFast":
    """BPE over runs of Chinese characters; letters, digits, spaces and marks stay single tokens, so `A` is one."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    # Frequencies are cut here and not by the trainer, whose own cut breaks ties by hash order.
    counts = Counter(character for text in texts for character in text)
    kept = {character for character, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:ALPHABET]}
    kept |= {character for example in _wordings(recipe, texts, answers) for character in example}
    kept |= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[A-Za-zＡ-Ｚ0-9\s\p{P}\p{S}]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocab,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(kept),
        max_token_length=4,
        show_progress=False,
    )
    readable = ["".join(character for character in text if character in kept) for text in texts]
    tokenizer.train_from_iterator([*readable, *answers], trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        padding_side="left",
        model_max_length=recipe.context,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def architecture(recipe: NanoRecipe, vocab: int) -> dict[str, Any]:
    """The part of the model's `config.json` that says what it computes; `vocab` is the recipe's at most."""
    return {
        "model_type": "llama",
        "vocab_size": vocab,
        "hidden_size": recipe.hidden,
        "intermediate_size": recipe.hidden * 8 // 3 // 16 * 16,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "max_position_embeddings": recipe.context,
        "tie_word_embeddings": True,
    }


def make_model(recipe: NanoRecipe, tokenizer: "PreTrainedTokenizerFast") -> "LlamaForCausalLM":
    """A Llama with fresh weights and one matrix for reading and writing tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **architecture(recipe, len(tokenizer)),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def render(example: Example) -> str:
    """The prompt of an example as `CHAT_TEMPLATE` would write it."""
    system = f"{SYSTEM}{example.system}{END}" if example.system else ""
    return f"{system}{USER}{example.user}{END}{ASSISTANT}"


def _drawn(rng: Random, recipe: NanoRecipe, texts: Sequence[str], answers: Sequence[str], count: int) -> list[Example]:
    if recipe.form == "plan":
        return plans(rng, texts, answers, count)
    return examples(rng, texts, answers, count, recipe.excerpt)


def _wordings(recipe: NanoRecipe, texts: Sequence[str], answers: Sequence[str]) -> Iterator[str]:
    """Text that must be writable: every answer, and enough examples to meet every wording around them."""
    yield from answers
    if recipe.form == "plan":
        yield from texts
        return
    for example in examples(Random(0), ["事实" * 20], answers, 2000, 30):
        yield from (example.system, example.user, example.answer)


def _fit(
    model: "LlamaForCausalLM",
    tokenizer: "PreTrainedTokenizerFast",
    recipe: NanoRecipe,
    texts: Sequence[str],
    answers: Sequence[str],
    progress: Progress,
) -> None:
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    rise = max(1, int(recipe.steps * recipe.warmup))
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, total_iters=rise),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, recipe.steps - rise)),
        ],
        milestones=[rise],
    )
    model.train()
    for step, (tokens, wanted) in enumerate(_batches(tokenizer, recipe, texts, answers), 1):
        states = model.model(input_ids=tokens[:, :-1]).last_hidden_state[wanted[:, 1:]]
        loss = torch.nn.functional.cross_entropy(model.lm_head(states), tokens[:, 1:][wanted[:, 1:]])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0 or step == recipe.steps:
            progress(step, recipe.steps, loss.item())
    model.eval()  # type: ignore[no-untyped-call]


def _batches(
    tokenizer: "PreTrainedTokenizerFast", recipe: NanoRecipe, texts: Sequence[str], answers: Sequence[str]
) -> "Iterator[tuple[torch.Tensor, torch.Tensor]]":
    """Right-padded token ids and, in the same shape, which of them the loss counts: answers and a share of the rest.

    Rows of like length share a batch, which spares a third of the time.
    """
    import torch

    rng = Random(recipe.seed)
    draw = torch.Generator().manual_seed(recipe.seed)
    for done in range(0, recipe.steps, SORTED):
        steps = min(SORTED, recipe.steps - done)
        drawn = _drawn(rng, recipe, texts, answers, steps * recipe.batch)
        prompts = tokenizer([render(example) for example in drawn])["input_ids"]
        replies = tokenizer([example.answer + END for example in drawn])["input_ids"]
        rows = sorted(zip(prompts, replies, strict=True), key=lambda row: len(row[0]) + len(row[1]))
        batches = [rows[start : start + recipe.batch] for start in range(0, len(rows), recipe.batch)]
        rng.shuffle(batches)
        for batch in batches:
            yield _padded(batch, recipe, tokenizer.pad_token_id, draw)


def _padded(
    batch: list[tuple[list[int], list[int]]], recipe: NanoRecipe, pad: int, draw: "torch.Generator"
) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    longest = min(recipe.context, max(len(prompt) + len(reply) for prompt, reply in batch))
    tokens = torch.full((len(batch), longest), pad)
    wanted = torch.zeros(tokens.shape, dtype=torch.bool)
    for place, (prompt, reply) in enumerate(batch):
        row = (prompt + reply)[-longest:]
        tokens[place, : len(row)] = torch.tensor(row)
        wanted[place, : len(row)] = torch.rand(len(row), generator=draw) < recipe.reading
        wanted[place, len(row) - len(reply) : len(row)] = True
    return tokens, wanted


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out one job file; progress goes to standard output as JSON lines."""
    parser = argparse.ArgumentParser(prog="python -m sia_tui.policy.nano", description=main.__doc__)
    parser.add_argument("--job", type=Path, required=True, help="JSON: recipe, texts_file, answers_file, out_dir")
    job = json.loads(parser.parse_args(arguments).job.read_text())
    with Path(job["texts_file"]).open(encoding="utf-8") as lines:
        texts = [json.loads(line) for line in lines]
    answers = json.loads(Path(job["answers_file"]).read_text(encoding="utf-8"))

    def report(done: int, total: int, loss: float) -> None:
        print(json.dumps({"done": done, "total": total, "loss": round(loss, 4)}), flush=True)

    train(NanoRecipe.model_validate(job["recipe"]), texts, answers, Path(job["out_dir"]), report)


if __name__ == "__main__":
    main(sys.argv[1:])
