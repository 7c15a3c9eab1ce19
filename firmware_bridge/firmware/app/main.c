/* A model that answers over a serial line, and does nothing else. */
#include "board.h"

static edgeml_bridge bridge;

int main(void) {
  edgeml_board_start();
  edgeml_bridge_init(&bridge, &edgeml_board, &edgeml_firmware);
  for (;;) {
    edgeml_bridge_poll(&bridge); /* idles where nothing came */
  }
}
