/* The null: what anyone would write who knows BLAS. Channels first, so that every product is one sgemm; SGEMM and INT are
   the names of the library at hand. work holds y, five projections of every pair, and their product. */
#include <math.h>
#include <stddef.h>

enum { ROWS = 101, PLAIN = 111, TURNED = 112 };
void SGEMM(int order, int turn_a, int turn_b, INT m, INT n, INT k, float alpha, const float *a, INT lda,
           const float *b, INT ldb, float beta, float *c, INT ldc);

static void gated(const float *restrict values, const float *restrict gate, const float *restrict mask, float *restrict to,
                  size_t size) {
    for (size_t p = 0; p < size; p++) to[p] = mask[p] * values[p] / (1.0f + expf(-gate[p]));
}

void trimul(int batch, int n, int dim, int hidden,
            const float *x, const float *mask,
            const float *norm_weight, const float *norm_bias,
            const float *left, const float *right, const float *left_gate, const float *right_gate, const float *out_gate,
            const float *out_norm_weight, const float *out_norm_bias, const float *to_out,
            float *out, float *work) {
    size_t pairs = (size_t)n * n, plane = pairs * hidden;
    float *y = work, *l = y + pairs * dim, *r = l + plane, *lg = r + plane, *rg = lg + plane, *og = rg + plane;
    float *mean = og + plane, *scale = mean + pairs, *t = lg;
    for (int b = 0; b < batch; b++, x += pairs * dim, mask += pairs, out += pairs * dim) {
        for (size_t p = 0; p < pairs; p++) {
            const float *row = x + p * dim;
            float m = 0.0f, v = 0.0f;
            for (int d = 0; d < dim; d++) m += row[d];
            m /= dim;
            for (int d = 0; d < dim; d++) v += (row[d] - m) * (row[d] - m);
            float s = 1.0f / sqrtf(v / dim + 1e-5f);
            for (int d = 0; d < dim; d++) y[p * dim + d] = (row[d] - m) * s * norm_weight[d] + norm_bias[d];
        }
        const float *weights[] = {left, right, left_gate, right_gate, out_gate};
        float *planes[] = {l, r, lg, rg, og};
        for (int w = 0; w < 5; w++)
            SGEMM(ROWS, PLAIN, TURNED, hidden, pairs, dim, 1.0f, weights[w], dim, y, dim, 0.0f, planes[w], pairs);
        for (int h = 0; h < hidden; h++) {
            gated(l + h * pairs, lg + h * pairs, mask, l + h * pairs, pairs);
            gated(r + h * pairs, rg + h * pairs, mask, r + h * pairs, pairs);
        }
        for (int h = 0; h < hidden; h++)
            SGEMM(ROWS, PLAIN, TURNED, n, n, n, 1.0f, l + h * pairs, n, r + h * pairs, n, 0.0f, t + h * pairs, n);
        for (size_t p = 0; p < pairs; p++) mean[p] = scale[p] = 0.0f;
        for (int h = 0; h < hidden; h++)
            for (size_t p = 0; p < pairs; p++) mean[p] += t[h * pairs + p] / hidden;
        for (int h = 0; h < hidden; h++)
            for (size_t p = 0; p < pairs; p++)
                scale[p] += (t[h * pairs + p] - mean[p]) * (t[h * pairs + p] - mean[p]) / hidden;
        for (size_t p = 0; p < pairs; p++) scale[p] = 1.0f / sqrtf(scale[p] + 1e-5f);
        for (int h = 0; h < hidden; h++)
            for (size_t p = 0; p < pairs; p++) {
                float normed = (t[h * pairs + p] - mean[p]) * scale[p] * out_norm_weight[h] + out_norm_bias[h];
                t[h * pairs + p] = normed / (1.0f + expf(-og[h * pairs + p]));
            }
        SGEMM(ROWS, TURNED, TURNED, pairs, dim, hidden, 1.0f, t, pairs, to_out, hidden, 0.0f, out, dim);
    }
}
