/*
 * The bridge: answers the host's requests, each exactly once however often it comes.
 *
 * A command (INIT, RUN, STREAM) is numbered. It is carried out where its number is the next one, and answered again
 * where it is the last one, unchanged. Whatever else a host asks changes nothing when it is asked twice.
 */
#include "edgeml_bridge.h"

#include <stddef.h>
#include <string.h>

#include "edgeml_frame.h"
#include "edgeml_messages.h"

/* Where the fields of a request are. */
enum { TYPE = 0, ARGUMENT = 1, SESSION = 4, NUMBER = 8, OFFSET = 12, LENGTH = 16, CHUNK = 20 };

void edgeml_bridge_init(edgeml_bridge *bridge, const edgeml_port *port, const edgeml_model *model) {
  memset(bridge, 0, sizeof *bridge);
  bridge->port = port;
  bridge->model = model;
  model->init();
}

int edgeml_bridge_streams(const edgeml_bridge *bridge) { return bridge->streams; }

/* At most 255 bytes of a text. */
static void add_text(edgeml_message *answer, const char *text) {
  answer->body = (const uint8_t *)text;
  while (text[answer->body_bytes] != 0 && answer->body_bytes < 255) {
    ++answer->body_bytes;
  }
}

static void add_facts(const edgeml_bridge *bridge, edgeml_message *answer) {
  const edgeml_port *port = bridge->port;
  const edgeml_model *model = bridge->model;
  edgeml_frame_add(answer, EDGEML_PROTOCOL_VERSION, 1);
  edgeml_frame_add(answer, model->inputs, 1);
  edgeml_frame_add(answer, model->outputs, 1);
  edgeml_frame_add(answer, port->tick_kind, 1);
  edgeml_frame_add(answer, EDGEML_MAX_PAYLOAD, 2);
  edgeml_frame_add(answer, port->stack_limit != NULL ? EDGEML_MEASURES_STACK : 0, 2);
  edgeml_frame_add(answer, port->tick_numerator, 4);
  edgeml_frame_add(answer, port->tick_denominator, 4);
  edgeml_frame_add(answer, model->arena_bytes, 4);
  memcpy(answer->fields + answer->used, model->digest, sizeof model->digest);
  answer->used = (uint8_t)(answer->used + sizeof model->digest);
  add_text(answer, model->name);
}

static void add_tensor(const edgeml_tensor *tensor, edgeml_message *answer) {
  uint32_t scale;
  memcpy(&scale, &tensor->scale, sizeof scale);
  edgeml_frame_add(answer, tensor->dtype, 1);
  edgeml_frame_add(answer, tensor->rank, 3);
  edgeml_frame_add(answer, tensor->bytes, 4);
  edgeml_frame_add(answer, scale, 4);
  edgeml_frame_add(answer, (uint32_t)tensor->zero_point, 4);
  for (uint32_t axis = 0; axis < EDGEML_MAX_RANK; ++axis) {
    edgeml_frame_add(answer, axis < tensor->rank ? tensor->shape[axis] : 0, 2);
  }
  add_text(answer, tensor->name);
}

/* Painted words from the lowest one on were never used. */
static uint32_t stack_used(const edgeml_port *port) {
  const uint32_t *word = port->stack_limit;
  while (word != port->stack_top && *word == EDGEML_STACK_PAINT) {
    ++word;
  }
  return (uint32_t)(port->stack_top - word) * 4;
}

static void add_stats(const edgeml_bridge *bridge, edgeml_message *answer) {
  const edgeml_port *port = bridge->port;
  edgeml_frame_add(answer, bridge->good, 4);
  edgeml_frame_add(answer, bridge->malformed, 4);
  edgeml_frame_add(answer, bridge->torn, 4);
  edgeml_frame_add(answer, bridge->bytes, 4);
  edgeml_frame_add(answer, bridge->runs, 4);
  edgeml_frame_add(answer, bridge->errors, 4);
  edgeml_frame_add(answer, port->stack_limit != NULL ? (uint32_t)(port->stack_top - port->stack_limit) * 4 : 0, 4);
  edgeml_frame_add(answer, port->stack_limit != NULL ? stack_used(port) : 0, 4);
  edgeml_frame_add(answer, bridge->model->arena_bytes, 4);
}

/* CRC-32 of what `seal` was of, and of tensors as they lie in memory. */
static uint32_t sealed(uint32_t seal, const edgeml_tensor *tensors, uint8_t count) {
  for (; count > 0; --count, ++tensors) {
    seal = edgeml_frame_crc32(seal, tensors->data(), tensors->bytes);
  }
  return seal;
}

/* A session begins: whatever was before is forgotten. */
static void open_session(edgeml_bridge *bridge, uint32_t session) {
  bridge->session = session;
  bridge->number = bridge->seal = 0;
  bridge->ready = bridge->streams = 0;
  bridge->model->init();
}

/* Below, each returns 0 or the code of an error, whose detail goes into *detail. */

static uint8_t hello(edgeml_bridge *bridge, const uint8_t *request, edgeml_message *answer) {
  const edgeml_model *model = bridge->model;
  const uint32_t part = request[ARGUMENT];
  if (part == EDGEML_PART_FACTS) {
    add_facts(bridge, answer);
  } else if (part == EDGEML_PART_CORE) {
    add_text(answer, bridge->port->core);
  } else if (part - EDGEML_PART_TENSORS < (uint32_t)model->inputs + model->outputs) {
    add_tensor(&model->tensors[part - EDGEML_PART_TENSORS], answer);
  } else {
    return EDGEML_ERROR_TENSOR;
  }
  return 0;
}

static uint8_t input(edgeml_bridge *bridge, const uint8_t *request, uint32_t bytes, uint32_t *detail) {
  const uint32_t ahead = edgeml_frame_get32(request + NUMBER) - bridge->number;
  const uint32_t offset = edgeml_frame_get32(request + OFFSET), total = edgeml_frame_get32(request + LENGTH);
  if (request[ARGUMENT] >= bridge->model->inputs) {
    return EDGEML_ERROR_TENSOR;
  }
  const edgeml_tensor *tensor = &bridge->model->tensors[request[ARGUMENT]];
  *detail = tensor->bytes;
  bytes -= CHUNK;
  if (total != tensor->bytes || offset > total || bytes > total - offset) {
    return EDGEML_ERROR_RANGE;
  }
  *detail = bridge->number;
  if (bridge->streams) {
    return EDGEML_ERROR_STREAMING;
  }
  if (ahead == 1) {
    bridge->ready = 0;
    memcpy((uint8_t *)tensor->data() + offset, request + CHUNK, bytes);
  } else if (ahead - 1 < 0x80000000u) {
    return EDGEML_ERROR_NUMBER;
  } /* otherwise its run is over: writing it now would destroy the outputs */
  return 0;
}

static uint8_t output(const edgeml_bridge *bridge, const uint8_t *request, edgeml_message *answer, uint32_t *detail) {
  const uint32_t offset = edgeml_frame_get32(request + OFFSET), bytes = edgeml_frame_get32(request + LENGTH);
  if (request[ARGUMENT] >= bridge->model->outputs) {
    return EDGEML_ERROR_TENSOR;
  }
  const edgeml_tensor *tensor = &bridge->model->tensors[bridge->model->inputs + request[ARGUMENT]];
  *detail = tensor->bytes;
  if (offset > tensor->bytes || bytes > tensor->bytes - offset || bytes > EDGEML_MAX_PAYLOAD) {
    return EDGEML_ERROR_RANGE;
  }
  *detail = bridge->number;
  if (!bridge->ready || edgeml_frame_get32(request + NUMBER) != bridge->number) {
    return EDGEML_ERROR_GONE;
  }
  edgeml_frame_add(answer, bridge->number, 4);
  edgeml_frame_add(answer, offset, 4);
  edgeml_frame_add(answer, tensor->bytes, 4);
  answer->body = (const uint8_t *)tensor->data() + offset;
  answer->body_bytes = bytes;
  return 0;
}

static void run(edgeml_bridge *bridge) {
  const uint32_t start = bridge->port->tick(bridge->port->context);
  bridge->model->run();
  bridge->ticks = bridge->port->tick(bridge->port->context) - start;
  ++bridge->runs;
  bridge->ready = 1;
}

static void carry_out(edgeml_bridge *bridge, const uint8_t *request) {
  bridge->ready = 0;
  if (request[TYPE] == EDGEML_RUN) {
    run(bridge);
  } else {
    bridge->counter = 0;
    bridge->streams = request[TYPE] == EDGEML_STREAM && request[ARGUMENT];
    bridge->model->init();
  }
}

/* INIT, RUN and STREAM. `seal` is that of the request, of a run still without the inputs. */
static uint8_t command(edgeml_bridge *bridge, const uint8_t *request, uint32_t seal, edgeml_message *answer,
                       uint32_t *detail) {
  const edgeml_model *model = bridge->model;
  const uint32_t number = edgeml_frame_get32(request + NUMBER);
  const int runs = request[TYPE] == EDGEML_RUN, is_new = number != bridge->number;
  *detail = bridge->number;
  if (!is_new) {
    seal = bridge->seal;
  } else if (runs) {
    if (bridge->streams) {
      return EDGEML_ERROR_STREAMING;
    }
    seal = sealed(seal, model->tensors, model->inputs);
  }
  if (seal != edgeml_frame_get32(request + OFFSET)) {
    return EDGEML_ERROR_SEAL;
  }
  if (number - bridge->number > 1) {
    return EDGEML_ERROR_NUMBER;
  }
  if (is_new) {
    bridge->number = number;
    bridge->seal = seal;
    carry_out(bridge, request);
  }
  edgeml_frame_add(answer, number, 4);
  if (runs) {
    edgeml_frame_add(answer, bridge->ticks, 4);
  }
  if (runs && is_new) {
    bridge->answer = sealed(edgeml_frame_seal(answer), model->tensors + model->inputs, model->outputs);
  }
  return 0;
}

/* The length of a request of that type with its seal, of INPUT without its chunk; 0 where there is no such type. */
static uint32_t length_of(uint8_t type) {
  static const uint8_t lengths[] = {0, 12, 16, CHUNK, 16, 24, 16, 12};
  return type < sizeof lengths ? lengths[type] : 0;
}

static uint8_t dispatch(edgeml_bridge *bridge, uint32_t bytes, edgeml_message *answer, uint32_t *detail) {
  const uint8_t *request = bridge->frame;
  const uint8_t type = request[TYPE];
  const uint32_t length = length_of(type), session = edgeml_frame_get32(request + SESSION);
  const int opens = type == EDGEML_HELLO && request[ARGUMENT] == EDGEML_PART_FACTS;
  uint32_t seal = 0;
  if (length == 0) {
    return EDGEML_ERROR_TYPE;
  }
  if (type == EDGEML_INPUT ? bytes < length : bytes != length) {
    return EDGEML_ERROR_LENGTH;
  }
  if (type != EDGEML_INPUT) {
    seal = edgeml_frame_crc32(0, request, length - EDGEML_SEAL_BYTES);
    if (type != EDGEML_RUN && seal != edgeml_frame_get32(request + length - EDGEML_SEAL_BYTES)) {
      return EDGEML_ERROR_SEAL;
    }
  }
  if (session == 0 || (session != bridge->session && !opens)) {
    return EDGEML_ERROR_SESSION;
  }
  if (session != bridge->session) {
    open_session(bridge, session);
  }
  switch (type) {
    case EDGEML_HELLO:
      return hello(bridge, request, answer);
    case EDGEML_INPUT:
      edgeml_frame_add(answer, edgeml_frame_get32(request + NUMBER), 4);
      return input(bridge, request, bytes, detail);
    case EDGEML_OUTPUT:
      return output(bridge, request, answer, detail);
    case EDGEML_STATS:
      add_stats(bridge, answer);
      return 0;
    default:
      return command(bridge, request, seal, answer, detail);
  }
}

static void answer_request(edgeml_bridge *bridge, uint32_t bytes) {
  const uint8_t type = bridge->frame[TYPE];
  edgeml_message answer;
  uint32_t detail = 0;
  memset(&answer, 0, sizeof answer);
  memcpy(answer.fields, bridge->frame, EDGEML_HEAD_BYTES);
  answer.fields[TYPE] = (uint8_t)(type | EDGEML_ANSWER);
  answer.used = EDGEML_HEAD_BYTES;
  const uint8_t error = dispatch(bridge, bytes, &answer, &detail);
  if (error) {
    ++bridge->errors;
    answer.fields[TYPE] = EDGEML_ERROR;
    answer.fields[ARGUMENT] = error;
    answer.used = EDGEML_HEAD_BYTES;
    edgeml_frame_add(&answer, detail, 4);
  } else if (type == EDGEML_OUTPUT) {
    edgeml_frame_send(bridge->port, &answer);
    return;
  }
  const int has_run = !error && type == EDGEML_RUN;
  edgeml_frame_send_sealed(bridge->port, &answer, has_run ? bridge->answer : edgeml_frame_seal(&answer));
}

void edgeml_bridge_poll(edgeml_bridge *bridge) {
  const edgeml_port *port = bridge->port;
  int byte = port->get(port->context);
  if (byte < 0 && port->idle != NULL && !bridge->streams) {
    port->idle(port->context);
    byte = port->get(port->context);
  }
  for (; byte >= 0; byte = port->get(port->context)) {
    const uint32_t bytes = edgeml_frame_receive(bridge, (uint8_t)byte);
    if (bytes > 0) {
      answer_request(bridge, bytes);
    }
  }
}
