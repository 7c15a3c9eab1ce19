/*
 * The firmware bridge: a model on a microcontroller, reached over a serial line.
 *
 * A board provides an edgeml_port, a generated file provides an edgeml_model, and the program is
 *
 *   static edgeml_bridge bridge;
 *   edgeml_bridge_init(&bridge, &port, &model);
 *   for (;;) edgeml_bridge_poll(&bridge);
 *
 * C99, no heap, no libc beyond <stdint.h> and <string.h>. The wire is specified in docs/protocol.md.
 */
#ifndef EDGEML_BRIDGE_H
#define EDGEML_BRIDGE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What one tick of a port's counter is. */
enum { EDGEML_TICK_NANOSECONDS = 0, EDGEML_TICK_INSTRUCTIONS = 1 };

/*
 * What a board provides. All that must be written for a new one are the first three functions.
 *
 * get          the next byte that was received, or -1 where none waits; never blocks
 * put          sends a byte; waits while the transmitter is full
 * tick         a counter that goes up and wraps at 2^32
 * idle         sleep until an interrupt; returns at once where a byte waits already; may be NULL
 * context      given to each of them
 * tick_kind    EDGEML_TICK_…; one tick is tick_numerator / tick_denominator of that unit
 * core         such as "cortex-m4"
 * stack_limit  lowest word of the stack, painted at start with EDGEML_STACK_PAINT; NULL: depth is not measured
 * stack_top    word above its highest
 */
typedef struct edgeml_port {
  int (*get)(void *context);
  void (*put)(void *context, uint8_t byte);
  uint32_t (*tick)(void *context);
  void (*idle)(void *context);
  void *context;
  uint32_t tick_kind, tick_numerator, tick_denominator;
  const char *core;
  uint32_t *stack_limit, *stack_top;
} edgeml_port;

#define EDGEML_STACK_PAINT 0xa5a5a5a5u

enum { EDGEML_INT8 = 0, EDGEML_INT16 = 1, EDGEML_FLOAT32 = 2 };
#define EDGEML_MAX_RANK 6

/* One input or output of the model. */
typedef struct edgeml_tensor {
  const char *name; /* in the model's signature */
  void *(*data)(void);
  uint32_t bytes;
  float scale; /* real = scale * (quantized - zero_point); 0 where it is not quantized */
  int32_t zero_point;
  uint8_t dtype, rank;
  uint16_t shape[EDGEML_MAX_RANK]; /* with the batch axis */
} edgeml_tensor;

/* The model, as `edgeml firmware build` writes it down. */
typedef struct edgeml_model {
  const char *name;
  uint8_t digest[32]; /* sha256 of the flatbuffer */
  void (*init)(void); /* forgets the state */
  void (*run)(void);
  uint32_t arena_bytes;
  uint8_t inputs, outputs;
  const edgeml_tensor *tensors; /* inputs, then outputs */
} edgeml_model;

/*
 * The most bytes of a tensor that a frame carries; larger ones travel in several. At least 64, at most 65000. A board
 * with little RAM may have it smaller: the bridge keeps one frame.
 */
#ifndef EDGEML_MAX_PAYLOAD
#define EDGEML_MAX_PAYLOAD 1024
#endif
#if EDGEML_MAX_PAYLOAD < 64 || EDGEML_MAX_PAYLOAD > 65000
#error "EDGEML_MAX_PAYLOAD: expected 64 to 65000 bytes"
#endif

/* Of a frame, beside the payload: head, number, offset, total, CRC-16. */
#define EDGEML_FRAME_OVERHEAD 22

/* The state of the bridge; its members are its own. */
typedef struct edgeml_bridge {
  const edgeml_port *port;
  const edgeml_model *model;
  uint32_t session; /* that the host opened; 0: none */
  uint32_t number;  /* of the last command that was carried out */
  uint32_t seal;    /* of that command, as it came */
  uint32_t ticks;   /* that the last run took */
  uint32_t answer;  /* seal of the last run's answer */
  uint32_t counter; /* of stream messages */
  uint32_t good, malformed, torn, bytes, runs, errors; /* since the start */
  uint8_t ready;    /* the outputs of the last run are still there */
  uint8_t streams;
  uint8_t code, left; /* of the COBS block that is being received */
  uint16_t used;      /* bytes of `frame` */
  uint8_t frame[EDGEML_MAX_PAYLOAD + EDGEML_FRAME_OVERHEAD];
} edgeml_bridge;

/* Prepares the bridge and the model. port and model must stay. */
void edgeml_bridge_init(edgeml_bridge *bridge, const edgeml_port *port, const edgeml_model *model);

/*
 * Takes what was received, answers every request that is whole, and returns when nothing waits any more. Where nothing
 * came at all and no stream is on, it idles once.
 */
void edgeml_bridge_poll(edgeml_bridge *bridge);

/*
 * Whether the host asked for a stream: only then the two functions below send, and only then may the program run the
 * model by itself. Call them from where poll is called, not from an interrupt.
 */
int edgeml_bridge_streams(const edgeml_bridge *bridge);

/*
 * Sends a block of sensor samples: float32 [samples, channels], in the units that the model's contract names.
 * time_us is the time of the first sample by the board's clock; rate_hz is nominal.
 */
void edgeml_bridge_send_block(edgeml_bridge *bridge, const float *values, uint16_t samples, uint8_t channels,
                              float rate_hz, uint64_t time_us);

/* Sends the model's outputs as they are now, as a prediction of the window that ended at time_us. */
void edgeml_bridge_send_prediction(edgeml_bridge *bridge, uint64_t time_us);

/*
 * Tells the host of a fault, from a fault handler: needs no interrupt, no state but the port, and 200 bytes of stack.
 * A frame may be lost: a handler that waits for a reset sends it again from time to time.
 */
void edgeml_bridge_send_fault(const edgeml_port *port, uint32_t program_counter, uint32_t cfsr);

#ifdef __cplusplus
}
#endif

#endif /* EDGEML_BRIDGE_H */
