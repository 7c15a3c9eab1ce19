/*
 * Sound in pieces of any size becomes windows of log-mel features; each frame is computed once, however windows
 * overlap.
 */
#ifndef EDGEML_FRONT_END_H
#define EDGEML_FRONT_END_H

#include "edgeml_log_mel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What does not change, and where there is room. */
typedef struct {
  const edgeml_log_mel_t *frame; /* of one frame; its hop is that of all */
  int32_t start;                 /* samples ahead of the first frame */
  int32_t frames;                /* in a window */
  int32_t every;                 /* frames from one window to the next */
  int16_t *samples;              /* [frame->spectrum.frame]: of the next frame, as far as they have come */
  float *work;                   /* [frame->spectrum.frame + frame->spectrum.length] */
  float *features;               /* [frames, frame->bands]: a ring */
} edgeml_front_end_t;

/* What does. */
typedef struct {
  int32_t filled; /* samples of the next frame */
  int32_t skip;   /* samples that no frame needs, until the next begins */
  int32_t next;   /* the oldest frame of the ring, which the next one replaces */
  int32_t wanted; /* frames until a window is complete */
  int32_t ready;  /* 1: the last call of push completed one */
} edgeml_front_end_state_t;

/* Forgets all sound. */
void edgeml_front_end_init(const edgeml_front_end_t *front_end, edgeml_front_end_state_t *state);

/*
 * Takes samples, at full scale -32768 .. 32767, until there are no more or a window is complete, which is then in
 * window: [frames, bands]. Gives the number of samples that it took.
 */
int32_t edgeml_front_end_push(const edgeml_front_end_t *front_end, edgeml_front_end_state_t *state,
                              const int16_t *samples, int32_t count, float *window);

#ifdef __cplusplus
}
#endif

#endif /* EDGEML_FRONT_END_H */
