/* The baseline: the definition written down loop by loop. work holds left, right, their product and the gate. */
#include <math.h>
#include <stddef.h>

static void layer_norm(const float *from, const float *weight, const float *bias, float *to, int size) {
    float mean = 0.0f, variance = 0.0f;
    for (int i = 0; i < size; i++) mean += from[i];
    mean /= size;
    for (int i = 0; i < size; i++) variance += (from[i] - mean) * (from[i] - mean);
    float scale = 1.0f / sqrtf(variance / size + 1e-5f);
    for (int i = 0; i < size; i++) to[i] = (from[i] - mean) * scale * weight[i] + bias[i];
}

static float dot(const float *a, const float *b, int size) {
    float sum = 0.0f;
    for (int i = 0; i < size; i++) sum += a[i] * b[i];
    return sum;
}

static float sigmoid(float value) { return 1.0f / (1.0f + expf(-value)); }

void trimul(int batch, int n, int dim, int hidden,
            const float *x, const float *mask,
            const float *norm_weight, const float *norm_bias,
            const float *left, const float *right, const float *left_gate, const float *right_gate, const float *out_gate,
            const float *out_norm_weight, const float *out_norm_bias, const float *to_out,
            float *out, float *work) {
    size_t pairs = (size_t)n * n;
    float *l = work, *r = l + pairs * hidden, *t = r + pairs * hidden, *gate = t + pairs * hidden;
    float *y = gate + pairs * hidden;
    for (int b = 0; b < batch; b++, x += pairs * dim, mask += pairs, out += pairs * dim) {
        for (size_t p = 0; p < pairs; p++) {
            layer_norm(x + p * dim, norm_weight, norm_bias, y, dim);
            for (int h = 0; h < hidden; h++) {
                l[p * hidden + h] = mask[p] * sigmoid(dot(y, left_gate + h * dim, dim)) * dot(y, left + h * dim, dim);
                r[p * hidden + h] = mask[p] * sigmoid(dot(y, right_gate + h * dim, dim)) * dot(y, right + h * dim, dim);
                gate[p * hidden + h] = sigmoid(dot(y, out_gate + h * dim, dim));
            }
        }
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                for (int h = 0; h < hidden; h++) {
                    float sum = 0.0f;
                    for (int k = 0; k < n; k++)
                        sum += l[((size_t)i * n + k) * hidden + h] * r[((size_t)j * n + k) * hidden + h];
                    t[((size_t)i * n + j) * hidden + h] = sum;
                }
        for (size_t p = 0; p < pairs; p++) {
            layer_norm(t + p * hidden, out_norm_weight, out_norm_bias, y, hidden);
            for (int h = 0; h < hidden; h++) y[h] *= gate[p * hidden + h];
            for (int d = 0; d < dim; d++) out[p * dim + d] = dot(y, to_out + d * hidden, hidden);
        }
    }
}
