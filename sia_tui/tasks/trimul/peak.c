/* What this core can do at most, timed like any kernel. -DFLOPS: independent fused multiply-adds, as many in flight as
   there are registers for; else: reading 128 KiB, which lie in the second level cache, again and again. */
#ifdef __AVX512F__
enum { LANES = 16, CHAINS = 24 };
#else
enum { LANES = 8, CHAINS = 12 };
#endif
typedef float vec __attribute__((vector_size(4 * LANES)));
enum { STEPS = 1 << 20, BLOCK = (1 << 15) / LANES, PASSES = 1 << 11 };

const float OPERATIONS = 2.0f * LANES * CHAINS * STEPS, BYTES = 4.0f * LANES * BLOCK * PASSES;

void trimul(int batch, int n, int dim, int hidden,
            const float *x, const float *mask,
            const float *norm_weight, const float *norm_bias,
            const float *left, const float *right, const float *left_gate, const float *right_gate, const float *out_gate,
            const float *out_norm_weight, const float *out_norm_bias, const float *to_out,
            float *out, float *work) {
    vec sum[CHAINS] = {0};
#ifdef FLOPS
    vec by = sum[0] + x[0] * 0.001f, add = sum[0] + x[1];
    for (int step = 0; step < STEPS; step++)
        for (int chain = 0; chain < CHAINS; chain++) sum[chain] = sum[chain] * by + add;
    out[0] = OPERATIONS;
#else
    vec *block = (vec *)work;
    for (int i = 0; i < BLOCK; i++) block[i] = sum[0] + 1.0f;
    for (int pass = 0; pass < PASSES; pass++) {
        asm volatile("" ::: "memory");
        for (int i = 0; i < BLOCK; i += 8)
            for (int chain = 0; chain < 8; chain++) sum[chain] += block[i + chain];
    }
    out[0] = BYTES;
#endif
    for (int chain = 1; chain < CHAINS; chain++) sum[0] += sum[chain];
    for (int lane = 0; lane < LANES; lane++) out[1 + lane] = sum[0][lane];
}
