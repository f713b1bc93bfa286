"""Building blocks for harnesses that keep the seed's names: what the offline playbook composes patches from.

Each is applied whole or not at all, in any order, and a second time it has nothing left to do. None answers in place
of the policy.
"""

from typing import Final

from sia_tui.agents.blocks import centroids, finer_features, greedy, lenient, snapping, warmer_retry
from sia_tui.agents.blocks.block import Block
from sia_tui.agents.blocks.list_size import narrower
from sia_tui.agents.blocks.shortlist import shortlist
from sia_tui.agents.blocks.voting import voting

__all__ = ["BLOCKS", "Block"]

BLOCKS: Final = (
    shortlist(10),
    lenient.BLOCK,
    narrower(5),
    finer_features.BLOCK,
    centroids.BLOCK,
    narrower(3),
    warmer_retry.BLOCK,
    snapping.BLOCK,
    voting(5),
    greedy.BLOCK,
)
"""All blocks, in the order a careful engineer would try them."""
