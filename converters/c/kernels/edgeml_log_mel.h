/*
 * Sound becomes a log-mel spectrogram, in float32: the ways of edgeml_power_spectrum.c and edgeml_log_mel.c.
 */
#ifndef EDGEML_LOG_MEL_H
#define EDGEML_LOG_MEL_H

#include "edgeml_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The power of each frequency in one frame */
typedef struct {
  int32_t frame;        /* samples */
  int32_t length;       /* of the transform, a power of 2 from 4; frame <= length */
  const float *window;  /* [frame] */
  const float *twiddle; /* [length]: cos and -sin of 2 pi k / length, k < length / 2 */
} edgeml_power_spectrum_t;
/* power: [length], of which the first length / 2 + 1 are the result */
void edgeml_power_spectrum(const edgeml_power_spectrum_t *layer, const float *samples, float *power);

/* Frames of a window, and the bands of each */
typedef struct {
  edgeml_power_spectrum_t spectrum;
  int32_t frames, start, hop; /* samples ahead of the first frame, and from one to the next */
  int32_t bands;
  const int16_t *first;  /* [bands]: the lowest bin of a band */
  const int16_t *bins;   /* [bands]: how many it has */
  const float *weights;  /* of all bands, one after the other */
  const float *bias;     /* [bands], added to the energy */
  const float *scale;    /* [bands], of the logarithm */
  const float *offset;   /* [bands], added to that */
  float lowest;          /* of the energy; a normal number above 0 */
} edgeml_log_mel_t;
/* scratch: [spectrum.length]. The features of a frame are written when it has been read. */
void edgeml_log_mel(const edgeml_log_mel_t *layer, const float *samples, float *features, float *scratch);

#ifdef __cplusplus
}
#endif

#endif /* EDGEML_LOG_MEL_H */
