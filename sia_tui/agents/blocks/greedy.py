"""Let the policy give its likeliest answer."""

from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.edits import Files, changed, constant


def _apply(files: Files) -> dict[str, str] | None:
    if "VOTES" in files.get("harness.py", ""):
        return None  # votes that are all the same decide nothing
    return changed(files, {"harness.py": constant("TEMPERATURE", "0.0")})


BLOCK = Block("greedy", "Take the policy's likeliest answer instead of sampling one.", _apply)
