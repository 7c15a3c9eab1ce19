/* Frames, as edgeml_frame.h says. */
#include "edgeml_frame.h"

#include <stddef.h>

enum { FULL = 254 }; /* bytes of a COBS block without a zero after it */

uint32_t edgeml_frame_get32(const uint8_t bytes[4]) {
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void edgeml_frame_put32(uint8_t bytes[4], uint32_t value) {
  for (uint32_t i = 0; i < 4; ++i, value >>= 8) {
    bytes[i] = (uint8_t)value;
  }
}

void edgeml_frame_add(edgeml_message *message, uint32_t value, uint8_t bytes) {
  for (; bytes > 0; --bytes, value >>= 8) {
    message->fields[message->used++] = (uint8_t)value;
  }
}

uint16_t edgeml_frame_crc16(uint16_t crc, const uint8_t *data, uint32_t bytes) {
  uint32_t sum = crc;
  for (; bytes > 0; --bytes) {
    uint32_t x = (sum >> 8 ^ *data++) & 0xff;
    x ^= x >> 4;
    sum = sum << 8 ^ x << 12 ^ x << 5 ^ x;
  }
  return (uint16_t)sum;
}

uint32_t edgeml_frame_crc32(uint32_t crc, const uint8_t *data, uint32_t bytes) {
  static const uint32_t of_four_bits[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  crc = ~crc;
  for (; bytes > 0; --bytes) {
    crc ^= *data++;
    crc = crc >> 4 ^ of_four_bits[crc & 15];
    crc = crc >> 4 ^ of_four_bits[crc & 15];
  }
  return ~crc;
}

uint32_t edgeml_frame_seal(const edgeml_message *message) {
  return edgeml_frame_crc32(edgeml_frame_crc32(0, message->fields, message->used), message->body, message->body_bytes);
}

/* Byte `at` of fields, body and tail. */
static uint8_t byte_of(const edgeml_message *message, uint32_t at) {
  if (at < message->used) {
    return message->fields[at];
  }
  at -= message->used;
  return at < message->body_bytes ? message->body[at] : message->tail[at - message->body_bytes];
}

/* COBS: each run of up to 254 bytes that are not zero, behind its length + 1, which stands for the zero after it. */
void edgeml_frame_send(const edgeml_port *port, edgeml_message *message) {
  uint16_t crc = edgeml_frame_crc16(0xffff, message->fields, message->used);
  crc = edgeml_frame_crc16(crc, message->body, message->body_bytes);
  crc = edgeml_frame_crc16(crc, message->tail, message->tail_used);
  message->tail[message->tail_used] = (uint8_t)crc;
  message->tail[message->tail_used + 1] = (uint8_t)(crc >> 8);
  const uint32_t bytes = message->used + message->body_bytes + message->tail_used + EDGEML_CRC_BYTES;
  uint32_t at = 0, run;
  port->put(port->context, 0); /* ends whatever stood on the line before */
  do {
    for (run = 0; run < FULL && at + run < bytes && byte_of(message, at + run) != 0; ++run) {
    }
    port->put(port->context, (uint8_t)(run + 1));
    for (const uint32_t stop = at + run; at < stop; ++at) {
      port->put(port->context, byte_of(message, at));
    }
    at += run < FULL;
  } while (at + (run == FULL) <= bytes); /* a full block at the very end has nothing after it */
  port->put(port->context, 0);
}

void edgeml_frame_send_sealed(const edgeml_port *port, edgeml_message *message, uint32_t seal) {
  edgeml_frame_put32(message->tail, seal);
  message->tail_used = EDGEML_SEAL_BYTES;
  edgeml_frame_send(port, message);
}

/* Beyond the end of the frame it only counts, so that an overlong one is known as such. */
static void append(edgeml_bridge *bridge, uint8_t byte) {
  if (bridge->used < sizeof bridge->frame) {
    bridge->frame[bridge->used] = byte;
  }
  if (bridge->used <= sizeof bridge->frame) {
    ++bridge->used;
  }
}

/* The end of a frame: its length without the CRC, 0 where it is none. */
static uint32_t finished(edgeml_bridge *bridge) {
  const uint8_t *frame = bridge->frame;
  const uint32_t bytes = bridge->used - (uint32_t)EDGEML_CRC_BYTES;
  if (bridge->left > 0 || bridge->used < EDGEML_HEAD_BYTES + EDGEML_CRC_BYTES || bridge->used > sizeof bridge->frame) {
    ++bridge->malformed;
    return 0;
  }
  if (edgeml_frame_crc16(0xffff, frame, bytes) != (frame[bytes] | frame[bytes + 1] << 8)) {
    ++bridge->torn;
    return 0;
  }
  ++bridge->good;
  return bytes;
}

uint32_t edgeml_frame_receive(edgeml_bridge *bridge, uint8_t byte) {
  uint32_t bytes = 0;
  ++bridge->bytes;
  if (byte == 0) {
    bytes = bridge->code == 0 ? 0 : finished(bridge); /* an empty frame is none */
    bridge->code = bridge->left = 0;
    bridge->used = 0;
  } else if (bridge->left > 0) {
    append(bridge, byte);
    --bridge->left;
  } else {
    if (bridge->code != 0 && bridge->code != 0xff) {
      append(bridge, 0);
    }
    bridge->code = byte;
    bridge->left = (uint8_t)(byte - 1);
  }
  return bytes;
}
