/*
 * A front end that streams: samples are collected until there is a frame, of which those that the next frame needs
 * as well are kept; the features of a frame go into a ring, and out of it in the order of time.
 */
#include "edgeml_front_end.h"

void edgeml_front_end_init(const edgeml_front_end_t *front_end, edgeml_front_end_state_t *state) {
  state->filled = 0;
  state->skip = front_end->start;
  state->next = 0;
  state->wanted = front_end->frames;
  state->ready = 0;
}

/* Computes the frame that is complete, and keeps what the next one begins with. */
static void advance(const edgeml_front_end_t *front_end, edgeml_front_end_state_t *state) {
  const edgeml_log_mel_t *const frame = front_end->frame;
  const int32_t length = frame->spectrum.frame;
  float *const sound = front_end->work;
  for (int32_t n = 0; n < length; ++n) {
    sound[n] = (float)front_end->samples[n] * (1.0f / 32768.0f);
  }
  edgeml_log_mel(frame, sound, front_end->features + state->next * frame->bands, sound + length);
  state->next = state->next + 1 < front_end->frames ? state->next + 1 : 0;
  --state->wanted;
  const int32_t kept = length - frame->hop;
  state->filled = kept > 0 ? kept : 0;
  state->skip = kept > 0 ? 0 : -kept;
  for (int32_t n = 0; n < kept; ++n) {
    front_end->samples[n] = front_end->samples[n + frame->hop];
  }
}

/* The ring from its oldest frame on. */
static void unroll(const edgeml_front_end_t *front_end, const edgeml_front_end_state_t *state, float *window) {
  const int32_t all = front_end->frames * front_end->frame->bands, oldest = state->next * front_end->frame->bands;
  memcpy(window, front_end->features + oldest, (uint32_t)(all - oldest) * sizeof(float));
  memcpy(window + all - oldest, front_end->features, (uint32_t)oldest * sizeof(float));
}

int32_t edgeml_front_end_push(const edgeml_front_end_t *front_end, edgeml_front_end_state_t *state,
                              const int16_t *samples, int32_t count, float *window) {
  const int32_t length = front_end->frame->spectrum.frame;
  int32_t taken = 0;
  state->ready = 0;
  while (taken < count && !state->ready) {
    const int32_t left = count - taken, open = state->skip > 0 ? state->skip : length - state->filled;
    const int32_t now = open < left ? open : left;
    if (state->skip > 0) {
      state->skip -= now;
    } else {
      memcpy(front_end->samples + state->filled, samples + taken, (uint32_t)now * sizeof(int16_t));
      state->filled += now;
    }
    taken += now;
    if (state->filled == length) {
      advance(front_end, state);
      if (state->wanted == 0) {
        unroll(front_end, state, window);
        state->wanted = front_end->every;
        state->ready = 1;
      }
    }
  }
  return taken;
}
