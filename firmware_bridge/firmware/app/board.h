/*
 * What a firmware is put together from: a port defines the board, a generated file the model, and main.c joins them.
 */
#ifndef EDGEML_BOARD_H
#define EDGEML_BOARD_H

#include "edgeml_bridge.h"

#ifdef __cplusplus
extern "C" {
#endif

/* By the port: clocks, pins, UART and counter. Called once, before anything is sent or received. */
void edgeml_board_start(void);

/* By the port. */
extern const edgeml_port edgeml_board;

/* By the generated file. */
extern const edgeml_model edgeml_firmware;

#ifdef __cplusplus
}
#endif

#endif /* EDGEML_BOARD_H */
