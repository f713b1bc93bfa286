"""From a plan to C, for one shape: sizes are constants and tiles are written out, so the compiler has little to guess.

Tiles that do not divide a size overlap the ones before and write the same numbers again. Channels are padded to whole
vectors by weights of zero. What is scratch lies in `work`, array after array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sia_tui.tasks.trimul.grammar import Plan, written
from sia_tui.tasks.trimul.spec import SIGNATURE, Shape

Lines = list[str]

_WEIGHTS: Final = ("left", "right", "left_gate", "right_gate", "out_gate")

_COMMON: Final = """\
#define INLINE static inline __attribute__((always_inline))
INLINE vec load(const float *from) { return *(const vec *)from; }
INLINE void store(float *to, vec v) { *(vec *)to = v; }
INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }
INLINE void norm(const float *from, const float *weight, const float *bias, float *to, int size, int padded) {
    float mean = 0.0f, variance = 0.0f;
    for (int i = 0; i < size; i++) mean += from[i];
    mean /= size;
    for (int i = 0; i < size; i++) variance += (from[i] - mean) * (from[i] - mean);
    float scale = 1.0f / sqrtf(variance / size + 1e-5f);
    for (int i = 0; i < size; i++) to[i] = (from[i] - mean) * scale * weight[i] + bias[i];
    for (int i = size; i < padded; i++) to[i] = 0.0f;
}"""


def render(plan: Plan, shape: Shape) -> str:
    """The source of a kernel for that shape alone."""
    made = _Rendering(plan, shape)
    lines = [
        f"/* {written(plan)} */",
        *made.types(),
        *_COMMON.splitlines(),
        *made.total(),
        *made.sigmoid(),
        *made.pack(),
        *made.put(),
    ]
    body = [*made.scratch(), *made.packing()]
    each = [*made.normalise(), *made.project(), *made.triangle()]
    if not made.inside:
        each += made.finish_all()
    head = "for (int b = 0; b < batch; b++, x += (size_t)P * D, mask += P, out += (size_t)P * D)"
    return "\n".join([*lines, *_in(SIGNATURE, [*body, *_in(head, each)])]) + "\n"


class _Rendering:
    """The parts of one kernel. Names in the C: p a pair, c the first channel of a vector, q what a product sums over."""

    def __init__(self, plan: Plan, shape: Shape) -> None:
        self.plan, self.shape = plan, shape
        self.vec = plan.vec
        self.ti, self.tj, self.rows = min(plan.ti, shape.n), min(plan.tj, shape.n), min(plan.rows, shape.n**2)
        self.inside = plan.nest.endswith("o")
        self.first = plan.layout == "first"
        self.dp, self.hp = _up(shape.dim, self.vec), _up(shape.hidden, self.vec)

    def types(self) -> Lines:
        n, vec = self.shape.n, self.vec
        width = {"last": self.hp, "block": vec, "first": 1}[self.plan.layout]
        planes = {"last": 1, "block": self.hp // vec, "first": self.shape.hidden}[self.plan.layout]
        row = (_up(n, vec) if self.first else n * width) + self.plan.pad
        sizes = {
            **{"N": n, "P": n * n, "D": self.shape.dim, "H": self.shape.hidden, "DP": self.dp, "HP": self.hp, "V": vec},
            **{"R": self.rows, "TI": self.ti, "TJ": self.tj, "BLOCK": self.plan.block or n},
            **{"WIDTH": width, "ROW": row, "PLANE": n * row, "SIDE": n * row * planes},
        }
        wide = f" __attribute__((vector_size({4 * vec}), aligned(4), may_alias))" if vec > 1 else ""
        return [
            *(f"#include <{name}.h>" for name in ("math", "stddef", "string")),
            f"enum {{ {', '.join(f'{name} = {value}' for name, value in sizes.items())} }};",
            f"typedef float vec{wide};",
            f"typedef int ivec{wide};",
        ]

    def total(self) -> Lines:
        """The sum of a vector's lanes, by halves."""
        halves = [2**power for power in range(self.vec.bit_length() - 1)]
        turned = [", ".join(str((lane + by) % self.vec) for lane in range(self.vec)) for by in reversed(halves)]
        body = [f"v += __builtin_shuffle(v, (ivec){{{lanes}}});" for lanes in turned]
        return _in("INLINE float total(vec v)", [*body, "return v[0];" if self.vec > 1 else "return v;"])

    def sigmoid(self) -> Lines:
        if self.plan.exp == "poly":
            return _in("INLINE vec sigmoid(vec v)", self._polynomial())
        if self.vec == 1:
            return ["INLINE vec sigmoid(vec v) { return 1.0f / (1.0f + expf(-v)); }"]
        each = "for (int lane = 0; lane < V; lane++) v[lane] = 1.0f / (1.0f + expf(-v[lane]));"
        return _in("INLINE vec sigmoid(vec v)", [each, "return v;"])

    def _polynomial(self) -> Lines:
        """e^-v = 2^z: the integer part of z goes into the exponent, the rest through the Taylor series of e^f."""
        if self.vec > 1:
            to_int, to_float = "__builtin_convertvector(z, ivec)", "__builtin_convertvector(whole, vec)"
            bounds = [
                "ivec over = z > most, under = z < -most;",
                "z = (vec)(((ivec)z & ~(over | under)) | ((ivec)most & over) | ((ivec)-most & under));",
            ]
        else:
            to_int, to_float = "(ivec)z", "(vec)whole"
            bounds = ["z = fmaxf(fminf(z, most), -most);"]
        return [
            "vec z = v * -1.44269504f, most = v * 0.0f + 120.0f;",
            *bounds,
            f"ivec whole = {to_int};",
            f"vec f = (z - {to_float}) * 0.69314718f;",
            "vec power = 1.0f + f * (1.0f + f * (0.5f + f * (0.16666667f + f * (0.041666667f + f * 0.0083333333f))));",
            "union { ivec i; vec v; } scale = { (whole + 127) << 23 };",
            "return 1.0f / (1.0f + power * scale.v);",
        ]

    def pack(self) -> Lines:
        """Weights [outs, ins] as the product wants them."""
        place = "o * insp + i" if self.plan.product == "dot" else "i * outsp + o"
        body = [
            "memset(to, 0, sizeof(float) * outsp * insp);",
            f"for (int o = 0; o < outs; o++) for (int i = 0; i < ins; i++) to[{place}] = from[o * ins + i];",
        ]
        return _in("static void pack(const float *from, float *to, int outs, int ins, int outsp, int insp)", body)

    def put(self) -> Lines:
        """A vector of channels of pair p to its place in left or right."""
        if self.first:
            body = [
                "float lanes[V];",
                "store(lanes, v);",
                "for (int lane = 0; lane < V && c + lane < H; lane++)",
                "    side[(size_t)(c + lane) * PLANE + p / N * ROW + p % N] = lanes[lane];",
            ]
        else:
            plane = "(size_t)(c / V) * PLANE" if self.plan.layout == "block" else "c"
            body = [f"store(side + {plane} + p / N * ROW + p % N * WIDTH, v);"]
        return _in("INLINE void put(float *side, size_t p, int c, vec v)", body)

    def scratch(self) -> Lines:
        sizes = {"l": "SIDE", "r": "SIDE"}
        if self.plan.gates == "apart":
            sizes |= {"lg": "SIDE", "rg": "SIDE"}
        if self.plan.outgate == "early":
            sizes["og"] = "P * HP"
        if self.plan.norm == "apart":
            sizes["ys"] = "P * DP"
        if not self.inside:
            sizes["ts"] = "P * HP"
        sizes |= dict.fromkeys((f"w_{name}" for name in (*_WEIGHTS, "to_out")), "DP * HP")
        lines = []
        for name, size in sizes.items():
            lines += [f"float *{name} = work;", f"work += ((size_t){size} + 15) / 16 * 16;"]
        return lines

    def packing(self) -> Lines:
        lines = [f"pack({name}, w_{name}, H, D, HP, DP);" for name in _WEIGHTS]
        lines.append("pack(to_out, w_to_out, D, H, DP, HP);")
        if self.first:
            lines += ["memset(l, 0, sizeof(float) * SIDE);", "memset(r, 0, sizeof(float) * SIDE);"]
            if self.plan.gates == "apart":
                lines += ["memset(lg, 0, sizeof(float) * SIDE);", "memset(rg, 0, sizeof(float) * SIDE);"]
        return lines

    def normalise(self) -> Lines:
        if self.plan.norm == "fused":
            return []
        return ["for (size_t p = 0; p < P; p++) norm(x + p * D, norm_weight, norm_bias, ys + p * DP, D, DP);"]

    def rows_of_y(self, rows: int) -> Lines:
        """Declares y, the normalised rows of pairs p and following."""
        if self.plan.norm == "apart":
            return ["const float *y = ys + p * DP;"]
        each = "norm(x + (p + row) * D, norm_weight, norm_bias, y + row * DP, D, DP);"
        return [f"float y[{rows} * DP];", f"for (int row = 0; row < {rows}; row++) {each}"]

    def project(self) -> Lines:
        """Left, right and, early, the gate: R pairs at a time."""
        body: Lines = []
        if self.plan.gates == "together":
            for side in ("left", "right"):
                made = self.product("D", "H", [("v", f"w_{side}"), ("g", f"w_{side}_gate")], "y", self.rows)
                made += self._each(f"put({side[0]}, p + %d, c, mask[p + %d] * v%d * sigmoid(g%d));")
                body += _in("", made)
        else:
            for side in ("left", "right"):
                made = self.product("D", "H", [("v", f"w_{side}")], "y", self.rows)
                body += _in("", [*made, *self._each(f"put({side[0]}, p + %d, c, mask[p + %d] * v%d);")])
                made = self.product("D", "H", [("v", f"w_{side}_gate")], "y", self.rows)
                body += _in("", [*made, *self._each(f"put({side[0]}g, p + %d, c, v%d);")])
        if self.plan.outgate == "early":
            made = self.product("D", "H", [("v", "w_out_gate")], "y", self.rows)
            body += _in("", [*made, *self._each("store(og + (p + %d) * HP + c, sigmoid(v%d));")])
        body = [
            "size_t p = least(first, P - R);",
            *self.rows_of_y(self.rows),
            *_in("for (int c = 0; c < HP; c += V)", body),
        ]
        lines = _in("for (size_t first = 0; first < P; first += R)", body)
        if self.plan.gates == "apart":
            for side in ("l", "r"):
                step = f"store({side} + at, load({side} + at) * sigmoid(load({side}g + at)));"
                lines += _in("for (size_t at = 0; at + V <= SIDE; at += V)", [step])
                lines += _in("for (size_t at = SIDE / V * V; at < SIDE; at++)", self._last_ones(side))
        return lines

    @staticmethod
    def _last_ones(side: str) -> Lines:
        return [f"{side}[at] /= 1.0f + expf(-{side}g[at]);"]

    def product(self, ins: str, outs: str, results: Sequence[tuple[str, str]], source: str, rows: int) -> Lines:
        """Declares, for each (result, weights) and row, the vec of outputs c..c+V: source's row times the weights."""
        names = [f"{result}{row}" for result, _ in results for row in range(rows)]
        zeros = f"vec {', '.join(f'{name} = {{0}}' for name in names)};"
        if self.plan.product == "outer":
            body = [f"vec w_{result} = load({weights} + (size_t)q * {outs}P + c);" for result, weights in results]
            for row in range(rows):
                body.append(f"float s{row} = {source}[{row} * {ins}P + q];")
                body += [f"{result}{row} += s{row} * w_{result};" for result, _ in results]
            return [zeros, *_in(f"for (int q = 0; q < {ins}; q++)", body)]
        body = [f"vec w_{result} = load({weights} + (size_t)(c + lane) * {ins}P + q);" for result, weights in results]
        for row in range(rows):
            body.append(f"vec s{row} = load({source} + {row} * {ins}P + q);")
            body += [f"{result}{row} += s{row} * w_{result};" for result, _ in results]
        sums = [f"{name}s[lane] = total({name});" for name in names]
        lanes = [zeros, *_in(f"for (int q = 0; q < {ins}P; q += V)", body), *sums]
        declared = f"float {', '.join(f'{name}s[V]' for name in names)};"
        loaded = f"vec {', '.join(f'{name} = load({name}s)' for name in names)};"
        return [declared, *_in("for (int lane = 0; lane < V; lane++)", lanes), loaded]

    def triangle(self) -> Lines:
        """The loops of the nest around one tile: blocks of i and j, tiles of i and j, channels."""
        channels = "for (int c = 0; c < H; c++)" if self.first else "for (int c = 0; c < HP; c += V)"
        blocks = {one: f"for (size_t {one}b = 0; {one}b < N; {one}b += BLOCK)" for one in "ij"}
        tiles = {
            one: f"for (size_t {one}t = {one}b; {one}t < least({one}b + BLOCK, N); {one}t += T{one.upper()})"
            for one in "ij"
        }
        outer, inner = ("i", "j") if "ij" in self.plan.nest else ("j", "i")
        place = ["size_t i = least(it, N - TI), j = least(jt, N - TJ);"]
        if self.plan.nest.startswith("c"):
            body = [*place, *self.tile()]
        else:
            body = [*place, *(["float tile[TI * TJ * HP];"] if self.inside else []), *_in(channels, self.tile())]
            body += self._finished_rows() if self.inside else []
        for head in (tiles[inner], tiles[outer], blocks[inner], blocks[outer]):
            body = _in(head, body)
        return _in(channels, body) if self.plan.nest.startswith("c") else body

    def tile(self) -> Lines:
        """TI by TJ sums over k in registers: of vectors of channels, or along vectors of k where channels are first."""
        sums = [(row, column) for row in range(self.ti) for column in range(self.tj)]
        plane = {"last": "c", "block": "(size_t)(c / V) * PLANE", "first": "(size_t)c * PLANE"}[self.plan.layout]
        step, end = (
            ("V", "ROW - V + 1" if not self.plan.pad else f"ROW - {self.plan.pad} - V + 1")
            if self.first
            else ("1", "N")
        )
        stride = "" if self.first else " * WIDTH"
        body = [f"vec a{row} = load(a + {row} * ROW + k{stride});" for row in range(self.ti)]
        for column in range(self.tj):
            body.append(f"vec b{column} = load(b + {column} * ROW + k{stride});")
            body += [f"t{row}_{column} += a{row} * b{column};" for row in range(self.ti)]
        return [
            f"const float *a = l + {plane} + i * ROW, *b = r + {plane} + j * ROW;",
            f"vec {', '.join(f't{row}_{column} = {{0}}' for row, column in sums)};",
            f"#pragma GCC unroll {self.plan.unroll}",
            *_in(f"for (size_t k = 0; k < {end}; k += {step})", body),
            *(self._kept(row, column) for row, column in sums),
        ]

    def _kept(self, row: int, column: int) -> str:
        to = (
            f"tile + ({row} * TJ + {column}) * HP + c"
            if self.inside
            else f"ts + ((i + {row}) * N + j + {column}) * HP + c"
        )
        if self.first:
            return f"*({to}) = total(t{row}_{column});"
        return f"store({to}, t{row}_{column});"

    def finish_all(self) -> Lines:
        rows = ["size_t p = least(first, P - R);", "const float *t = ts + p * HP;", *self.finish(self.rows)]
        return _in("for (size_t first = 0; first < P; first += R)", rows)

    def _finished_rows(self) -> Lines:
        rows = ["size_t p = (i + row) * N + j;", "const float *t = tile + row * TJ * HP;", *self.finish(self.tj)]
        return _in("for (size_t row = 0; row < TI; row++)", rows)

    def finish(self, rows: int) -> Lines:
        """The outputs of pairs p and following, from their channels t: normalised, gated, multiplied."""
        each = "norm(t + row * HP, out_norm_weight, out_norm_bias, z + row * HP, H, HP);"
        lines = [f"float z[{rows} * HP];", f"for (int row = 0; row < {rows}; row++) {each}"]
        if self.plan.outgate == "early":
            gate = [f"vec g{row} = load(og + (p + {row}) * HP + c);" for row in range(rows)]
        else:
            lines += self.rows_of_y(rows)
            gate = self.product("D", "H", [("v", "w_out_gate")], "y", rows)
            gate += [f"vec g{row} = sigmoid(v{row});" for row in range(rows)]
        gate += [f"store(z + {row} * HP + c, load(z + {row} * HP + c) * g{row});" for row in range(rows)]
        lines += _in("for (int c = 0; c < HP; c += V)", gate)
        made = self.product("H", "D", [("v", "w_to_out")], "z", rows)
        made += [self._out(row) for row in range(rows)]
        return [*lines, *_in("for (int c = 0; c < DP; c += V)", made)]

    def _out(self, row: int) -> str:
        """The last vector of a row may reach beyond it: then its numbers are copied one by one."""
        to = f"out + (p + {row}) * D + c"
        whole = f"store({to}, v{row});"
        if self.dp == self.shape.dim:
            return whole
        return f"if (c + V <= D) {whole} else {{ float e[V]; store(e, v{row}); memcpy({to}, e, sizeof(float) * (D - c)); }}"

    def _each(self, line: str) -> Lines:
        """The line for every row, its number in each of the places."""
        return [line % ((row,) * line.count("%d")) for row in range(self.rows)]


def _in(head: str, body: Lines) -> Lines:
    return [f"{head} {{" if head else "{", *(f"    {line}" for line in body), "}"]


def _up(size: int, vec: int) -> int:
    return (size + vec - 1) // vec * vec
