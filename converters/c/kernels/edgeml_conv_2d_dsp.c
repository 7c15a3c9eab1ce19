/*
 * edgeml_conv_2d for cores with SMLAD: windows are gathered in pairs and already unpacked into halves of words, so
 * that each weight is unpacked once for two pixels and each input once for all outputs.
 *
 * scratch: for each four inputs [2][4] halves: inputs 0, 2, 1, 3 of one window, then of the other.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_DSP)
#include "edgeml_dsp.h"

typedef struct {
  int16x2_t even, odd;
} halves_t;

static inline int16_t *place(int8_t *row, int32_t at) {
  return (int16_t *)(void *)row + (at >> 2) * 8 + (at & 1) * 2 + (at >> 1 & 1);
}

static inline void put_four(int8_t *row, int32_t at, int16x2_t even, int16x2_t odd) {
  const halves_t halves = {even, odd};
  memcpy(__builtin_assume_aligned(row + at * 4, 8), &halves, sizeof halves);
}

static inline void put(int8_t *row, int32_t at, const int8_t *from, int32_t count) {
  for (; count > 0 && (at & 3) != 0; --count) {
    *place(row, at++) = *from++;
  }
  for (; count >= 4; count -= 4, at += 4, from += 4) {
    const uint32_t word = edgeml_four(from);
    put_four(row, at, edgeml_even(word), edgeml_odd(word));
  }
  for (; count > 0; --count) {
    *place(row, at++) = *from++;
  }
}

static inline void fill(int8_t *row, int32_t at, int32_t value, int32_t count) {
  for (; count > 0; --count) {
    *place(row, at++) = (int16_t)value;
  }
}

#include "edgeml_gather.h"

typedef struct {
  int32_t s00, s01, s10, s11; /* [window][output] */
} tile_t;

/*
 * Four inputs of two windows times those of two outputs: 16 products in 16 instructions. By hand, for it needs
 * nearly every register, and compilers that order instructions first run out of them.
 */
#define MULTIPLY                                                                                           \
  "ldrd %[a], %[b], [%[x]], #8\n\t"                                                                        \
  "ldrd %[c], %[d], [%[x]], #8\n\t"                                                                        \
  "ldr %[odd], [%[w0]], #4\n\t"                                                                            \
  "sxtb16 %[even], %[odd]\n\t"                                                                             \
  "sxtb16 %[odd], %[odd], ror #8\n\t"                                                                      \
  "smlad %[s00], %[a], %[even], %[s00]\n\t"                                                                \
  "smlad %[s10], %[c], %[even], %[s10]\n\t"                                                                \
  "smlad %[s00], %[b], %[odd], %[s00]\n\t"                                                                 \
  "smlad %[s10], %[d], %[odd], %[s10]\n\t"                                                                 \
  "ldr %[odd], [%[w1]], #4\n\t"                                                                            \
  "sxtb16 %[even], %[odd]\n\t"                                                                             \
  "sxtb16 %[odd], %[odd], ror #8\n\t"                                                                      \
  "smlad %[s01], %[a], %[even], %[s01]\n\t"                                                                \
  "smlad %[s11], %[c], %[even], %[s11]\n\t"                                                                \
  "smlad %[s01], %[b], %[odd], %[s01]\n\t"                                                                 \
  "smlad %[s11], %[d], %[odd], %[s11]\n\t"

static inline void multiply(tile_t *sums, const int8_t **x, const int8_t **w0, const int8_t **w1) {
  int32_t a, b, c, d, even, odd;
  __asm__ volatile(MULTIPLY
                   : [s00] "+r"(sums->s00), [s01] "+r"(sums->s01), [s10] "+r"(sums->s10), [s11] "+r"(sums->s11),
                     [x] "+r"(*x), [w0] "+r"(*w0), [w1] "+r"(*w1), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c),
                     [d] "=&r"(d), [even] "=&r"(even), [odd] "=&r"(odd)
                   :
                   : "memory");
}

static inline void multiply_twice(tile_t *sums, const int8_t **x, const int8_t **w0, const int8_t **w1) {
  int32_t a, b, c, d, even, odd;
  __asm__ volatile(MULTIPLY MULTIPLY
                   : [s00] "+r"(sums->s00), [s01] "+r"(sums->s01), [s10] "+r"(sums->s10), [s11] "+r"(sums->s11),
                     [x] "+r"(*x), [w0] "+r"(*w0), [w1] "+r"(*w1), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c),
                     [d] "=&r"(d), [even] "=&r"(even), [odd] "=&r"(odd)
                   :
                   : "memory");
}

/* The last inputs, fewer than four: their places in the scratch are there, what is in them meets zeros. */
static inline void multiply_rest(tile_t *sums, const int8_t *x, const int8_t *w0, const int8_t *w1, int32_t count) {
  const uint32_t words[2] = {edgeml_rest(w0, count), edgeml_rest(w1, count)};
  const int8_t *first = (const int8_t *)&words[0], *second = (const int8_t *)&words[1];
  multiply(sums, &x, &first, &second);
}

/* All outputs of two windows; the second goes to `other`, which may be the place of the first. */
static void two_windows(const edgeml_fully_connected_t *layer, const int8_t *scratch, int8_t *output,
                        int8_t *other) {
  const int32_t inputs = layer->inputs, outputs = layer->outputs, rest = inputs & 3;
  const int32_t narrow = layer->narrow, zero_point = layer->output_zero_point;
  for (int32_t o = 0; o < outputs; o += 2) {
    /* The last of an odd number is computed twice. */
    const int32_t next = o + 1 < outputs ? o + 1 : o;
    const int8_t *w0 = layer->weights + o * inputs, *w1 = layer->weights + next * inputs, *x = scratch;
    tile_t sums = {layer->bias[o], layer->bias[next], layer->bias[o], layer->bias[next]};
    for (const int8_t *end = w0 + (inputs & ~7); w0 != end;) {
      multiply_twice(&sums, &x, &w0, &w1);
    }
    if ((inputs & 4) != 0) {
      multiply(&sums, &x, &w0, &w1);
    }
    if (rest != 0) {
      multiply_rest(&sums, x, w0, w1, rest);
    }
    const int32_t m0 = layer->multiplier[o], m1 = layer->multiplier[next];
    const int32_t shift_0 = layer->shift[o], shift_1 = layer->shift[next];
    if (narrow) {
      other[next] = edgeml_narrow(sums.s11, m1, shift_1, zero_point);
      output[next] = edgeml_narrow(sums.s01, m1, shift_1, zero_point);
      other[o] = edgeml_narrow(sums.s10, m0, shift_0, zero_point);
      output[o] = edgeml_narrow(sums.s00, m0, shift_0, zero_point);
    } else {
      other[next] = edgeml_wide(sums.s11, m1, shift_1, zero_point);
      output[next] = edgeml_wide(sums.s01, m1, shift_1, zero_point);
      other[o] = edgeml_wide(sums.s10, m0, shift_0, zero_point);
      output[o] = edgeml_wide(sums.s00, m0, shift_0, zero_point);
    }
  }
  edgeml_limit(layer->lowest, layer->highest, output, outputs);
  edgeml_limit(layer->lowest, layer->highest, other, outputs);
}

void edgeml_conv_2d(const edgeml_conv_2d_t *layer, const int8_t *input, int8_t *output, int8_t *scratch) {
  const int32_t outputs = layer->patch.outputs;
  int32_t waiting = 0;
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      for (int32_t x = 0; x < layer->output_width; ++x) {
        gather(layer, input, y, x, scratch + 8 * waiting);
        waiting ^= 1;
        if (!waiting) {
          two_windows(&layer->patch, scratch, output, output + outputs);
          output += 2 * outputs;
        }
      }
    }
    input += layer->input_height * layer->input_width * layer->input_channels;
  }
  if (waiting) {
    two_windows(&layer->patch, scratch, output, output);
  }
}
#endif
