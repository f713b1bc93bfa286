"""What a module is given and must define. Names are those of GPU MODE's problem, so that its answers can be tried here."""

from __future__ import annotations

from typing import Final

from sia_tui.tasks.trimul.spec import Shape

NAMED: Final = {
    "norm_weight": "norm.weight",
    "norm_bias": "norm.bias",
    "left": "left_proj.weight",
    "right": "right_proj.weight",
    "left_gate": "left_gate.weight",
    "right_gate": "right_gate.weight",
    "out_gate": "out_gate.weight",
    "out_norm_weight": "to_out_norm.weight",
    "out_norm_bias": "to_out_norm.bias",
    "to_out": "to_out.weight",
}
"""The weights, by the names that `custom_kernel` finds them under."""

CONTRACT: Final = """\
custom_kernel(data) -> torch.Tensor | None
data = (input [batch, n, n, dim], mask [batch, n, n], weights, config), all float32, contiguous, on the GPU
weights: norm.weight, norm.bias [dim]; left_proj.weight, right_proj.weight, left_gate.weight, right_gate.weight, \
out_gate.weight [hidden, dim]; to_out_norm.weight, to_out_norm.bias [hidden]; to_out.weight [dim, hidden]
config: dim, hidden_dim, output (the tensor [batch, n, n, dim] to fill; one that is returned instead is copied there, on \
the clock)"""


def config_of(shape: Shape) -> dict[str, int]:
    return {"dim": shape.dim, "hidden_dim": shape.hidden}
