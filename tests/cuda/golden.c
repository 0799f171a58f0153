/* SPDX-License-Identifier: BSD-3-Clause */
/* Golden bits: the bodies of W0, W, C and X on the host, each configuration's records hashed and compared with golden.csv.
 * A kernel may be rearranged as one likes while these stay.
 *
 *   test_cuda_golden GOLDEN.csv           compares
 *   test_cuda_golden GOLDEN.csv --write   writes the file again: only where bits are meant to change */
#include "test.h"

#include "device_twin.h"
#include "host/driver.h"
#include "host/shape.h"
#include "problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 3 };

static const char *path;
static bool writing;

typedef struct configuration {
  size_t D;
  int64_t M, L;
  size_t N;
  int candidate; /* index in mno_candidates */
  mno_activation activation;
} configuration;

static const configuration configurations[] = {
    /* W0 */
    {2, 1, 40, 10, 6, MNO_TANH},
    {10, 10, 30, 10, 6, MNO_TANH},
    {8, 16, 12, 10, 6, MNO_TANH},
    {7, 33, 9, 13, 6, MNO_TANH},
    {16, 2, 20, 20, 6, MNO_TANH},
    {1, 1, 1, 1, 6, MNO_TANH},
    {5, 17, 3, 32, 6, MNO_TANH},
    {3, 7, 5, 7, 6, MNO_ERF},
    {3, 7, 5, 7, 6, MNO_GELU},
    {3, 7, 5, 7, 6, MNO_SILU},
    {3, 7, 5, 7, 6, MNO_RELU},
    {3, 7, 5, 7, 6, MNO_SOFTPLUS},
    {3, 7, 5, 7, 6, MNO_SIN},
    {3, 7, 5, 7, 6, MNO_IDENTITY},
    {10, 5, 7, 10, 6, MNO_GELU},
    /* W */
    {10, 10, 20, 10, 0, MNO_TANH},
    {32, 32, 12, 10, 0, MNO_TANH},
    {7, 33, 9, 13, 0, MNO_TANH},
    {33, 17, 5, 21, 0, MNO_TANH},
    {1, 3, 4, 2, 0, MNO_TANH},
    {12, 9, 4, 10, 0, MNO_GELU},
    {12, 9, 4, 10, 0, MNO_SIN},
    /* C */
    {32, 32, 12, 10, 1, MNO_TANH},
    {100, 100, 5, 10, 1, MNO_TANH},
    {100, 100, 5, 10, 2, MNO_TANH},
    {9, 100, 6, 21, 2, MNO_TANH},
    {17, 5, 4, 33, 1, MNO_TANH},
    {3, 2, 2, 1, 2, MNO_TANH},
    {33, 20, 3, 10, 1, MNO_SOFTPLUS},
    {33, 20, 3, 10, 2, MNO_ERF},
    /* C and X with portions */
    {32, 70, 8, 10, 3, MNO_TANH},
    {20, 50, 6, 7, 4, MNO_TANH},
    {20, 50, 6, 7, 5, MNO_TANH},
    {17, 33, 4, 21, 4, MNO_SILU},
};
enum { COUNT = sizeof configurations / sizeof *configurations };

static void fold(uint64_t *hash, const void *from, size_t bytes) {
  const unsigned char *x = from;
  for (size_t i = 0; i < bytes; i++) *hash = (*hash ^ x[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

static mno_status emit(void *context, mno_record *record, mno_error *err) {
  mno_record **kept = context;
  kept[record->row] = record;
  return MNO_OK;
}

static uint64_t hash_of(const configuration *c, mno_precision precision, mno_spread spread) {
  mno_error err = {0};
  mno_problem problem = problem_make(c->D, c->N, 3, 2, 3, c->activation, c->L % 2 ? MNO_CROSS_ENTROPY : MNO_SQUARED);
  mno_instance instance[SEEDS];
  int64_t step[] = {0, 1, 3};
  size_t rows[SEEDS];
  for (size_t i = 0; i < SEEDS; i++) {
    rows[i] = i;
    instance[i] = (mno_instance){.L = c->L, .M = c->M, .seed = 5 + i, .draw = {c->M, 0, 1}};
  }
  const mno_plan plan = {.precision = precision,
                         .problem_count = 1,
                         .problem = &problem,
                         .instance_count = SEEDS,
                         .instance = instance,
                         .step_count = 3,
                         .step = step,
                         .recording = {.output = true, .weights = MNO_WEIGHTS_FINAL}};
  mno_record *kept[SEEDS] = {0};
  const mno_job job = {.plan = &plan, .rows = rows, .count = SEEDS, .emit = emit, .context = kept};
  mno_twin_state = (mno_twin){.devices = 1, .memory = (size_t)1 << 30, .resident = 2};
  const mno_shape_options options = {&mno_candidates[c->candidate], spread};
  assert_ok(mno_cuda_run(&mno_device_twin, &job, options, &err));
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  const size_t weights = (size_t)(c->L * c->M) * c->D;
  for (size_t i = 0; i < SEEDS; i++) {
    assert_int_equal(kept[i]->outcome, MNO_DONE);
    fold(&hash, kept[i]->loss, 3 * sizeof(double));
    fold(&hash, kept[i]->output, 3 * c->N * problem.d_out * sizeof(double));
    fold(&hash, kept[i]->final[MNO_U], weights * sizeof(double));
    fold(&hash, kept[i]->final[MNO_V], weights * sizeof(double));
    mno_record_free(kept[i]);
  }
  problem_free(&problem);
  return hash;
}

static void golden_bits(void **state) {
  FILE *file = fopen(path, writing ? "w" : "r");
  if (!file) fail_msg("cannot open %s", path);
  char head[200];
  if (writing)
    fprintf(file, "kernel,lanes,portions,D,M,L,N,activation,precision,hash\n");
  else
    assert_non_null(fgets(head, sizeof head, file));
  int differ = 0;
  for (size_t i = 0; i < COUNT; i++)
    for (int precision = 0; precision < 2; precision++) {
      const configuration *c = &configurations[i];
      const mno_candidate *k = &mno_candidates[c->candidate];
      const mno_shape of = {.kernel = k->kernel, .blocks_per_team = 1};
      const uint64_t hash = hash_of(c, (mno_precision)precision, MNO_SPREAD_ONE);
      char line[200], found[200];
      snprintf(line, sizeof line, "%s,%d,%d,%zu,%lld,%lld,%zu,%s,%s,%016llx\n", mno_kernel_name(&of), k->lanes, k->portions,
               c->D, (long long)c->M, (long long)c->L, c->N, mno_activation_name(c->activation),
               mno_precision_name((mno_precision)precision), (unsigned long long)hash);
      if (k->portions > 1 && hash_of(c, (mno_precision)precision, MNO_SPREAD_ALL) != hash)
        fail_msg("a rank for each portion changes the bits of %s", line);
      if (writing) {
        fputs(line, file);
        continue;
      }
      if (!fgets(found, sizeof found, file)) fail_msg("%s ends before %s", path, line);
      if (strcmp(line, found) == 0) continue;
      differ++;
      print_error("computed %s  golden %s", line, found);
    }
  if (fclose(file) != 0) fail_msg("cannot write %s", path);
  if (differ) fail_msg("%d of %d configurations have other bits than before", differ, 2 * COUNT);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(golden_bits)};
  writing = argc == 3 && strcmp(argv[2], "--write") == 0;
  if (argc != 2 && !writing) {
    fprintf(stderr, "usage: test_cuda_golden GOLDEN.csv [--write]\n");
    return 2;
  }
  path = argv[1];
  return cmocka_run_group_tests(tests, NULL, NULL);
}
