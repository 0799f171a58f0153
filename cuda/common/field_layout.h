/* SPDX-License-Identifier: BSD-3-Clause */
/* What host and device agree on for the particles of the Mean ODE (kernel F).
 *
 * Nodes hold particles in tiles of MNO_FIELD_LANES, [node][tile][vector][coordinate][lane]: a vector for each tensor of the
 * block, then for each state of the optimiser. A pass cuts a node into chunks of
 * whole tiles; a team takes a chunk, tile by tile, and leaves the chunk's sums in double precision; a second launch adds the
 * chunks in order. A chunk's results are computed in patches: some samples of a group of MNO_CHUNK, some rows (coordinates
 * of F, G and the first index of J). In a patch every lane owns one block of results, 5 samples x 4 rows of F or G or 2
 * samples x 4 rows x 4 columns of J, and one slice of the tile's particles; slices are added in order at the end of the
 * chunk. All of that depends on N, r, the particles of a node, what is asked for and the precision, never on the card or the
 * number of teams: so a pass has the same bits wherever it runs. */
#ifndef MNO_CUDA_FIELD_LAYOUT_H
#define MNO_CUDA_FIELD_LAYOUT_H

#include "common/device_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  MNO_FIELD_LANES = 128,
  MNO_FIELD_DRAWN = 10,    /* coordinates of the output that are rotated at a time */
  MNO_FIELD_SAMPLES = 5,   /* of a block of F or G */
  MNO_FIELD_J_SAMPLES = 2, /* of a block of J */
  MNO_FIELD_ROWS = 4,      /* of a block, and columns of a block of J */
  MNO_FIELD_SHIFT = 5,     /* 2^5 slices at most */
  MNO_FIELD_CHUNKS = 512,  /* of a node, at most */
  MNO_FIELD_LEAST = 1024,  /* particles of a chunk, at least */
  /* From row to row of a tile in a team's memory: lanes read from several rows at a time, which then differ in their banks.
   */
  MNO_FIELD_ROW = MNO_FIELD_LANES + 2
};

/* What a pass evaluates. */
typedef enum mno_field_results { MNO_FIELD_NONE, MNO_FIELD_F, MNO_FIELD_FG, MNO_FIELD_FJ } mno_field_results;

typedef struct mno_field_shape {
  int32_t trainer;                     /* block and optimiser: index in MNO_TRAINER_LIST */
  int32_t tensors, vectors;            /* of the block; of a particle in memory: tensors x (1 + states of the optimiser) */
  int32_t bytes;                       /* of a number: 4 or 8 */
  int32_t N, r, groups;                /* groups of MNO_CHUNK samples */
  int32_t pitch;                       /* numbers of a row of fields */
  int32_t results;                     /* mno_field_results */
  int32_t samples, rows;               /* of a patch */
  int32_t sample_patches, row_patches; /* sample patches of a group */
  uint32_t particles, tiles;           /* of a node */
  uint32_t chunk, chunks;              /* tiles of a chunk, chunks of a node */
  uint32_t outputs;                    /* results of a node: F [N][r], then G [N][r] or J [N][r][r] */
  uint32_t work_rows; /* of the work tile, MNO_FIELD_ROW numbers each; the last few belong to no coordinate */
} mno_field_shape;

/* The scrambled sequence as the device sees it; dimension d >= tabled is pseudo-random. */
typedef struct mno_field_draw {
  const uint32_t *direction; /* [tabled][32] */
  const uint32_t *shift;     /* [tabled] */
  const uint32_t *block;     /* [m] */
  const double *axes;        /* [r][r] */
  uint64_t seed;
  uint32_t randomisation, points;
  int32_t tabled;
  double scale[MNO_TENSORS_MOST];
} mno_field_draw;

typedef struct mno_field_args {
  mno_field_shape shape;
  mno_field_draw draw;
  void *state;           /* [m][tiles][vectors][r][MNO_FIELD_LANES], numbers of shape.bytes */
  const void *weight;    /* [tiles][MNO_FIELD_LANES] of the same, or NULL: all are weight_of_all */
  const void *old, *now; /* fields [count][groups][r][h|b][pitch] of the same; padding is 0; old NULL: no update */
  double *partial;       /* [count][chunks][outputs] */
  double *result;        /* [count][outputs], pinned */
  char *scratch;         /* [teams][work tile] when that is not in shared memory */
  double weight_of_all;
  double inverse_D;
  double rate[MNO_TENSORS_MOST]; /* of the update */
  double knob[MNO_KNOBS_MOST];
  uint32_t first, count; /* nodes */
  int32_t activation;
  int32_t drawn;          /* the particles are the initial ones and not in memory yet */
  int32_t keep;           /* drawn particles go to memory */
  int32_t work_in_memory; /* never changes the numbers */
  uint32_t teams;
} mno_field_args;

MNO_LAYOUT size_t mno_field_state_bytes(const mno_field_shape *s, size_t m) {
  return m * s->tiles * (size_t)(s->vectors * s->r) * MNO_FIELD_LANES * (size_t)s->bytes;
}
MNO_LAYOUT size_t mno_field_field_bytes(const mno_field_shape *s, size_t m) {
  return m * (size_t)s->groups * (size_t)s->r * 2 * (size_t)s->pitch * (size_t)s->bytes;
}
MNO_LAYOUT size_t mno_field_work_bytes(const mno_field_shape *s) {
  return (size_t)s->work_rows * MNO_FIELD_ROW * (size_t)s->bytes;
}
/* Numbers that a lane accumulates. */
MNO_LAYOUT int mno_field_sums(int results) {
  return results == MNO_FIELD_FJ ? MNO_FIELD_J_SAMPLES * MNO_FIELD_ROWS * MNO_FIELD_ROWS
         : results               ? MNO_FIELD_SAMPLES * MNO_FIELD_ROWS
                                 : 0;
}
/* Shared memory of a team: bases of the Sobol points, old and new fields of a group, a row per tensor and sample of a group,
 * the lanes' sums, the work tile. Where there is no room for the work tile, fields stay in memory as well. */
MNO_LAYOUT size_t mno_field_bases_bytes(const mno_field_shape *s) {
  return mno_round_up((size_t)(s->tensors * s->r) * 4, 16);
}
MNO_LAYOUT size_t mno_field_group_bytes(const mno_field_shape *s) {
  return (size_t)s->r * 2 * (size_t)s->pitch * (size_t)s->bytes;
}
MNO_LAYOUT size_t mno_field_shared_bytes(const mno_field_shape *s, int work_in_memory) {
  return mno_field_bases_bytes(s) +
         ((size_t)s->tensors * MNO_CHUNK * MNO_FIELD_ROW + (size_t)mno_field_sums(s->results) * MNO_FIELD_LANES) *
             (size_t)s->bytes +
         (work_in_memory ? 0 : 2 * mno_field_group_bytes(s) + mno_field_work_bytes(s));
}

#ifdef __cplusplus
}
#endif
#endif
