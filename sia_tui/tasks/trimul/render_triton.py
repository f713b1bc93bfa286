"""From a plan to a Python module with Triton kernels, for one shape: sizes are numbers in its text.

Four passes at most: normalise, project (left, right, gate), the triangle, finish. In the kernels p is a pair of the whole
batch, h a hidden channel, q a channel of the input, c one of the output. Tiles that do not divide a size are masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sia_tui.tasks.trimul.grammar import written
from sia_tui.tasks.trimul.grammar_triton import Plan
from sia_tui.tasks.trimul.spec import Shape

Lines = list[str]

SHARED: Final = 160 * 1024
"""Bytes of shared memory that the triangle's stages may take: what an A100's multiprocessor has, and so an H100's."""
LEAST: Final = 16
"""A side of a tile that `tl.dot` multiplies, at least."""
_OPERAND: Final = {"ieee": "float32", "tf32": "float32", "fp16": "float16"}
_KEPT: Final = {"fp32": "float32", "bf16": "bfloat16"}
_WEIGHTS: Final = {"left": "left_proj", "right": "right_proj", "gate": "out_gate"}


def render(plan: Plan, shape: Shape) -> str:
    """The source of a module that defines `custom_kernel` for that shape alone."""
    made = _Rendering(plan, shape)
    parts = [made.head(), made.moments(), made.rows_of_y(), *made.passes(), made.custom_kernel()]
    return "\n".join(line for part in parts for line in [*part, ""]) + "\n"


class _Rendering:
    def __init__(self, plan: Plan, shape: Shape) -> None:
        self.plan, self.shape = plan, shape
        self.n, self.d, self.h = shape.n, shape.dim, shape.hidden
        self.square = shape.n**2
        self.all = shape.batch * self.square
        self.wide = max(LEAST, 1 << (self.h - 1).bit_length())
        self.operand, self.kept = _OPERAND[plan.dot], _KEPT[plan.keep]
        self.apart = plan.norm == "apart"
        self.early = plan.outgate == "early"

    def head(self) -> Lines:
        return [f"# {written(self.plan)}", "import torch", "import triton", "import triton.language as tl", ""]

    def moments(self) -> Lines:
        """Mean and one over the deviation of rows p of x, in two passes over them."""
        r, s = self.plan.pairs, self.plan.slice
        return _jit(
            "moments(x, p)",
            [
                f"total = tl.zeros(({r},), tl.float32)",
                *_for("first", self.d, s, [*self._slice("x"), "total += tl.sum(v, 1)"]),
                f"mean = total / {self.d}",
                f"squares = tl.zeros(({r},), tl.float32)",
                *_for(
                    "first",
                    self.d,
                    s,
                    [
                        *self._slice("x"),
                        f"v = tl.where((q < {self.d})[None, :], v - mean[:, None], 0.0)",
                        "squares += tl.sum(v * v, 1)",
                    ],
                ),
                f"return mean, 1.0 / tl.sqrt(squares / {self.d} + 1e-5)",
            ],
        )

    def rows_of_y(self) -> Lines:
        """A slice of the normalised rows p, as an operand."""
        return _jit(
            "normal(x, norm_weight, norm_bias, p, mean, scale, first)",
            [
                *self._slice("x"),
                f"weight = tl.load(norm_weight + q, mask=q < {self.d}, other=0.0)",
                f"bias = tl.load(norm_bias + q, mask=q < {self.d}, other=0.0)",
                f"return ((v - mean[:, None]) * scale[:, None] * weight[None, :] + bias[None, :]).to(tl.{self.operand})",
            ],
        )

    def passes(self) -> list[Lines]:
        sides = ("left", "right", "gate") if self.early else ("left", "right")
        groups = [sides] if self.plan.sides == "together" else [(side,) for side in sides]
        first = [self.normalise()] if self.apart else []
        return [*first, *(self.project(group) for group in groups), self.triangle(), self.finish()]

    def normalise(self) -> Lines:
        store = f"tl.store(y + p[:, None] * {self.d} + q[None, :], v, mask={self._inside('q', self.d)})"
        body = [
            *self._pairs(),
            "mean, scale = moments(x, p)",
            *_for(
                "first",
                self.d,
                self.plan.slice,
                [
                    f"q = first + tl.arange(0, {self.plan.slice})",
                    "v = normal(x, norm_weight, norm_bias, p, mean, scale, first)",
                    store,
                ],
            ),
        ]
        return _jit("normalise(x, norm_weight, norm_bias, y)", body)

    def project(self, sides: Sequence[str]) -> Lines:
        """R pairs by C hidden channels of each side, with its gate."""
        r, c = self.plan.pairs, self.plan.channels
        products = [name for side in sides for name in ([side] if side == "gate" else [side, f"{side}_gate"])]
        body = [*self._pairs(), f"h = tl.program_id(1) * {c} + tl.arange(0, {c})", *self._before_y()]
        body += [f"s_{name} = tl.zeros(({r}, {c}), tl.float32)" for name in products]
        each = self._y()
        for name in products:
            each += [self._weights(f"w_{name}", "h"), self._dot(f"s_{name}", "y_", "w")]
        body += _for("first", self.d, self.plan.slice, each)
        body.append(f"inside = {self._inside('h', self.h)}")
        if any(side != "gate" for side in sides):
            body.append(f"seen = tl.load(mask + p, mask=p < {self.all}, other=0).to(tl.float32)[:, None]")
        for side in sides:
            if side == "gate":
                value, place = "tl.sigmoid(s_gate)", f"gate + p[:, None] * {self.h} + h[None, :]"
            else:
                value, place = f"seen * s_{side} * tl.sigmoid(s_{side}_gate)", self._place(side, self.plan.lie)
            body.append(f"tl.store({place}, ({value}).to(tl.{self.operand}), mask=inside)")
        weights = ", ".join(f"w_{name}" for name in products)
        return _jit(f"project_{'_'.join(sides)}(x, norm_weight, norm_bias, mask, {weights}, {', '.join(sides)})", body)

    def triangle(self) -> Lines:
        plan, n = self.plan, self.n
        rows, columns = -(-n // plan.ti), -(-n // plan.tj)
        channel, row, column = self._strides(plan.lie)
        to_channel, to_row, to_column = self._strides(plan.sums)
        body = [
            f"many = {plan.group} * {columns}",
            f"top = tl.program_id(0) // many * {plan.group}",
            f"high = tl.minimum({rows} - top, {plan.group})",
            f"i = ((top + tl.program_id(0) % many % high) * {plan.ti} + tl.arange(0, {plan.ti})).to(tl.int64)",
            f"j = (tl.program_id(0) % many // high * {plan.tj} + tl.arange(0, {plan.tj})).to(tl.int64)",
            "plane = tl.program_id(1).to(tl.int64)",
            f"base = plane // {self.h} * {self.h * self.square} + plane % {self.h} * {channel}",
            f"s_t = tl.zeros(({plan.ti}, {plan.tj}), tl.float32)",
            *_for(
                "first",
                n,
                plan.tk,
                [
                    f"k = first + tl.arange(0, {plan.tk})",
                    f"a = tl.load(left + base + i[:, None] * {row} + k[None, :] * {column}, "
                    f"mask=(i < {n})[:, None] & (k < {n})[None, :], other=0.0)",
                    f"b = tl.load(right + base + j[None, :] * {row} + k[:, None] * {column}, "
                    f"mask=(j < {n})[None, :] & (k < {n})[:, None], other=0.0)",
                    self._dot("s_t", "a", "b"),
                ],
            ),
            f"to = plane // {self.h} * {self.h * self.square} + plane % {self.h} * {to_channel}",
            f"tl.store(sums + to + i[:, None] * {to_row} + j[None, :] * {to_column}, s_t.to(tl.{self.kept}), "
            f"mask=(i < {n})[:, None] & (j < {n})[None, :])",
        ]
        return _jit("triangle(left, right, sums)", body)

    def finish(self) -> Lines:
        """Normalise the sums of R pairs, meet the gate, and go back to the channels of the output."""
        r, c = self.plan.pairs, self.plan.channels
        body = [
            *self._pairs(),
            f"h = tl.arange(0, {self.wide})",
            f"inside = {self._inside('h', self.h)}",
            f"t = tl.load({self._place('sums', self.plan.sums)}, mask=inside, other=0.0).to(tl.float32)",
            f"t -= (tl.sum(t, 1) / {self.h})[:, None]",
            "t = tl.where(inside, t, 0.0)",
            f"t *= (1.0 / tl.sqrt(tl.sum(t * t, 1) / {self.h} + 1e-5))[:, None]",
            f"weight = tl.load(out_weight + h, mask=h < {self.h}, other=0.0)",
            f"bias = tl.load(out_bias + h, mask=h < {self.h}, other=0.0)",
            "t = t * weight[None, :] + bias[None, :]",
        ]
        if self.early:
            body.append(
                f"g = tl.load(gate + p[:, None] * {self.h} + h[None, :], mask=inside, other=0.0).to(tl.float32)"
            )
        else:
            each = [*self._y(), self._weights("w_gate", "h"), self._dot("s_gate", "y_", "w")]
            body += [*self._before_y(), f"s_gate = tl.zeros(({r}, {self.wide}), tl.float32)"]
            body += [*_for("first", self.d, self.plan.slice, each), "g = tl.sigmoid(s_gate)"]
        outward = [
            f"c = first + tl.arange(0, {c})",
            f"w = tl.load(to_out + c[None, :] * {self.h} + h[:, None], "
            f"mask=(c < {self.d})[None, :] & (h < {self.h})[:, None], other=0.0).to(tl.{self.operand})",
            f"s_out = tl.zeros(({r}, {c}), tl.float32)",
            self._dot("s_out", "t", "w"),
            f"tl.store(out + p[:, None] * {self.d} + c[None, :], s_out, mask={self._inside('c', self.d)})",
        ]
        body += [f"t = (t * g).to(tl.{self.operand})", *_for("first", self.d, c, outward)]
        gate = "gate" if self.early else "x, norm_weight, norm_bias, w_gate"
        return _jit(f"finish(sums, out_weight, out_bias, {gate}, to_out, out)", body)

    def custom_kernel(self) -> Lines:
        plan, warps = self.plan, f"num_warps={self.plan.warps}"
        strips = -(-self.all // plan.pairs)
        size = f"({self.shape.batch}, {self.n}, {self.n}, {self.d})"
        body = [
            "x, mask, weights, config = data",
            f"if tuple(x.shape) != {size}:",
            f'    raise ValueError(f"this module is for x of {size}, not {{tuple(x.shape)}}")',
            'out = config.get("output")',
            "out = torch.empty_like(x) if out is None else out",
            'norm = (weights["norm.weight"], weights["norm.bias"])',
        ]
        sides = ["left", "right", "gate"] if self.early else ["left", "right"]
        body += [
            f"{side} = torch.empty({self.all * self.h}, dtype=torch.{self.operand}, device=x.device)" for side in sides
        ]
        body.append(f"sums = torch.empty({self.all * self.h}, dtype=torch.{self.kept}, device=x.device)")
        source = "x"
        if self.apart:
            body.append(f"y = torch.empty({self.all * self.d}, dtype=torch.{self.operand}, device=x.device)")
            body.append(f"normalise[({strips},)](x, *norm, y, {warps}, num_stages=1)")
            source = "y"
        for group in [sides] if plan.sides == "together" else [[side] for side in sides]:
            names = [name for side in group for name in self._named(side)]
            given = ", ".join(f'weights["{name}.weight"]' for name in names)
            grid = f"({strips}, {-(-self.h // plan.channels)})"
            body.append(
                f"project_{'_'.join(group)}[{grid}]({source}, *norm, mask, {given}, {', '.join(group)}, {warps}, num_stages=1)"
            )
        tiles = -(-self.n // plan.ti) * -(-self.n // plan.tj)
        grid = f"({tiles}, {self.shape.batch * self.h})"
        body.append(f"triangle[{grid}](left, right, sums, {warps}, num_stages={self._stages()})")
        gate = "gate" if self.early else f'{source}, *norm, weights["out_gate.weight"]'
        after = 'weights["to_out_norm.weight"], weights["to_out_norm.bias"]'
        body.append(f'finish[({strips},)](sums, {after}, {gate}, weights["to_out.weight"], out, {warps}, num_stages=1)')
        return ["def custom_kernel(data):", *_in([*body, "return out"])]

    def _named(self, side: str) -> tuple[str, ...]:
        return ("out_gate",) if side == "gate" else (_WEIGHTS[side], f"{side}_gate")

    def _stages(self) -> int:
        tile = (self.plan.ti + self.plan.tj) * self.plan.tk * (2 if self.plan.dot == "fp16" else 4)
        return max(1, min(self.plan.stages, SHARED // tile))

    def _pairs(self) -> Lines:
        r = self.plan.pairs
        return [f"p = (tl.program_id(0) * {r} + tl.arange(0, {r})).to(tl.int64)"]

    def _inside(self, channel: str, size: int) -> str:
        return f"(p < {self.all})[:, None] & ({channel} < {size})[None, :]"

    def _slice(self, source: str) -> Lines:
        """Declares q, a slice of channels, and v, those of rows p."""
        return [
            f"q = first + tl.arange(0, {self.plan.slice})",
            f"v = tl.load({source} + p[:, None] * {self.d} + q[None, :], mask={self._inside('q', self.d)}, other=0.0)",
        ]

    def _before_y(self) -> Lines:
        return [] if self.apart else ["mean, scale = moments(x, p)"]

    def _y(self) -> Lines:
        """Declares y_, a slice of the normalised rows; where that is a pass of its own, x is what it stored."""
        q = f"q = first + tl.arange(0, {self.plan.slice})"
        if not self.apart:
            return [q, "y_ = normal(x, norm_weight, norm_bias, p, mean, scale, first)"]
        return [line.replace("v = ", "y_ = ", 1) for line in self._slice("x")]

    def _weights(self, name: str, h: str) -> str:
        inside = f"({h} < {self.h})[None, :] & (q < {self.d})[:, None]"
        place = f"{name} + {h}[None, :] * {self.d} + q[:, None]"
        return f"w = tl.load({place}, mask={inside}, other=0.0).to(tl.{self.operand})"

    def _dot(self, total: str, left: str, right: str) -> str:
        precision = "" if self.plan.dot == "fp16" else f', input_precision="{self.plan.dot}"'
        return f"{total} = tl.dot({left}, {right}, {total}{precision})"

    def _strides(self, order: str) -> tuple[int, int, int]:
        """From one channel, row and column to the next."""
        return (self.square, self.n, 1) if order == "first" else (1, self.n * self.h, self.h)

    def _place(self, array: str, order: str) -> str:
        if order == "last":
            return f"{array} + p[:, None] * {self.h} + h[None, :]"
        start = f"(p // {self.square} * {self.h * self.square} + p % {self.square})"
        return f"{array} + {start}[:, None] + h[None, :] * {self.square}"


def _jit(signature: str, body: Lines) -> Lines:
    return ["@triton.jit", f"def {signature}:", *_in(body)]


def _for(name: str, size: int, step: int, body: Lines) -> Lines:
    return [f"for {name} in range(0, {size}, {step}):", *_in(body)]


def _in(lines: Lines) -> Lines:
    return [f"    {line}" for line in lines]
