/* SPDX-License-Identifier: BSD-3-Clause */
/* Ends that nobody asked for: killed writers, damaged files, full disks. */
#define _GNU_SOURCE
#include "sample.h"

#include "store/files.h"
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char small_text[] = "data: {kind: gaussian, samples: 2, inputs: 2, targets: 1, seed: 1}\n"
                                 "model: {block: perceptron, activation: tanh, D: 2, alpha: 1}\n"
                                 "training: {steps: 1, eta_u: 1, eta_v: 1}\n"
                                 "limit: {kind: mean-ode, tolerance: 1e-3}\n"
                                 "sweep: {L: [2, 4], M: [1], seeds: 4}\n";

typedef struct bytes {
  char *data;
  size_t size;
} bytes;

static bytes load(const char *path) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  fseek(file, 0, SEEK_END);
  bytes b = {.size = (size_t)ftell(file)};
  rewind(file);
  b.data = malloc(b.size + 1);
  assert_int_equal(fread(b.data, 1, b.size, file), b.size);
  fclose(file);
  return b;
}

static void save(const char *path, const char *data, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

/* A run that is killed once its first `rows` rows are in the journal. */
static void killed_run(const char *path, const mno_plan *plan, size_t rows) {
  pid_t pid = fork();
  if (pid == 0) {
    mno_store *store = sample_open(path, plan, MNO_RESUME);
    sample_put_limits(store, plan);
    sample_put(store, plan, 0, rows);
    for (;;) pause();
  }
  for (int i = 0; i < 5000; i++) {
    mno_error err = {0};
    mno_result_state state = {0};
    if (mno_result_inspect(path, &state, &err) == MNO_OK && state.done + state.diverged >= rows) {
      if (i == 0) break;
      assert_true(state.running);
      break;
    }
    usleep(2000);
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}

static void test_killed(void **state) {
  sample s = sample_new(sample_text, MNO_F64);
  const char *path = sample_path("killed");
  for (size_t rows = 3; rows < s.plan->instance_count; rows += 6) killed_run(path, s.plan, rows);
  assert_true(sample_exists(path, ".journal") && sample_exists(path, ".lock"));
  mno_error err = {0};
  mno_result_state now;
  assert_ok(mno_result_inspect(path, &now, &err));
  assert_int_equal(now.done + now.diverged, 21);
  assert_int_equal(now.instances, 24);
  assert_false(now.running);
  mno_store *store = sample_open(path, s.plan, MNO_RESUME);
  assert_null(mno_store_note(store));
  for (size_t row = 0; row < 24; row++) assert_int_equal(mno_store_has(store, row), row < 21);
  assert_non_null(mno_store_limit(store, 1, MNO_LIMIT_MEAN_ODE));
  sample_put(store, s.plan, 0, 24);
  sample_close(store);
  sample_check(path, s.plan, 24);

  /* A file without a journal keeps its limits and errors too. */
  mno_result *result;
  assert_ok(mno_result_open(path, &result, &err));
  assert_int_equal(result->problems[0].limit_count, 1);
  mno_result_free(result);
  sample_free(&s);
}

/* More seeds after a kill: journal and file both have to find their new places. */
static void test_killed_and_extended(void **state) {
  sample s = sample_new(small_text, MNO_F64);
  const char *path = sample_path("killed_extended");
  killed_run(path, s.plan, 5);
  char more[sizeof small_text + 16];
  snprintf(more, sizeof more, "%.*s6}\n", (int)(strstr(small_text, "4}\n") - small_text), small_text);
  sample e = sample_new(more, MNO_F64);
  mno_store *store = sample_open(path, e.plan, MNO_RESUME);
  size_t had = 0;
  for (size_t row = 0; row < e.plan->instance_count; row++) had += mno_store_has(store, row);
  assert_int_equal(had, 5);
  sample_put(store, e.plan, 0, e.plan->instance_count);
  sample_close(store);
  mno_error err = {0};
  mno_result_state now;
  assert_ok(mno_result_inspect(path, &now, &err));
  assert_int_equal(now.done + now.diverged, 12);
  sample_free(&e);
  sample_free(&s);
}

/* All entries of a journal: offsets and payloads. */
typedef struct entries {
  size_t count;
  struct {
    uint64_t offset, end;
    char *payload;
    size_t length;
  } of[64];
} entries;

static entries read_entries(const char *path, size_t *damaged, char damage[256]) {
  mno_error err = {0};
  entries all = {0};
  mno_journal_reader reader;
  bool found = true;
  assert_ok(mno_journal_open(path, &reader, &err));
  for (;;) {
    mno_entry entry;
    assert_ok(mno_journal_next(&reader, &entry, &found, &err));
    if (!found) break;
    assert_true(all.count < 64);
    all.of[all.count].offset = entry.offset;
    all.of[all.count].end = reader.next;
    all.of[all.count].length = entry.length;
    all.of[all.count].payload = malloc(entry.length + 1);
    memcpy(all.of[all.count++].payload, entry.payload, entry.length);
  }
  *damaged = reader.damaged;
  memcpy(damage, reader.damage, 256);
  mno_journal_reader_close(&reader);
  return all;
}

static void free_entries(entries *all) {
  for (size_t i = 0; i < all->count; i++) free(all->of[i].payload);
}

/* Cut at every byte: exactly the entries before the cut. Flipped at every byte: exactly the others. */
static void test_damaged_journal(void **state) {
  sample s = sample_new(small_text, MNO_F64);
  const char *path = sample_path("damaged_journal"), *copy = "damaged_journal.copy";
  killed_run(path, s.plan, 6);
  char name[300], damage[256];
  size_t damaged;
  snprintf(name, sizeof name, "%s.journal", path);
  bytes whole = load(name);
  entries all = read_entries(name, &damaged, damage);
  assert_int_equal(all.count, 8); /* header, limit, six rows */
  assert_int_equal(damaged, 0);
  for (size_t cut = 16; cut < whole.size; cut++) {
    save(copy, whole.data, cut);
    entries kept = read_entries(copy, &damaged, damage);
    size_t expected = 0;
    /* The last padding may be missing. */
    while (expected < all.count && all.of[expected].offset + 32 + all.of[expected].length <= cut) expected++;
    assert_int_equal(kept.count, expected);
    bool clean = expected == 0 ? cut == 16 : cut <= all.of[expected - 1].end;
    assert_int_equal(damaged, !clean);
    for (size_t i = 0; i < expected; i++) assert_memory_equal(kept.of[i].payload, all.of[i].payload, all.of[i].length);
    free_entries(&kept);
  }
  for (size_t at = 16; at < whole.size; at++) {
    whole.data[at] ^= 1 << (at % 8);
    save(copy, whole.data, whole.size);
    whole.data[at] ^= 1 << (at % 8);
    entries kept = read_entries(copy, &damaged, damage);
    size_t hit = 0;
    while (all.of[hit].end <= at) hit++;
    bool padding = at >= all.of[hit].offset + 32 + all.of[hit].length;
    assert_int_equal(kept.count, all.count - !padding);
    assert_int_equal(damaged, !padding);
    for (size_t i = 0, j = 0; i < all.count; i++) {
      if (i == hit && !padding) continue;
      assert_true(kept.of[j].offset == all.of[i].offset);
      assert_memory_equal(kept.of[j].payload, all.of[i].payload, all.of[i].length);
      j++;
    }
    free_entries(&kept);
  }

  /* Through the store: what is lost is named and computed again. */
  bytes file = load(path);
  const struct {
    size_t cut, flip;
  } harm[] = {{all.of[4].offset + 50, 0},
              {whole.size, all.of[5].offset + 60},
              {whole.size, all.of[0].offset + 40},
              {whole.size, all.of[1].offset + 200}};
  for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
    save(path, file.data, file.size);
    if (harm[i].flip) whole.data[harm[i].flip] ^= 4;
    save(name, whole.data, harm[i].cut);
    if (harm[i].flip) whole.data[harm[i].flip] ^= 4;
    mno_error err = {0};
    mno_result_state now;
    assert_ok(mno_result_inspect(path, &now, &err));
    assert_non_null(strstr(now.note, i == 0 ? "cut off" : "damaged"));
    mno_store *store = sample_open(path, s.plan, MNO_RESUME);
    assert_non_null(strstr(mno_store_note(store), name));
    size_t kept = 0;
    for (size_t row = 0; row < s.plan->instance_count; row++) kept += mno_store_has(store, row);
    assert_int_equal(kept, i == 0 ? 2 : i == 1 ? 5 : 6);
    sample_put_limits(store, s.plan);
    sample_put(store, s.plan, 0, s.plan->instance_count);
    sample_close(store);
    sample_check(path, s.plan, s.plan->instance_count);
  }
  unlink(copy);
  free_entries(&all);
  free(file.data);
  free(whole.data);
  sample_free(&s);
}

/* A published file that is damaged while its journal is whole: made again from the journal. */
static void test_damaged_file_with_journal(void **state) {
  sample s = sample_new(small_text, MNO_F64);
  const char *path = sample_path("damaged_with_journal");
  for (int how = 0; how < 4; how++) {
    sample_path("damaged_with_journal");
    killed_run(path, s.plan, 6);
    bytes file = load(path);
    if (how == 0) save(path, file.data, file.size / 2);
    if (how == 1) save(path, file.data, 0);
    if (how == 2) {
      file.data[file.size / 3] ^= 1;
      save(path, file.data, file.size);
    }
    if (how == 3) unlink(path);
    mno_store *store = sample_open(path, s.plan, MNO_RESUME);
    if (how < 3) assert_non_null(strstr(mno_store_note(store), path));
    for (size_t row = 0; row < 6; row++) assert_true(mno_store_has(store, row));
    assert_false(mno_store_has(store, 6));
    sample_put(store, s.plan, 0, s.plan->instance_count);
    sample_close(store);
    sample_check(path, s.plan, s.plan->instance_count);
    free(file.data);
  }
  sample_free(&s);
}

/* A finished file, cut or changed anywhere: named, never read as whole, never a crash. */
static void test_damaged_file(void **state) {
  sample s = sample_new(small_text, MNO_F64);
  const char *path = sample_path("damaged_file");
  mno_store *store = sample_open(path, s.plan, MNO_CREATE);
  sample_put_limits(store, s.plan);
  sample_put(store, s.plan, 0, s.plan->instance_count);
  sample_close(store);
  bytes file = load(path);
  mno_error err = {0};
  mno_result *result;
  for (size_t i = 0; i < 60; i++) {
    size_t at = file.size * i / 60;
    save(path, file.data, at);
    /* Without its last bytes only the seal is gone: HDF5 still has everything. */
    mno_status status = mno_result_open(path, &result, &err);
    assert_int_equal(status, MNO_ERR_INPUT);
    assert_non_null(strstr(err.message, path));
    file.data[at] ^= 0x10;
    save(path, file.data, file.size);
    file.data[at] ^= 0x10;
    assert_int_equal(mno_result_open(path, &result, &err), MNO_ERR_INPUT);
    assert_non_null(strstr(err.message, "damaged"));
    assert_int_equal(mno_store_open(path, s.plan, NULL, MNO_RESUME, &store, &err), MNO_ERR_INPUT);
  }
  /* Cut off with the seal only, or changed by another program: HDF5 decides. */
  save(path, file.data, file.size - 64);
  sample_check(path, s.plan, s.plan->instance_count);
  free(file.data);
  sample_free(&s);
}

/* In a child: a run under a limit on the size of files. Returns its status. */
static int limited_run(const char *path, const mno_plan *plan, size_t limit) {
  pid_t pid = fork();
  if (pid == 0) {
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
    mno_error err = {0};
    mno_store *store;
    mno_status status = mno_store_open(path, plan, NULL, MNO_RESUME, &store, &err);
    if (status == MNO_OK) {
      sample_put_limits(store, plan);
      for (size_t row = 0; row < plan->instance_count && status == MNO_OK; row++)
        if (!mno_store_has(store, row)) status = mno_store_put(store, sample_record(plan, row), &err);
      mno_status closed = mno_store_close(store, &err);
      if (status == MNO_OK) status = closed;
    }
    if (status != MNO_OK && !strstr(err.message, "large")) fprintf(stderr, "limit %zu: %s\n", limit, err.message);
    int code = status == MNO_OK || strstr(err.message, "large") ? (int)status : 99;
#ifdef __SANITIZE_ADDRESS__
    _exit(code); /* HDF5 leaks what it could not write */
#else
    exit(code); /* as a program ends, with what libraries do then */
#endif
  }
  int how;
  waitpid(pid, &how, 0);
  assert_true(WIFEXITED(how));
  return WEXITSTATUS(how);
}

/* Writing fails after any number of bytes, in the journal, in HDF5, in the seal: a clear message, and with room again the
 * run goes on from what it had. */
static void test_no_room(void **state) {
  sample s = sample_new(sample_text, MNO_F64);
  const char *path = sample_path("no_room");
  size_t failures = 0;
  for (size_t limit = 0; limit < 300000; limit += limit < 2000 ? 1000 : 17011) {
    sample_path("no_room");
    int status = limited_run(path, s.plan, limit);
    if (status != MNO_OK) assert_int_equal(status, MNO_ERR_IO);
    failures += status != MNO_OK;
    assert_false(sample_exists(path, ".new"));
    mno_store *store = sample_open(path, s.plan, MNO_RESUME);
    sample_put_limits(store, s.plan);
    sample_put(store, s.plan, 0, s.plan->instance_count);
    sample_close(store);
    sample_check(path, s.plan, s.plan->instance_count);
  }
  assert_true(failures > 10);
  sample_free(&s);
}

/* The journal vanishes under a run: it ends with an error instead of writing into the void. */
static void test_removed_journal(void **state) {
  mno_error err = {0};
  sample s = sample_new(small_text, MNO_F64);
  const char *path = sample_path("removed");
  char name[300];
  snprintf(name, sizeof name, "%s.journal", path);
  mno_store *store = sample_open(path, s.plan, MNO_CREATE);
  sample_put(store, s.plan, 0, 4);
  unlink(name);
  assert_int_equal(mno_store_close(store, &err), MNO_ERR_IO);
  assert_non_null(strstr(err.message, name));
  /* Everything that was put is in the file nevertheless. */
  sample_check(path, s.plan, 4);

  /* A long run hears of it while it goes on; what was put until then is in the file. */
  store = sample_open(path, s.plan, MNO_RESUME);
  unlink(name);
  sample_put(store, s.plan, 4, 6);
  for (int i = 0; i < 3000 && mno_store_wait(store, &err) == MNO_OK; i++) usleep(10000);
  assert_int_equal(mno_store_put(store, sample_record(s.plan, 6), &err), MNO_ERR_IO);
  assert_int_equal(mno_store_close(store, &err), MNO_ERR_IO);
  assert_non_null(strstr(err.message, name));
  sample_check(path, s.plan, 6);

  /* The result file vanishes: it is published again, with and without new rows. */
  for (size_t rows = 6; rows <= 8; rows += 2) {
    store = sample_open(path, s.plan, MNO_RESUME);
    unlink(path);
    sample_put(store, s.plan, 6, rows);
    sample_close(store);
    sample_check(path, s.plan, rows);
  }
  sample_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_killed),          cmocka_unit_test(test_killed_and_extended),
      cmocka_unit_test(test_damaged_journal), cmocka_unit_test(test_damaged_file_with_journal),
      cmocka_unit_test(test_damaged_file),    cmocka_unit_test(test_no_room),
      cmocka_unit_test(test_removed_journal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
