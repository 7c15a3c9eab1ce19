/*
 * edgeml_fully_connected for cores with vectors: 16 products at once, of two rows and two outputs in turn.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

/* What belongs to four outputs, or as many as there are; in the place of others is the last, which is not stored. */
typedef struct {
  const int8_t *w0, *w1, *w2, *w3;
  int32x4_t bias, multiplier, shift;
  mve_pred16_t lanes;
} outputs_t;

static inline outputs_t outputs_from(const edgeml_fully_connected_t *layer, int32_t o) {
  const int32_t inputs = layer->inputs, left = layer->outputs - o, each = layer->per_channel;
  const mve_pred16_t lanes = vctp32q((uint32_t)left);
  outputs_t found;
  found.w0 = layer->weights + o * inputs;
  found.w1 = found.w0 + (left > 1 ? inputs : 0);
  found.w2 = found.w1 + (left > 2 ? inputs : 0);
  found.w3 = found.w2 + (left > 3 ? inputs : 0);
  found.bias = vldrwq_z_s32(layer->bias + o, lanes);
  found.multiplier = each ? vldrwq_z_s32(layer->multiplier + o, lanes) : vdupq_n_s32(layer->multiplier[0]);
  found.shift = each ? vldrbq_z_s32(layer->shift + o, lanes) : vdupq_n_s32(layer->shift[0]);
  found.lanes = lanes;
  return found;
}

/*
 * sums_j += sum_i x[i] * w_j[i] for four j, x [n]. In assembly for the loop that needs no rest: its last turn loads
 * and adds only what is left.
 */
static inline int32x4_t one_row(const int8_t *x, const outputs_t *of, int32_t n) {
  const int8_t *w0 = of->w0, *w1 = of->w1, *w2 = of->w2, *w3 = of->w3;
  int32x4_t sums = of->bias;
  int32_t s0, s1, s2, s3;
  __asm__("   vmov %[s0], %[s2], %q[sums][2], %q[sums][0]\n"
          "   vmov %[s1], %[s3], %q[sums][3], %q[sums][1]\n"
          "   dlstp.8 lr, %[n]\n"
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
          "   vmov %q[sums][2], %q[sums][0], %[s0], %[s2]\n"
          "   vmov %q[sums][3], %q[sums][1], %[s1], %[s3]\n"
          : [x] "+r"(x), [w0] "+r"(w0), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [sums] "+w"(sums),
            [s0] "=&Te"(s0), [s1] "=&Te"(s1), [s2] "=&Te"(s2), [s3] "=&Te"(s3)
          : [n] "r"(n)
          : "q0", "q1", "q2", "lr", "memory");
  return sums;
}

/*
 * Lanes `low` and `high`, two behind it, of the sums of two rows: first_j += sum_i x[i] * w_j[i], second_j of the next
 * row likewise. Each vector that is loaded is multiplied twice.
 */
#define TWO_BY_TWO(low, high, x, w_low, w_high, n, first, second)                                             \
  do {                                                                                                       \
    const int8_t *x_0 = (x), *x_1 = (x) + (n), *w_0 = (w_low), *w_1 = (w_high);                              \
    int32_t s00, s01, s10, s11;                                                                              \
    __asm__("   vmov %[s00], %[s01], %q[a][" high "], %q[a][" low "]\n"                                      \
            "   vmov %[s10], %[s11], %q[b][" high "], %q[b][" low "]\n"                                      \
            "   dlstp.8 lr, %[count]\n"                                                                      \
            "1: vldrb.8 q0, [%[x_0]], #16\n"                                                                 \
            "   vldrb.8 q1, [%[w_0]], #16\n"                                                                 \
            "   vmladava.s8 %[s00], q0, q1\n"                                                                \
            "   vldrb.8 q2, [%[w_1]], #16\n"                                                                 \
            "   vmladava.s8 %[s01], q0, q2\n"                                                                \
            "   vldrb.8 q0, [%[x_1]], #16\n"                                                                 \
            "   vmladava.s8 %[s10], q0, q1\n"                                                                \
            "   vmladava.s8 %[s11], q0, q2\n"                                                                \
            "   letp lr, 1b\n"                                                                               \
            "   vmov %q[a][" high "], %q[a][" low "], %[s00], %[s01]\n"                                      \
            "   vmov %q[b][" high "], %q[b][" low "], %[s10], %[s11]\n"                                      \
            : [x_0] "+r"(x_0), [x_1] "+r"(x_1), [w_0] "+r"(w_0), [w_1] "+r"(w_1), [a] "+w"(first),           \
              [b] "+w"(second), [s00] "=&Te"(s00), [s01] "=&Te"(s01), [s10] "=&Te"(s10), [s11] "=&Te"(s11)   \
            : [count] "r"(n)                                                                                 \
            : "q0", "q1", "q2", "lr", "memory");                                                             \
  } while (0)

static inline int32x4_t finish(const outputs_t *of, int32x4_t sums, int32_t narrow, int32_t zero_point) {
  return narrow ? edgeml_finish_narrow(sums, of->multiplier, of->shift, zero_point)
                : edgeml_finish(sums, of->multiplier, of->shift, zero_point);
}

void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output) {
  const int32_t inputs = layer->inputs, outputs = layer->outputs, zero_point = layer->output_zero_point;
  const int32_t narrow = layer->narrow;
  for (int32_t o = 0; o < outputs; o += 4) {
    const outputs_t of = outputs_from(layer, o);
    const int8_t *x = input;
    int8_t *y = output + o;
    for (int32_t pairs = layer->rows / 2; pairs > 0; --pairs, x += 2 * inputs, y += 2 * outputs) {
      int32x4_t first = of.bias, second = of.bias;
      TWO_BY_TWO("0", "2", x, of.w0, of.w2, inputs, first, second);
      TWO_BY_TWO("1", "3", x, of.w1, of.w3, inputs, first, second);
      vstrbq_p_s32(y, finish(&of, first, narrow, zero_point), of.lanes);
      vstrbq_p_s32(y + outputs, finish(&of, second, narrow, zero_point), of.lanes);
    }
    if ((layer->rows & 1) != 0) {
      vstrbq_p_s32(y, finish(&of, one_row(x, &of, inputs), narrow, zero_point), of.lanes);
    }
  }
  edgeml_limit(layer->lowest, layer->highest, output, layer->rows * outputs);
}
#endif
