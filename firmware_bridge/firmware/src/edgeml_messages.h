/*
 * Messages: numbers that the wire knows, as docs/protocol.md specifies them.
 */
#ifndef EDGEML_MESSAGES_H
#define EDGEML_MESSAGES_H

enum { EDGEML_PROTOCOL_VERSION = 1 };

/* Capabilities in HELLO. */
enum { EDGEML_MEASURES_STACK = 1 };

/* Requests; an answer is the request's type with the highest bit set. */
enum {
  EDGEML_HELLO = 0x01,
  EDGEML_INIT = 0x02,
  EDGEML_INPUT = 0x03,
  EDGEML_RUN = 0x04,
  EDGEML_OUTPUT = 0x05,
  EDGEML_STREAM = 0x06,
  EDGEML_STATS = 0x07,
  EDGEML_ANSWER = 0x80
};

/* What a board sends unasked, and its refusal of a request. */
enum { EDGEML_BLOCK = 0xc1, EDGEML_PREDICTION = 0xc2, EDGEML_FAULT = 0xc3, EDGEML_ERROR = 0xff };

/* HELLO's argument: facts, the core's name, and from here on the tensors. */
enum { EDGEML_PART_FACTS = 0, EDGEML_PART_CORE = 1, EDGEML_PART_TENSORS = 2 };

/* Codes of ERROR: name, number, meaning. firmware_bridge/protocol.py has the same, and a test compares. */
#define EDGEML_ERRORS(X)                                              \
  X(TYPE, 1, "no request has this type")                              \
  X(LENGTH, 2, "the request is shorter or longer than its type says") \
  X(SEAL, 3, "the seal is not that of what arrived")                  \
  X(SESSION, 4, "no such session is open: the board was reset")       \
  X(TENSOR, 5, "there is no such tensor or part")                     \
  X(RANGE, 6, "the chunk lies outside of the tensor")                 \
  X(NUMBER, 7, "the command is not the next one")                     \
  X(GONE, 8, "the outputs are not there any more")                    \
  X(STREAMING, 9, "the board streams and runs the model by itself")

#define EDGEML_ERROR_CODE(name, number, meaning) EDGEML_ERROR_##name = number,
enum { EDGEML_ERRORS(EDGEML_ERROR_CODE) EDGEML_ERROR_NONE = 0 };
#undef EDGEML_ERROR_CODE

#endif /* EDGEML_MESSAGES_H */
