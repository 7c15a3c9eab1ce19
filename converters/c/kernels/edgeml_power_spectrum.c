/*
 * The power of each frequency in a frame of sound:
 *
 *   power[k] = |sum over n of window[n] * samples[n] * exp(-2 pi i k n / length)|^2,  0 <= k <= length / 2
 *
 * samples: [frame], what is missing to length is zero; power: [length], behind the result it is working memory.
 *
 * Neighbouring samples are taken for the real and imaginary parts of half = length / 2 complex numbers. Their
 * transform Z, in radix 2 and two stages at a time, holds that of the samples:
 *
 *   X[k] = (Z[k] + conj(Z[half - k])) / 2 - i exp(-2 pi i k / length) (Z[k] - conj(Z[half - k])) / 2
 *
 * Its error is at most some 1e-7 of the largest |X|.
 */
#include "edgeml_log_mel.h"

/* The windowed samples as complex numbers, in the order of their indices' bits read backwards. */
static void scatter(const edgeml_power_spectrum_t *layer, const float *samples, float *z) {
  const int32_t half = layer->length / 2;
  int32_t place = 0;
  for (int32_t n = 0; n < half; ++n) {
    const int32_t even = 2 * n, odd = even + 1;
    z[2 * place] = even < layer->frame ? layer->window[even] * samples[even] : 0.0f;
    z[2 * place + 1] = odd < layer->frame ? layer->window[odd] * samples[odd] : 0.0f;
    int32_t bit = half / 2;
    while (place & bit) {
      place ^= bit;
      bit /= 2;
    }
    place |= bit;
  }
}

/* Sums and differences of pairs: the first stage where the number of stages is odd. */
static void pair(int32_t half, float *z) {
  for (float *a = z; a < z + 2 * half; a += 4) {
    const float re = a[2], im = a[3];
    a[2] = a[0] - re;
    a[3] = a[1] - im;
    a[0] += re;
    a[1] += im;
  }
}

/*
 * Two stages on the numbers a, b, c, d that lie `step` floats apart, b and d times u and then c and d times v:
 * u = exp(-i t), v = exp(-i t / 2).
 */
static inline void cross(float *a, int32_t step, const float *u, const float *v) {
  float *const b = a + step, *const c = b + step, *const d = c + step;
  const float b_re = b[0] * u[0] - b[1] * u[1], b_im = b[0] * u[1] + b[1] * u[0];
  const float d_re = d[0] * u[0] - d[1] * u[1], d_im = d[0] * u[1] + d[1] * u[0];
  const float low_re = a[0] + b_re, low_im = a[1] + b_im, high_re = a[0] - b_re, high_im = a[1] - b_im;
  const float e_re = c[0] + d_re, e_im = c[1] + d_im, f_re = c[0] - d_re, f_im = c[1] - d_im;
  const float g_re = e_re * v[0] - e_im * v[1], g_im = e_re * v[1] + e_im * v[0];
  const float h_re = f_re * v[0] - f_im * v[1], h_im = f_re * v[1] + f_im * v[0];
  a[0] = low_re + g_re;
  a[1] = low_im + g_im;
  c[0] = low_re - g_re;
  c[1] = low_im - g_im;
  b[0] = high_re + h_im; /* -i h */
  b[1] = high_im - h_re;
  d[0] = high_re - h_im;
  d[1] = high_im + h_re;
}

static void transform(const edgeml_power_spectrum_t *layer, float *z) {
  const int32_t half = layer->length / 2;
  int32_t stages = 0;
  while ((1 << stages) < half) {
    ++stages;
  }
  if (stages % 2 != 0) {
    pair(half, z);
  }
  for (int32_t span = stages % 2 != 0 ? 2 : 1; span < half; span *= 4) {
    const int32_t turn = layer->length / (4 * span); /* of the table for an angle of v */
    for (int32_t j = 0; j < span; ++j) {
      const float *const v = layer->twiddle + 2 * j * turn, *const u = layer->twiddle + 4 * j * turn;
      const float u_here[2] = {u[0], u[1]}, v_here[2] = {v[0], v[1]};
      for (int32_t at = j; at < half; at += 4 * span) {
        cross(z + 2 * at, 2 * span, u_here, v_here);
      }
    }
  }
}

void edgeml_power_spectrum(const edgeml_power_spectrum_t *layer, const float *samples, float *power) {
  const int32_t half = layer->length / 2;
  float *const z = power;
  scatter(layer, samples, z);
  transform(layer, z);
  const float first = z[0] + z[1], last = z[0] - z[1];
  power[0] = first * first;
  for (int32_t k = 1, other = half - 1; k <= other; ++k, --other) {
    const float *const w = layer->twiddle + 2 * k;
    const float *const a = z + 2 * k, *const b = z + 2 * other;
    const float even_re = 0.5f * (a[0] + b[0]), even_im = 0.5f * (a[1] - b[1]);
    const float odd_re = 0.5f * (a[1] + b[1]), odd_im = 0.5f * (b[0] - a[0]);
    const float re = odd_re * w[0] - odd_im * w[1], im = odd_re * w[1] + odd_im * w[0];
    const float low_re = even_re + re, low_im = even_im + im;
    const float high_re = even_re - re, high_im = even_im - im;
    /* Two bins for the two that they are made of; the lower one's place is at 2 k until all are there. */
    z[2 * other] = high_re * high_re + high_im * high_im;
    z[2 * k] = low_re * low_re + low_im * low_im;
  }
  for (int32_t k = 1; k < half; ++k) {
    power[k] = z[2 * k];
  }
  power[half] = last * last;
}
