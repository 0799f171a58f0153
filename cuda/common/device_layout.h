/* SPDX-License-Identifier: BSD-3-Clause */
/* What host and device agree on: the shape of an instance's computation, where everything lies, the arguments of a launch.
 *
 * A team trains one instance at a time: lanes of one or several ranks (blocks of a cluster; otherwise one). Units are dealt
 * to portions and within a portion to tiles; a tile is the unit of transfer, [tensor][unit][row], then the optimiser's
 * [tensor][state][unit][row], with rows padded to an odd number of elements so that both orientations of access are free of
 * bank conflicts. One rank takes all portions in turn, or each of several ranks one. Samples come in chunks of MNO_CHUNK;
 * states lie as [chunk][coordinate][pitch].
 *
 * Small networks go several at once (W0): a lane is a sample of one of the team's instances, and a transfer brings
 * several layers of all of them, [instance][layer][unit][tensors and states][row]. What it brings of an instance is padded
 * to a stride that keeps the lanes of different instances out of each other's banks.
 *
 * Every sum has a fixed order: coordinates in `slices` of a projection <u,h>, units in `slices` of a combination sum v rho,
 * then the slices in order, then the portions. All of that depends on D, M, N, L and the precision only, never on the batch,
 * the number of ranks or teams or the size of the card: so an instance has the same bits wherever it runs. */
#ifndef MNO_CUDA_DEVICE_LAYOUT_H
#define MNO_CUDA_DEVICE_LAYOUT_H

#include "meanode/plan.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  MNO_CHUNK = 10,
  MNO_PITCH_F32 = 12, /* elements of a row of a chunk */
  MNO_PITCH_F64 = 10,
  MNO_GROUP_MOST = 8,
  MNO_PAIR = 2,    /* W0: units of a lane in an update, which share what is read of the samples */
  MNO_TOGETHER = 8 /* W0: bytes of each tensor that an update reads at a time */
};

/* Numbers of coordinates that kernel W0 is compiled for: D is padded to the next. */
#define MNO_PADDED_D 2, 4, 8, 10, 16

typedef enum mno_kernel_kind {
  MNO_KERNEL_WARP,  /* W: a warp per instance (a block of one warp) */
  MNO_KERNEL_BLOCK, /* C: a block per instance; X: a cluster of blocks */
  MNO_KERNEL_LANES, /* W0: a warp for several instances, a lane per sample */
  MNO_KERNEL_GEMM   /* G: cuBLAS per layer, many instances per call */
} mno_kernel_kind;

/* Division by a constant: n / d = high(n * magic), exact while n d < 2^32. */
typedef struct mno_divisor {
  uint32_t d, magic;
} mno_divisor;

typedef struct mno_shape {
  int32_t kernel;  /* mno_kernel_kind */
  int32_t trainer; /* block and optimiser: index in MNO_TRAINER_LIST */
  int32_t tensors; /* of the block */
  int32_t rows;    /* of a unit: tensors x (1 + states of the optimiser) */
  int32_t bytes;   /* of a number: 4 or 8 */
  int32_t D, M, N, L, d_out;
  int32_t chunks, pitch, row;         /* samples / MNO_CHUNK, elements of a state row, elements of a weight row */
  int32_t blocks_per_team, lanes;     /* blocks of a team: 1 or `portions`, which changes no number; lanes of a rank */
  int32_t group, layers_per_transfer; /* instances of a team, layers of a transfer: 1 unless W0 (group also: G) */
  int32_t padded_D;                   /* rows of a chunk of a state: D, or what D is padded to */
  int32_t tuning_count;               /* G: instances that algorithms are chosen for */
  int32_t projections_stored;         /* G: those of all layers? */
  int32_t fused;                      /* G: are updates products onto the weights? */
  int32_t portions, portion;          /* into which the units of a layer are cut; units of one */
  int32_t tile, tiles;                /* units of a tile; tiles of a portion */
  int32_t d_slices, d_length;         /* slices of the coordinates in a projection */
  int32_t m_slices, m_length;         /* slices of a tile's units in a combination */
  mno_divisor by_tile, by_D;
  mno_divisor by_samples, by_instance_lanes; /* W0: lanes of an instance when they are samples and when they are units */
  mno_divisor by_parts, by_pairs;            /* W0: parts of a pair of units, pairs of a layer */
  uint32_t tile_bytes, h_bytes;              /* of a tile in memory; of a state */
  uint32_t weights_bytes, p_bytes;           /* of a tile less the optimiser's states; of the projections of one tensor */
  uint32_t weights_stride, states_stride;    /* from one instance to the next in a transfer; W0: with padding */
  /* Offsets in an instance's state region: h, b, projections [tensor], accumulators (W0: b of the transfer's layers), the
   * sum of the portions that a rank has behind it. */
  uint32_t H, B, P, A, S;
  uint32_t a_bytes;     /* one of the accumulator buffers: two when there are several ranks */
  uint32_t each_bytes;  /* of an instance's state region */
  uint32_t state_bytes; /* of the region of all of the team's instances, per rank */
} mno_shape;

/* One training problem as the device sees it. Pointers are device addresses. */
typedef struct mno_device_problem {
  const void *h0;          /* [chunks][D][pitch] W_E x, in the precision of the run */
  const double *y;         /* [N][d_out] */
  const double *w_unembed; /* [D][d_out] */
  const int64_t *step;     /* [steps] recorded steps, increasing */
  const void *rate;        /* [K][tensors] what multiplies normalised gradients, in the precision of the run */
  double alpha;
  double scale[MNO_TENSORS_MOST];  /* of the initial weights: sigma sqrt(D) */
  double knob[MNO_KNOBS_MOST];     /* of the optimiser */
  uint32_t draw[MNO_TENSORS_MOST]; /* counter words of the initial weights */
  uint32_t flips;                  /* bits of the tensors that mno_item.sign multiplies */
  int64_t K;
  int32_t steps, activation, loss;
} mno_device_problem;

typedef struct mno_item {
  uint64_t seed;
  uint32_t width, offset; /* mno_draw */
  uint32_t row, problem;
  int32_t L, sign;
} mno_item;

/* A result on its way to the host, in pinned memory: this header, then doubles in the order of mno_record: loss, output,
 * embedding, initial weights by tensor, final weights by tensor. */
typedef struct mno_mailbox {
  uint32_t state; /* 0: free, belongs to the team; 1: full, belongs to the host */
  uint32_t row;
  uint32_t outcome; /* mno_outcome */
  uint32_t filled;  /* recorded steps that were reached */
  double seconds;   /* the team's own time */
  double pad[5];
} mno_mailbox;

/* What kernels wait for by polling. */
typedef enum mno_spin {
  MNO_SPIN_NONE,
  MNO_SPIN_TRANSFER, /* from memory into a stage of the ring */
  MNO_SPIN_MAILBOX   /* a mailbox that the host is to free */
} mno_spin;

/* Words between the host and all kernels of a card: the pinned memory starts with them. */
typedef struct mno_signals {
  uint32_t stop;  /* by the host: not 0: end */
  uint64_t stuck; /* by a kernel that ends because it waited in vain: mno_stuck(); 0: none */
} mno_signals;

/* Words a team shares through its slot in memory. */
typedef struct mno_control {
  uint32_t index; /* the first instance being trained */
  uint32_t go_on; /* 0: stop asked for */
  uint32_t live;  /* instances still being trained */
  uint32_t depth; /* their largest L */
  double start;   /* when they were begun */
  double polled;  /* when the stop word was last polled */
  struct mno_progress_of {
    double loss;
    uint32_t filled, outcome;
  } of[MNO_GROUP_MOST];
} mno_control;

/* Offsets in a slot: control, weights [layer][portion][tile] (W0: [transfer][instance][layer]), states [layer] (W0
 * likewise), readouts (f64), state region if it is not in shared memory. */
typedef struct mno_slot_layout {
  size_t weights, states, readout, readout_each, region, bytes;
} mno_slot_layout;

typedef struct mno_train_args {
  mno_shape shape;    /* L: the largest of the items */
  mno_slot_layout at; /* mno_slot(&shape) */
  const mno_device_problem *problem;
  const mno_item *item; /* [count], longest first */
  uint32_t count;
  uint32_t weights; /* bits of mno_weights to record */
  uint32_t *next;   /* the next item to take */
  char *slots;      /* [teams][slot_bytes] */
  char *mailboxes;  /* [teams][2][group][mailbox_bytes], pinned */
  size_t slot_bytes, mailbox_bytes;
  volatile mno_signals *signals; /* pinned */
  int32_t stages;                /* of the ring; never changes the numbers */
} mno_train_args;

#ifdef __CUDACC__
#define MNO_LAYOUT static __host__ __device__ __forceinline__
#else
#define MNO_LAYOUT static inline
#endif

MNO_LAYOUT size_t mno_ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
MNO_LAYOUT size_t mno_round_up(size_t n, size_t to) { return mno_ceil_div(n, to) * to; }

/* Bytes of a number, and elements of a row of a chunk of such numbers. */
MNO_LAYOUT int mno_number_bytes(mno_precision precision) { return precision == MNO_F64 ? 8 : 4; }
MNO_LAYOUT int mno_pitch(int bytes) { return bytes == 4 ? MNO_PITCH_F32 : MNO_PITCH_F64; }

/* Who waits for what, in one word so that a single write says it: spin, kernel, blocks of the team, rank a byte each, team
 * above. */
MNO_LAYOUT uint64_t mno_stuck(mno_spin spin, const mno_shape *s, int rank, int team) {
  const uint32_t low = (uint32_t)rank << 24 | (uint32_t)s->blocks_per_team << 16 | (uint32_t)s->kernel << 8 | (uint32_t)spin;
  return (uint64_t)(uint32_t)team << 32 | low;
}

MNO_LAYOUT mno_slot_layout mno_slot(const mno_shape *s) {
  mno_slot_layout at;
  const size_t N = (size_t)s->N, group = (size_t)s->group;
  const size_t pieces = mno_ceil_div((size_t)s->L, (size_t)s->layers_per_transfer) * group;
  at.weights = 256;
  at.states = at.weights + (size_t)s->portions * pieces * (size_t)s->tiles * s->weights_stride;
  at.readout = at.states + pieces * s->states_stride;
  at.readout_each = (2 * N * (size_t)s->d_out + N) * sizeof(double);
  at.region = mno_round_up(at.readout + group * at.readout_each, 256);
  at.bytes = mno_round_up(at.region + (size_t)s->blocks_per_team * s->state_bytes, 256);
  return at;
}

/* What a transfer of W0 brings at most of weights and of states, less the padding of the last instance; a transfer of the
 * others brings a tile of weights. */
MNO_LAYOUT uint32_t mno_stage_weights(const mno_shape *s) {
  return (uint32_t)(s->group - 1) * s->weights_stride + (uint32_t)s->layers_per_transfer * s->tile_bytes;
}
MNO_LAYOUT uint32_t mno_stage_states(const mno_shape *s) {
  return s->kernel == MNO_KERNEL_LANES
             ? (uint32_t)(s->group - 1) * s->states_stride + (uint32_t)s->layers_per_transfer * s->h_bytes
             : 0;
}
MNO_LAYOUT uint32_t mno_stage_bytes(const mno_shape *s) { return mno_stage_weights(s) + mno_stage_states(s); }

/* W0: what the lanes of an instance need in every phase, at the start of its state region: two integers, then as many
 * numbers as tensors, knobs and one more. */
MNO_LAYOUT size_t mno_setting_bytes(const mno_shape *s, size_t knobs) {
  return 8 + (1 + (size_t)s->tensors + knobs) * (size_t)s->bytes;
}

/* Portions and tiles of a rank and layer. */
MNO_LAYOUT int mno_portions_of_rank(const mno_shape *s) {
  return s->blocks_per_team > 1 ? s->portions / s->blocks_per_team : s->portions;
}
MNO_LAYOUT int mno_tiles_of_rank(const mno_shape *s) { return mno_portions_of_rank(s) * s->tiles; }

/* W, C, X: on the way down the state of a layer comes with the layer's first tile, into H or into one of the places behind
 * the state region, in turn: as many as loads, stages - 2 tiles ahead, may be layers ahead. A state that lies in memory is
 * read there. */
MNO_LAYOUT int mno_more_states(const mno_shape *s, int stages) {
  const int tiles = mno_tiles_of_rank(s);
  return s->kernel == MNO_KERNEL_LANES ? 0 : (stages - 2 + tiles - 1) / tiles;
}

/* A rank's shared memory: barriers, ring, state region, more states. */
MNO_LAYOUT size_t mno_shared_bytes(const mno_shape *s, int stages, int state_in_memory) {
  const size_t states = s->state_bytes + (size_t)mno_more_states(s, stages) * s->h_bytes;
  return mno_round_up(64 + (size_t)stages * mno_stage_bytes(s) + (state_in_memory ? 0 : states), 128);
}

enum { MNO_STAGES_LEAST = 3, MNO_STAGES_MOST = 8 };

#ifdef __cplusplus
}
#endif
#endif
