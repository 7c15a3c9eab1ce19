/*
 * edgeml_fully_connected for cores with vectors: 16 products at once, for four outputs in turn.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

/* sum + sum_i x[i] * w[j][i] for four j: x [n], w [4, n] */
static inline int32x4_t multiply(const int8_t *x, const int8_t *const w[4], int32_t n, int32x4_t sums) {
  const int8_t *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  /* In assembly for the loop that needs no rest: its last turn loads and adds only what is left. */
  __asm__("   dlstp.8 lr, %[n]\n"
          "1: vldrb.8 q0, [%[x]], #16\n"
          "   vldrb.8 q1, [%[w0]], #16\n"
          "   vmladava.s8 %[s0], q0, q1\n"
          "   vldrb.8 q2, [%[w1]], #16\n"
          "   vmladava.s8 %[s1], q0, q2\n"
          "   vldrb.8 q1, [%[w2]], #16\n"
          "   vmladava.s8 %[s2], q0, q1\n"
          "   vldrb.8 q2, [%[w3]], #16\n"
          "   vmladava.s8 %[s3], q0, q2\n"
          "   letp lr, 1b\n"
          : [x] "+r"(x), [w0] "+r"(w0), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [s0] "+Te"(s0), [s1] "+Te"(s1),
            [s2] "+Te"(s2), [s3] "+Te"(s3)
          : [n] "r"(n)
          : "q0", "q1", "q2", "lr", "memory");
  return vaddq_s32(sums, edgeml_vector(s0, s1, s2, s3));
}

/* Four outputs of every row, or as many as there are: what belongs to an output is loaded once. */
static void four(const edgeml_fully_connected_t *layer, const int8_t *x, int32_t o, int8_t *y) {
  const int32_t inputs = layer->inputs, outputs = layer->outputs, zero_point = layer->output_zero_point;
  const int32_t narrow = layer->narrow, last = outputs - 1, each = layer->per_channel;
  const int8_t *const all = layer->weights;
  const int8_t *const w[4] = {all + o * inputs, all + (o + 1 < last ? o + 1 : last) * inputs,
                              all + (o + 2 < last ? o + 2 : last) * inputs,
                              all + (o + 3 < last ? o + 3 : last) * inputs};
  const mve_pred16_t lanes = vctp32q((uint32_t)(outputs - o));
  const int32x4_t bias = vldrwq_z_s32(layer->bias + o, lanes);
  const int32x4_t multiplier =
      each ? vldrwq_z_s32(layer->multiplier + o, lanes) : vdupq_n_s32(layer->multiplier[0]);
  const int32x4_t shift = each ? vldrbq_z_s32(layer->shift + o, lanes) : vdupq_n_s32(layer->shift[0]);
  y += o;
  for (int32_t rows = layer->rows; rows > 0; --rows, x += inputs, y += outputs) {
    const int32x4_t sums = multiply(x, w, inputs, bias);
    const int32x4_t values = narrow ? edgeml_finish_narrow(sums, multiplier, shift, zero_point)
                                    : edgeml_finish(sums, multiplier, shift, zero_point);
    vstrbq_p_s32(y, values, lanes);
  }
}

void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t o = 0; o < layer->outputs; o += 4) {
    four(layer, input, o, output);
  }
  edgeml_limit(layer->lowest, layer->highest, output, layer->rows * layer->outputs);
}
#endif
