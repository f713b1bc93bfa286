"""How sure the policy was of each token it sampled, as lines to read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from sia_tui.core.episodes import Call
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tui.pieces import BAD, DIM, WARN, Line, Piece, cells, line
from sia_tui.tui.view import View

MOST = 512
"""Tokens of one reply that are shown."""
SURE, DOUBTFUL = 0.9, 0.5
Texts = Callable[[Sequence[int]], list[str]]


def policy_folder(paths: RunPaths, view: View) -> Path | None:
    """Where the base model of a run lies on this machine, if it does."""
    ready, config = view.state.policy_ready, view.config
    if config is None or config.policy.model is None:
        return Workspace(paths.root.parent.parent).root / "policies" / ready.model.partition(",")[0] if ready else None
    folder = Path(config.policy.model).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(config.policy.model, "tokenizer.json")
    return Path(found).parent if isinstance(found, str) else None


def numbers(ids: Sequence[int]) -> list[str]:
    """What tokens are told as without a tokenizer."""
    return [f"#{number}" for number in ids]


def texts_of(folder: Path | None) -> Texts:
    """What tokens read as by the tokenizer in a model's folder; their numbers where there is none."""
    if folder is None or not (folder / "tokenizer.json").is_file():
        return numbers
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def texts(ids: Sequence[int]) -> list[str]:
        # A character may take several tokens: each shows what the reply grew by when it came.
        grown = [tokenizer.decode(list(ids[:end]), skip_special_tokens=False) for end in range(len(ids) + 1)]
        return [after[len(before) :] if after.startswith(before) else after[-1:] for before, after in pairwise(grown)]

    return texts


def token_lines(call: Call, texts: Texts, width: int) -> list[Line]:
    """A reply's tokens one after the other; of those that were not sure with their probability."""
    ids = call.completion_ids[:MOST]
    if not ids or len(call.logprobs) < len(ids):
        return [line(("  the server gave no tokens", DIM))]
    rows: list[list[Piece]] = [[("  no tokenizer here: numbers", DIM)]] if texts is numbers else []
    rows.append(["  "])
    room = width - 2
    for text, logprob in zip(texts(ids), call.logprobs, strict=False):
        chance = math.exp(min(0.0, logprob)) if math.isfinite(logprob) else 0.0
        shown = f"{text or '·'}{'' if chance >= SURE else f'({chance:.0%})'}"
        style = "" if chance >= SURE else WARN if chance >= DOUBTFUL else BAD
        if cells(shown) > room and len(rows[-1]) > 1:
            rows.append(["  "])
            room = width - 2
        rows[-1] += [(shown, style), ("│", DIM)]
        room -= cells(shown) + 1
    if len(call.completion_ids) > MOST:
        rows.append([(f"  … {len(call.completion_ids) - MOST} more tokens", WARN)])
    return [line(*row) for row in rows]
