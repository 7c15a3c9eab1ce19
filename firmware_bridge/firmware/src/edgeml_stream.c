/*
 * What a board sends unasked: sensor blocks and predictions while the host wants a stream, and a fault.
 *
 * A message that is larger than a frame's payload goes in pieces, each with its offset, like the chunks of a tensor.
 */
#include <stddef.h>
#include <string.h>

#include "edgeml_bridge.h"
#include "edgeml_frame.h"
#include "edgeml_messages.h"

/* One tensor of a message, in as many pieces as it needs. */
static void send_pieces(edgeml_bridge *bridge, const edgeml_message *head, const uint8_t *data, uint32_t total) {
  uint32_t offset = 0;
  do {
    edgeml_message piece = *head;
    piece.body = data + offset;
    piece.body_bytes = total - offset < EDGEML_MAX_PAYLOAD ? total - offset : EDGEML_MAX_PAYLOAD;
    edgeml_frame_add(&piece, offset, 4);
    edgeml_frame_add(&piece, total, 4);
    edgeml_frame_send_sealed(bridge->port, &piece, edgeml_frame_seal(&piece));
    offset += piece.body_bytes;
  } while (offset < total);
}

static edgeml_message message_of(const edgeml_bridge *bridge, uint8_t type, uint64_t time_us, float rate_hz) {
  edgeml_message head;
  uint32_t rate;
  memset(&head, 0, sizeof head);
  memcpy(&rate, &rate_hz, sizeof rate);
  edgeml_frame_add(&head, type, 4);
  edgeml_frame_add(&head, bridge->session, 4);
  edgeml_frame_add(&head, bridge->counter, 4);
  edgeml_frame_add(&head, (uint32_t)time_us, 4);
  edgeml_frame_add(&head, (uint32_t)(time_us >> 32), 4);
  edgeml_frame_add(&head, rate, 4);
  return head;
}

void edgeml_bridge_send_block(edgeml_bridge *bridge, const float *values, uint16_t samples, uint8_t channels,
                              float rate_hz, uint64_t time_us) {
  if (bridge->streams) {
    edgeml_message head = message_of(bridge, EDGEML_BLOCK, time_us, rate_hz);
    head.fields[1] = channels;
    send_pieces(bridge, &head, (const uint8_t *)values, (uint32_t)samples * channels * 4);
    ++bridge->counter;
  }
}

void edgeml_bridge_send_prediction(edgeml_bridge *bridge, uint64_t time_us) {
  if (bridge->streams) {
    const edgeml_model *model = bridge->model;
    edgeml_message head = message_of(bridge, EDGEML_PREDICTION, time_us, 0);
    for (uint8_t i = 0; i < model->outputs; ++i) {
      const edgeml_tensor *tensor = &model->tensors[model->inputs + i];
      head.fields[1] = i;
      send_pieces(bridge, &head, tensor->data(), tensor->bytes);
    }
    ++bridge->counter;
  }
}

void edgeml_bridge_send_fault(const edgeml_port *port, uint32_t program_counter, uint32_t cfsr) {
  edgeml_message message;
  memset(&message, 0, sizeof message);
  edgeml_frame_add(&message, EDGEML_FAULT, 4);
  edgeml_frame_add(&message, 0, 4);
  edgeml_frame_add(&message, program_counter, 4);
  edgeml_frame_add(&message, cfsr, 4);
  edgeml_frame_send_sealed(port, &message, edgeml_frame_seal(&message));
}
