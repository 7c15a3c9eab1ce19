/*
 * Sums of products of int8, a few at once so that each operand is loaded less often: in plain C, for cores with
 * SMLAD (Cortex-M4, M7, M33), and for those with vectors (Cortex-M55, M85). All give the same bits, as no sum of
 * fewer than 131072 products overflows.
 */
#ifndef EDGEML_DOT_H
#define EDGEML_DOT_H

#include "edgeml_processor.h"

/* Without optimization there are too few registers for the loops below. */
#if defined(EDGEML_SMLAD) && defined(__OPTIMIZE__)
#define EDGEML_IN_ASSEMBLY 1
#endif

/* Functions that need every register: within another, half of it would live on the stack. */
#if defined(EDGEML_SMLAD)
#define EDGEML_APART __attribute__((noinline, unused)) static
#else
#define EDGEML_APART static inline
#endif

/* One sum: x [n], w [n]. */
static inline int32_t edgeml_dot(const int8_t *x, const int8_t *w, int32_t n) {
  int32_t sum = 0;
#if defined(EDGEML_MVE)
  for (; n > 0; n -= 16, x += 16, w += 16) {
    const mve_pred16_t lanes = vctp8q((uint32_t)n);
    sum = vmladavaq_s8(sum, vldrbq_z_s8(x, lanes), vldrbq_z_s8(w, lanes)); /* zeros behind the end */
  }
#else
#if defined(EDGEML_SMLAD)
  for (; n >= 4; n -= 4, x += 4, w += 4) {
    const int8x4_t a = edgeml_word(x), b = edgeml_word(w);
    sum = __smlad(edgeml_odd(a), edgeml_odd(b), __smlad(edgeml_even(a), edgeml_even(b), sum));
  }
#endif
  for (; n > 0; --n) {
    sum += *x++ * *w++;
  }
#endif
  return sum;
}

/* sums[j] = sum_i x[i] * w[j][i]: x [n], w [4, n] */
EDGEML_APART void edgeml_dot_four(const int8_t *x, const int8_t *w, int32_t n, int32_t sums[4]) {
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#if defined(EDGEML_MVE)
  const int8_t *w1 = w + n, *w2 = w1 + n, *w3 = w2 + n;
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
          : [x] "+r"(x), [w0] "+r"(w), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [s0] "+Te"(s0),
            [s1] "+Te"(s1), [s2] "+Te"(s2), [s3] "+Te"(s3)
          : [n] "r"(n)
          : "q0", "q1", "q2", "lr", "memory");
#else
  const int8_t *v = w + 2 * n, *end = x + n;
#if defined(EDGEML_IN_ASSEMBLY)
  const int8_t *last = end - (n & 3);
  if (x != last) {
    int32_t a, b, even, half;
    /* In assembly because compilers load all words ahead, and then run out of registers. */
    __asm__("1: ldr %[a], [%[x]], #4\n"
            "   ldr %[b], [%[w], %[n]]\n"
            "   sxtb16 %[even], %[a]\n"
            "   sxtb16 %[a], %[a], ror #8\n"
            "   sxtb16 %[half], %[b]\n"
            "   sxtb16 %[b], %[b], ror #8\n"
            "   smlad %[s1], %[even], %[half], %[s1]\n"
            "   smlad %[s1], %[a], %[b], %[s1]\n"
            "   ldr %[b], [%[w]], #4\n"
            "   sxtb16 %[half], %[b]\n"
            "   sxtb16 %[b], %[b], ror #8\n"
            "   smlad %[s0], %[even], %[half], %[s0]\n"
            "   smlad %[s0], %[a], %[b], %[s0]\n"
            "   ldr %[b], [%[v], %[n]]\n"
            "   sxtb16 %[half], %[b]\n"
            "   sxtb16 %[b], %[b], ror #8\n"
            "   smlad %[s3], %[even], %[half], %[s3]\n"
            "   smlad %[s3], %[a], %[b], %[s3]\n"
            "   ldr %[b], [%[v]], #4\n"
            "   sxtb16 %[half], %[b]\n"
            "   sxtb16 %[b], %[b], ror #8\n"
            "   smlad %[s2], %[even], %[half], %[s2]\n"
            "   smlad %[s2], %[a], %[b], %[s2]\n"
            "   cmp %[x], %[last]\n"
            "   bne 1b\n"
            : [x] "+r"(x), [w] "+r"(w), [v] "+r"(v), [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3),
              [a] "=&r"(a), [b] "=&r"(b), [even] "=&r"(even), [half] "=&r"(half)
            : [n] "r"(n), [last] "r"(last)
            : "cc", "memory");
  }
#endif
  for (; x != end; ++x, ++w, ++v) {
    s0 += *x * w[0];
    s1 += *x * w[n];
    s2 += *x * v[0];
    s3 += *x * v[n];
  }
#endif
  sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

#if !defined(EDGEML_MVE)

/* sums[2 r + j] = sum_i x[r][i] * w[j][i]: x [2, n], w [2, n] */
EDGEML_APART void edgeml_dot_two_by_two(const int8_t *x, const int8_t *w, int32_t n, int32_t sums[4]) {
  int32_t s00 = 0, s01 = 0, s10 = 0, s11 = 0;
  const int8_t *end = x + n;
#if defined(EDGEML_IN_ASSEMBLY)
  const int8_t *last = end - (n & 3);
  if (x != last) {
    int32_t even0, odd0, even1, odd1, b, half;
    __asm__("1: ldr %[odd1], [%[x], %[n]]\n"
            "   ldr %[odd0], [%[x]], #4\n"
            "   sxtb16 %[even1], %[odd1]\n"
            "   sxtb16 %[odd1], %[odd1], ror #8\n"
            "   sxtb16 %[even0], %[odd0]\n"
            "   sxtb16 %[odd0], %[odd0], ror #8\n"
            "   ldr %[b], [%[w], %[n]]\n"
            "   sxtb16 %[half], %[b]\n"
            "   sxtb16 %[b], %[b], ror #8\n"
            "   smlad %[s01], %[even0], %[half], %[s01]\n"
            "   smlad %[s11], %[even1], %[half], %[s11]\n"
            "   smlad %[s01], %[odd0], %[b], %[s01]\n"
            "   smlad %[s11], %[odd1], %[b], %[s11]\n"
            "   ldr %[b], [%[w]], #4\n"
            "   sxtb16 %[half], %[b]\n"
            "   sxtb16 %[b], %[b], ror #8\n"
            "   smlad %[s00], %[even0], %[half], %[s00]\n"
            "   smlad %[s10], %[even1], %[half], %[s10]\n"
            "   smlad %[s00], %[odd0], %[b], %[s00]\n"
            "   smlad %[s10], %[odd1], %[b], %[s10]\n"
            "   ldr %[half], %[last]\n"
            "   cmp %[x], %[half]\n"
            "   bne 1b\n"
            : [x] "+r"(x), [w] "+r"(w), [s00] "+r"(s00), [s01] "+r"(s01), [s10] "+r"(s10), [s11] "+r"(s11),
              [even0] "=&r"(even0), [odd0] "=&r"(odd0), [even1] "=&r"(even1), [odd1] "=&r"(odd1), [b] "=&r"(b),
              [half] "=&r"(half)
            : [n] "r"(n), [last] "m"(last)
            : "cc", "memory");
  }
#endif
  for (; x != end; ++x, ++w) {
    s00 += x[0] * w[0];
    s01 += x[0] * w[n];
    s10 += x[n] * w[0];
    s11 += x[n] * w[n];
  }
  sums[0] = s00, sums[1] = s01, sums[2] = s10, sums[3] = s11;
}

#endif

#endif /* EDGEML_DOT_H */
