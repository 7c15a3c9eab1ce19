// @NAME@ over the board's serial port: the host's side is `edgeml hil MODEL --target serial:///dev/ttyACM0`.
//
// To infer by itself instead: write into @STEM@_input(), call @STEM@_run(), read @STEM@_output(); src/model.h says more.
#include "src/board.h"

static int get(void *) { return Serial.read(); }
static void put(void *, uint8_t byte) { Serial.write(byte); }
static uint32_t tick(void *) { return micros(); }

static edgeml_port port;
static edgeml_bridge bridge;

void setup() {
  Serial.begin(115200);
  port.get = get;
  port.put = put;
  port.tick = tick;
  port.tick_kind = EDGEML_TICK_NANOSECONDS;
  port.tick_numerator = 1000;
  port.tick_denominator = 1;
  port.core = "arduino";
  edgeml_bridge_init(&bridge, &port, &edgeml_firmware);
}

void loop() { edgeml_bridge_poll(&bridge); }
