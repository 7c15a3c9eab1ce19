/*
 * sum_i x[i] * w[i]: x [n], w [n], n < 131072, so that no sum overflows.
 */
#ifndef EDGEML_DOT_H
#define EDGEML_DOT_H

#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

static inline int32_t edgeml_dot(const int8_t *x, const int8_t *w, int32_t n) {
  int32_t sum = 0;
  for (; n > 0; n -= 16, x += 16, w += 16) {
    const mve_pred16_t lanes = vctp8q((uint32_t)n);
    sum = vmladavaq_s8(sum, vldrbq_z_s8(x, lanes), vldrbq_z_s8(w, lanes)); /* zeros behind the end */
  }
  return sum;
}

#else
#if defined(EDGEML_DSP)
#include "edgeml_dsp.h"
#endif

static inline int32_t edgeml_dot(const int8_t *x, const int8_t *w, int32_t n) {
  int32_t sum = 0;
#if defined(EDGEML_DSP)
  for (; n >= 4; n -= 4, x += 4, w += 4) {
    const uint32_t a = edgeml_four(x), b = edgeml_four(w);
    sum = __smlad(edgeml_odd(a), edgeml_odd(b), __smlad(edgeml_even(a), edgeml_even(b), sum));
  }
#endif
  for (; n > 0; --n) {
    sum += *x++ * *w++;
  }
  return sum;
}

#endif

#endif /* EDGEML_DOT_H */
