"""What a kernel is given and must define: sizes, arguments, their order, the compiler's flags. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Distribution = Literal["normal", "cauchy"]

SIGNATURE: Final = """\
void trimul(int batch, int n, int dim, int hidden,
            const float *x, const float *mask,
            const float *norm_weight, const float *norm_bias,
            const float *left, const float *right, const float *left_gate, const float *right_gate, const float *out_gate,
            const float *out_norm_weight, const float *out_norm_bias, const float *to_out,
            float *out, float *work)"""
"""What a kernel must define. Every array is dense, row by row, and starts at a multiple of 64 bytes."""

FLAGS: Final = ("-std=gnu17", "-O3", "-march=native", "-ffast-math", "-fPIC", "-shared")
"""The task's, for candidate, baseline and null alike, so that nobody is paid for finding a switch.

-ffast-math because without it gcc may not turn a sum around, and so not vectorise the naive kernel's dot products: the
baseline would be a straw man. It costs a few ulp, where the tolerance is 2e-2.
"""


@dataclass(frozen=True)
class Shape:
    """One problem size, with what its inputs are drawn from."""

    batch: int
    n: int
    dim: int
    hidden: int
    distribution: Distribution = "normal"
    masked: bool = False

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return self.batch, self.n, self.dim, self.hidden

    @property
    def arguments(self) -> dict[str, tuple[int, ...]]:
        """The input arrays by name, in the order of SIGNATURE."""
        pairs, dim, hidden = (self.batch, self.n, self.n), self.dim, self.hidden
        inward = dict.fromkeys(("left", "right", "left_gate", "right_gate", "out_gate"), (hidden, dim))
        return {
            "x": (*pairs, dim),
            "mask": pairs,
            "norm_weight": (dim,),
            "norm_bias": (dim,),
            **inward,
            "out_norm_weight": (hidden,),
            "out_norm_bias": (hidden,),
            "to_out": (dim, hidden),
        }

    @property
    def out(self) -> tuple[int, ...]:
        return (self.batch, self.n, self.n, self.dim)

    @property
    def work(self) -> int:
        """Floats of scratch memory a kernel is given: eight arrays of every pair's channels, and room for weights."""
        widest = max(self.dim, self.hidden) + 32
        return 8 * self.batch * self.n * self.n * widest + 16 * widest * widest + 2**16
