/*
 * A log-mel spectrogram of a window of sound:
 *
 *   features[f][b] = scale[b] * log(max(energy, lowest)) + offset[b]
 *   energy = bias[b] + sum over the bins of band b of weights * power
 *
 * where power is that of the frame which begins at sample start + f * hop.
 *
 * samples: [window], of which every frame lies within; features: [frames, bands]; scratch: [spectrum.length].
 */
#include "edgeml_log.h"
#include "edgeml_log_mel.h"

void edgeml_log_mel(const edgeml_log_mel_t *layer, const float *samples, float *features, float *scratch) {
  const float *frame = samples + layer->start;
  for (int32_t f = 0; f < layer->frames; ++f) {
    edgeml_power_spectrum(&layer->spectrum, frame, scratch);
    const float *weight = layer->weights;
    for (int32_t band = 0; band < layer->bands; ++band) {
      const float *power = scratch + layer->first[band];
      float energy = 0.0f;
      for (int32_t n = layer->bins[band]; n > 0; --n) {
        energy += *weight++ * *power++;
      }
      energy += layer->bias[band];
      energy = energy > layer->lowest ? energy : layer->lowest;
      features[band] = layer->scale[band] * edgeml_log(energy) + layer->offset[band];
    }
    features += layer->bands;
    frame += layer->hop;
  }
}
