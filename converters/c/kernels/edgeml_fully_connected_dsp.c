/*
 * edgeml_fully_connected for cores with SMLAD: four outputs at once, so that inputs are unpacked once for four.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_DSP)
#include "edgeml_dsp.h"

static inline int32_t both(int16x2_t even, int16x2_t odd, uint32_t weights, int32_t sum) {
  return __smlad(odd, edgeml_odd(weights), __smlad(even, edgeml_even(weights), sum));
}

static inline int8_t finish(const edgeml_fully_connected_t *layer, int32_t o, int32_t sum) {
  const int32_t which = o * layer->per_channel;
  return edgeml_finish(layer->narrow, sum, layer->multiplier[which], layer->shift[which],
                       layer->output_zero_point);
}

static void four(const edgeml_fully_connected_t *layer, const int8_t *x, int32_t o, int8_t *y) {
  const int32_t inputs = layer->inputs, rest = inputs & 3;
  const int8_t *w = layer->weights + o * inputs, *w2 = w + 2 * inputs;
  int32_t s0 = layer->bias[o], s1 = layer->bias[o + 1], s2 = layer->bias[o + 2], s3 = layer->bias[o + 3];
  for (const int8_t *end = x + (inputs - rest); x != end;) {
    int32_t even, odd, a, b;
    /* By hand, for compilers that order instructions first run out of registers. */
    __asm__ volatile(
        "ldr %[odd], [%[x]], #4\n\t"
        "sxtb16 %[even], %[odd]\n\t"
        "sxtb16 %[odd], %[odd], ror #8\n\t"
        "ldr %[b], [%[w], %[n]]\n\t"
        "sxtb16 %[a], %[b]\n\t"
        "sxtb16 %[b], %[b], ror #8\n\t"
        "smlad %[s1], %[even], %[a], %[s1]\n\t"
        "smlad %[s1], %[odd], %[b], %[s1]\n\t"
        "ldr %[b], [%[w]], #4\n\t"
        "sxtb16 %[a], %[b]\n\t"
        "sxtb16 %[b], %[b], ror #8\n\t"
        "smlad %[s0], %[even], %[a], %[s0]\n\t"
        "smlad %[s0], %[odd], %[b], %[s0]\n\t"
        "ldr %[b], [%[w2], %[n]]\n\t"
        "sxtb16 %[a], %[b]\n\t"
        "sxtb16 %[b], %[b], ror #8\n\t"
        "smlad %[s3], %[even], %[a], %[s3]\n\t"
        "smlad %[s3], %[odd], %[b], %[s3]\n\t"
        "ldr %[b], [%[w2]], #4\n\t"
        "sxtb16 %[a], %[b]\n\t"
        "sxtb16 %[b], %[b], ror #8\n\t"
        "smlad %[s2], %[even], %[a], %[s2]\n\t"
        "smlad %[s2], %[odd], %[b], %[s2]\n\t"
        : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [x] "+r"(x), [w] "+r"(w), [w2] "+r"(w2),
          [even] "=&r"(even), [odd] "=&r"(odd), [a] "=&r"(a), [b] "=&r"(b)
        : [n] "r"(inputs)
        : "memory");
  }
  if (rest != 0) {
    const uint32_t a = edgeml_rest(x, rest);
    const int16x2_t even = edgeml_even(a), odd = edgeml_odd(a);
    s0 = both(even, odd, edgeml_rest(w, rest), s0);
    s1 = both(even, odd, edgeml_rest(w + inputs, rest), s1);
    s2 = both(even, odd, edgeml_rest(w2, rest), s2);
    s3 = both(even, odd, edgeml_rest(w2 + inputs, rest), s3);
  }
  y[o] = finish(layer, o, s0);
  y[o + 1] = finish(layer, o + 1, s1);
  y[o + 2] = finish(layer, o + 2, s2);
  y[o + 3] = finish(layer, o + 3, s3);
}

static void one(const edgeml_fully_connected_t *layer, const int8_t *x, int32_t o, int8_t *y) {
  const int32_t inputs = layer->inputs, rest = inputs & 3;
  const int8_t *w = layer->weights + o * inputs;
  int32_t sum = layer->bias[o];
  for (const int8_t *end = x + (inputs - rest); x != end; x += 4, w += 4) {
    const uint32_t a = edgeml_four(x);
    sum = both(edgeml_even(a), edgeml_odd(a), edgeml_four(w), sum);
  }
  const uint32_t a = edgeml_rest(x, rest);
  sum = both(edgeml_even(a), edgeml_odd(a), edgeml_rest(w, rest), sum);
  y[o] = finish(layer, o, sum);
}

void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t row = 0; row < layer->rows; ++row, input += layer->inputs, output += layer->outputs) {
    int32_t o = 0;
    for (; o + 4 <= layer->outputs; o += 4) {
      four(layer, input, o, output);
    }
    for (; o < layer->outputs; ++o) {
      one(layer, input, o, output);
    }
    edgeml_limit(layer->lowest, layer->highest, output, layer->outputs);
  }
}
#endif
