/* A board that is a library: whatever it is sent it has answered at once, and time is nobody's business. */
#include "accumulate.h"
#include "edgeml_bridge.h"

void board_reset(void);
void board_write(const uint8_t *data, uint32_t bytes);
uint32_t board_read(uint8_t *data, uint32_t room);

static edgeml_bridge bridge;
static const uint8_t *coming, *end;
static uint8_t sent[1 << 16];
static uint32_t waiting;

static int get(void *context) {
  (void)context;
  return coming == end ? -1 : *coming++;
}

/* Nobody reads: bytes are lost, as on any line. */
static void put(void *context, uint8_t byte) {
  (void)context;
  if (waiting < sizeof sent) {
    sent[waiting++] = byte;
  }
}

static uint32_t tick(void *context) {
  (void)context;
  return now;
}

static const edgeml_port port = {.get = get,
                                 .put = put,
                                 .tick = tick,
                                 .tick_kind = EDGEML_TICK_INSTRUCTIONS,
                                 .tick_numerator = 3,
                                 .tick_denominator = 2,
                                 .core = "instant"};

/* Whatever lay in its memory before is gone. */
void board_reset(void) {
  memset(&arena, 0x5c, sizeof arena);
  edgeml_bridge_init(&bridge, &port, &model);
}

void board_write(const uint8_t *data, uint32_t bytes) {
  coming = data;
  end = data + bytes;
  edgeml_bridge_poll(&bridge);
}

uint32_t board_read(uint8_t *data, uint32_t room) {
  const uint32_t bytes = waiting < room ? waiting : room;
  memcpy(data, sent, bytes);
  memmove(sent, sent + bytes, waiting - bytes);
  waiting -= bytes;
  return bytes;
}
