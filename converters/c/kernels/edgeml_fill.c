/*
 * Every byte of output is the value: what PAD puts around its input.
 *
 * Defined by PadImpl in tensorflow/lite/kernels/internal/reference/pad.h.
 */
#include "edgeml_kernels.h"

void edgeml_fill(const edgeml_fill_t *layer, void *output) {
  memset(output, layer->value, (size_t)layer->bytes);
}
