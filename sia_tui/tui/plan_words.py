"""The fields of a training plan and their values, in words."""

from __future__ import annotations

from collections.abc import Mapping

Changes = Mapping[str, tuple[object, object]]
"""Of fields by name, then and now."""

_NAMES = {
    "best_of_n": "best of n, cloned",
    "dpo": "DPO",
    "grpo": "GRPO",
    "dr_grpo": "Dr. GRPO",
    "rloo": "RLOO",
    "reinforce_kl": "REINFORCE + KL",
    "entropic": "entropic weighting",
    "ppo": "PPO with GAE",
}
PPO = ("gamma", "gae_lambda", "value_warmup")
SAID = {
    "algorithm": ("algorithm", _NAMES),
    "steps": ("optimizer steps", "at most"),
    "cases_per_step": ("cases a step", ""),
    "samples": ("rollouts a case", ""),
    "cases": ("train cases", ""),
    "held_out": ("held out to stop", ""),
    "learning_rate": ("learning rate", ""),
    "eval_every": ("looks every", "steps"),
    "patience": ("patience", "looks"),
    "rank": ("LoRA rank", ""),
    "alpha": ("LoRA alpha", ""),
    "targets": ("LoRA targets", {}),
    "clip": ("clip", ""),
    "kl": ("KL to the base", ""),
    "entropy": ("entropy bonus", ""),
    "max_tokens": ("completion", "tokens at most"),
    "staleness": ("staleness", "steps at most"),
    "gamma": ("discount", ""),
    "gae_lambda": ("GAE lambda", ""),
    "value_warmup": ("value warm-up", "steps"),
    "stop_slope": ("stop, no rise by", "steps"),
    "stop_kl": ("stop, KL above", "nats a token"),
    "stop_truncated": ("stop, cut short", "of completions"),
    "stop_gap": ("stop, gap above", "nats"),
    "stop_s": ("stop, wall clock", "s"),
    "serve_on": ("GPUs that serve", ""),
    "train_on": ("GPUs that train", ""),
    "seed": ("seed", ""),
}
_AS_CONFIGURED, _NEVER = "as configured", "never"
_WORDS = (_AS_CONFIGURED, _NEVER)
"""In the place of a value; they have no unit."""


def label(name: str) -> str:
    return SAID.get(name, (name.replace("_", " "), ""))[0]


def value_told(name: str, value: object) -> str:
    """With its unit."""
    unit = SAID.get(name, ("", ""))[1]
    plain = _plain(name, value)
    return plain if isinstance(unit, dict) or plain in _WORDS else f"{plain} {unit}".rstrip()


def changes_told(changes: Changes) -> str:
    """Field by field, as it was and as it is."""
    return ", ".join(
        f"{label(name)} {_plain(name, then)} → {_plain(name, now)}" for name, (then, now) in changes.items()
    )


def _plain(name: str, value: object) -> str:
    names = SAID.get(name, ("", ""))[1]
    if isinstance(names, dict):
        return str(names.get(value, value))
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or _AS_CONFIGURED
    if name.startswith("stop_") and not value:
        return _NEVER
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if name != "seed" else f"{value}"
