/*
 * Frames: what a message is on the wire.
 *
 *   0x00  COBS(head, body, tail, CRC-16/CCITT-FALSE of these)  0x00
 *
 * Numbers are little-endian.
 */
#ifndef EDGEML_FRAME_H
#define EDGEML_FRAME_H

#include "edgeml_bridge.h"

enum { EDGEML_HEAD_BYTES = 8, EDGEML_SEAL_BYTES = 4, EDGEML_CRC_BYTES = 2 };

/*
 * A message that is sent: what is built here, then bytes that lie elsewhere and are not copied.
 *
 * fields       type, argument, tag, session, and what follows them
 * used         bytes of fields
 * body         NULL where there is none
 */
typedef struct edgeml_message {
  uint8_t fields[EDGEML_HEAD_BYTES + 52];
  uint8_t used;
  uint8_t tail_used;
  uint8_t tail[EDGEML_SEAL_BYTES + EDGEML_CRC_BYTES];
  const uint8_t *body;
  uint32_t body_bytes;
} edgeml_message;

uint32_t edgeml_frame_get32(const uint8_t bytes[4]);
void edgeml_frame_put32(uint8_t bytes[4], uint32_t value);

/* Appends the low bytes of a number to the fields. */
void edgeml_frame_add(edgeml_message *message, uint32_t value, uint8_t bytes);

/* CRC-16/CCITT-FALSE of what `crc` was of, and these bytes; the first crc is 0xffff. */
uint16_t edgeml_frame_crc16(uint16_t crc, const uint8_t *data, uint32_t bytes);

/* CRC-32 as in zlib and Ethernet, of what `crc` was of, and these bytes; the first crc is 0. */
uint32_t edgeml_frame_crc32(uint32_t crc, const uint8_t *data, uint32_t bytes);

/* CRC-32 of fields and body. */
uint32_t edgeml_frame_seal(const edgeml_message *message);

/* Sends fields, body and CRC-16. */
void edgeml_frame_send(const edgeml_port *port, edgeml_message *message);

/* Sends fields, body, a seal and CRC-16. */
void edgeml_frame_send_sealed(const edgeml_port *port, edgeml_message *message, uint32_t seal);

/*
 * Takes a byte that was received. The length of the frame in bridge->frame, without its CRC, where this was the last
 * byte of a good one; otherwise 0.
 */
uint32_t edgeml_frame_receive(edgeml_bridge *bridge, uint8_t byte);

#endif /* EDGEML_FRAME_H */
