/*
 * The natural logarithm of a normal number above 0, without a C library.
 *
 * x = m 2^e with m between sqrt(1/2) and sqrt(2), and
 *
 *   log(m) = 2 (s + s^3 / 3 + s^5 / 5 + ...),  s = (m - 1) / (m + 1),  |s| < 0.172
 *
 * The series ends at s^9: what is left out is less than 1e-9. The result is right within two units in its last place.
 */
#ifndef EDGEML_LOG_H
#define EDGEML_LOG_H

#include "edgeml_kernels.h"

static inline float edgeml_log(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  /* Bits of sqrt(1/2) more make the exponent that of m. */
  const uint32_t shifted = bits - 0x3f3504f3u;
  const float e = (float)((int32_t)shifted >> 23);
  bits -= shifted & 0xff800000u;
  float m;
  memcpy(&m, &bits, sizeof m);
  const float s = (m - 1.0f) / (m + 1.0f), q = s * s;
  const float rest = q * (2.0f / 3.0f + q * (2.0f / 5.0f + q * (2.0f / 7.0f + q * (2.0f / 9.0f))));
  /* log(2) in two parts, of which the first has few enough bits that its product is exact. */
  return e * 0.693145751953125f + (2.0f * s + (s * rest + e * 1.42860677e-6f));
}

#endif /* EDGEML_LOG_H */
