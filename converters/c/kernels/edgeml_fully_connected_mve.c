/*
 * edgeml_fully_connected for cores with vectors: 16 products at once, of two rows and two outputs in turn.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

/* What belongs to four outputs. */
typedef struct {
  const int8_t *w0, *w1, *w2, *w3;
  int32x4_t bias, multiplier, shift;
} outputs_t;

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

/* Of a layer that is not narrow, which few are. */
EDGEML_APART static int32x4_t wide(int32x4_t sums, int32x4_t multiplier, int32x4_t shift, int32_t zero_point) {
  return edgeml_finish(sums, multiplier, shift, zero_point);
}

static inline int32x4_t finish(const outputs_t *of, int32x4_t sums, int32_t narrow, int32_t zero_point) {
  return narrow ? edgeml_finish_narrow(sums, of->multiplier, of->shift, zero_point)
                : wide(sums, of->multiplier, of->shift, zero_point);
}

/*
 * Some rows: what belongs to an output is loaded once for all of them. The last four outputs may have been computed
 * in part; of fewer than four, the last weights stand for what is missing, and nothing is stored of it.
 */
static void block(const edgeml_fully_connected_t *layer, int32_t rows, const int8_t *input, int8_t *output) {
  const int32_t inputs = layer->inputs, outputs = layer->outputs, zero_point = layer->output_zero_point;
  const int32_t narrow = layer->narrow, each = layer->per_channel, last = outputs - 4;
  const int32_t second = outputs > 1 ? inputs : 0, third = outputs > 2 ? inputs : 0, fourth = last < 0 ? 0 : inputs;
  const mve_pred16_t lanes = vctp32q((uint32_t)outputs);
  for (int32_t o = 0;;) {
    outputs_t of;
    of.w0 = layer->weights + o * inputs;
    of.w1 = of.w0 + second;
    of.w2 = of.w1 + third;
    of.w3 = of.w2 + fourth;
    of.bias = vldrwq_z_s32(layer->bias + o, lanes);
    of.multiplier = each ? vldrwq_z_s32(layer->multiplier + o, lanes) : vdupq_n_s32(layer->multiplier[0]);
    of.shift = each ? vldrbq_z_s32(layer->shift + o, lanes) : vdupq_n_s32(layer->shift[0]);
    const int8_t *x = input;
    int8_t *y = output + o;
    for (int32_t pairs = rows / 2; pairs > 0; --pairs, x += 2 * inputs, y += 2 * outputs) {
      int32x4_t sums = of.bias, others = of.bias;
      TWO_BY_TWO("0", "2", x, of.w0, of.w2, inputs, sums, others);
      TWO_BY_TWO("1", "3", x, of.w1, of.w3, inputs, sums, others);
      vstrbq_p_s32(y, finish(&of, sums, narrow, zero_point), lanes);
      vstrbq_p_s32(y + outputs, finish(&of, others, narrow, zero_point), lanes);
    }
    if ((rows & 1) != 0) {
      vstrbq_p_s32(y, finish(&of, one_row(x, &of, inputs), narrow, zero_point), lanes);
    }
    if (o >= last) {
      break;
    }
    o = o + 4 < last ? o + 4 : last;
  }
  edgeml_limit(layer->lowest, layer->highest, output, rows * outputs);
}

void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t left = layer->rows; left > 0; left -= EDGEML_FULLY_CONNECTED_ROWS) {
    block(layer, left < EDGEML_FULLY_CONNECTED_ROWS ? left : EDGEML_FULLY_CONNECTED_ROWS, input, output);
    input += EDGEML_FULLY_CONNECTED_ROWS * layer->inputs;
    output += EDGEML_FULLY_CONNECTED_ROWS * layer->outputs;
  }
}
#endif
