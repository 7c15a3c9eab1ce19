/*
 * output[i] = table[input[i] + 128]: any function of one int8. The result may take the place of the input.
 */
#include "edgeml_kernels.h"

void edgeml_lookup(const edgeml_lookup_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t i = 0; i < layer->elements; ++i) {
    output[i] = layer->table[input[i] + 128];
  }
}
