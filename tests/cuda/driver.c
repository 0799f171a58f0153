/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver on a twin of a card: grouping, rounds, several devices, results, failures; numbers against the CPU backend. */
#include "test.h"

#include "host/rounds.h"
#include "host/unpack.h"
#include "jobs.h"

#include <time.h>

static void equals_the_cpu_backend(void **state) {
  for (int precision = 0; precision < 2; precision++) {
    sweep s;
    sweep_make(&s, (mno_precision)precision, MNO_WEIGHTS_BOTH);
    catch gpu = run_twin(&s, usual()), cpu = {.lock = PTHREAD_MUTEX_INITIALIZER};
    mno_error err = {0};
    mno_job job = job_of(&s, &cpu);
    assert_ok(mno_backend_cpu.run(&job, &err));
    for (size_t i = 0; i < s.plan.instance_count; i++)
      compare(&s, gpu.record[i], cpu.record[i], precision == MNO_F64 ? 1e-12 : 3e-5);
    catch_free(&gpu);
    catch_free(&cpu);
    sweep_free(&s);
  }
}

/* Few teams, little memory, several devices, part of the rows: the same bits. */
static void resources_change_nothing(void **state) {
  sweep s;
  sweep_make(&s, MNO_F32, MNO_WEIGHTS_FINAL);
  catch expected = run_twin(&s, usual());
  for (int k = 0; k < 4; k++) {
    mno_twin twin = usual();
    if (k == 0) twin.resident = 1;
    if (k == 1) twin.resident = 20;
    if (k == 2) twin.memory = 300 << 10;
    if (k == 3) twin.devices = 3;
    catch c = run_twin(&s, twin);
    if (k == 2) assert_true(mno_twin_state.launches > 3);
    if (k == 3) assert_int_equal(mno_twin_state.opens, 3);
    for (size_t i = 0; i < s.plan.instance_count; i++) compare(&s, c.record[i], expected.record[i], 0);
    catch_free(&c);
  }
  catch some = {.lock = PTHREAD_MUTEX_INITIALIZER};
  mno_job job = job_of(&s, &some);
  size_t rows[] = {40, 3, 17};
  job.rows = rows;
  job.count = 3;
  mno_error err = {0};
  mno_twin_state = usual();
  assert_ok(mno_cuda_run(&mno_device_twin, &job, (mno_shape_options){0}, &err));
  for (size_t i = 0; i < 3; i++) compare(&s, some.record[rows[i]], expected.record[rows[i]], 0);
  assert_int_equal(some.count, 3);
  catch_free(&some);
  catch_free(&expected);
  sweep_free(&s);
}

/* A large network alone is spread over a cluster, many have a block each: the same bits. */
static void few_or_many_large_networks(void **state) {
  mno_problem problem = problem_make(100, 4, 3, 2, 2, MNO_TANH, MNO_SQUARED);
  sweep s = {.step = {0, 2}};
  s.plan = (mno_plan){.precision = MNO_F32,
                      .problem_count = 1,
                      .problem = &problem,
                      .instance = s.instance,
                      .instance_count = 40,
                      .step_count = 2,
                      .step = s.step,
                      .recording = {.output = true, .weights = MNO_WEIGHTS_FINAL}};
  for (size_t i = 0; i < s.plan.instance_count; i++) {
    s.rows[i] = i;
    s.instance[i] = (mno_instance){.L = 2, .M = 100, .seed = i, .draw = {100, 0, 1}};
  }
  mno_twin twin = usual();
  twin.resident = 8;
  catch many = run_twin(&s, twin);
  assert_int_equal(mno_twin_state.spread, 0);
  catch alone = {.lock = PTHREAD_MUTEX_INITIALIZER};
  mno_job job = job_of(&s, &alone);
  size_t row = 23;
  job.rows = &row;
  job.count = 1;
  mno_error err = {0};
  mno_twin_state = twin;
  assert_ok(mno_cuda_run(&mno_device_twin, &job, (mno_shape_options){0}, &err));
  assert_int_equal(mno_twin_state.spread, 1);
  compare(&s, alone.record[row], many.record[row], 0);
  catch_free(&alone);
  catch_free(&many);
  problem_free(&problem);
}

/* Receives its first record only when all kernels have ended: they do, whatever the disk does. */
typedef struct slow {
  catch c;
  int launches;
  atomic_bool first, late;
} slow;

static mno_status emit_slowly(void *context, mno_record *record, mno_error *err) {
  slow *s = context;
  const struct timespec nap = {.tv_nsec = 1000000};
  if (!atomic_exchange(&s->first, true)) {
    int naps = 0;
    while (__atomic_load_n(&mno_twin_state.launches, __ATOMIC_SEQ_CST) < s->launches ||
           __atomic_load_n(&mno_twin_state.ended, __ATOMIC_SEQ_CST) <
               __atomic_load_n(&mno_twin_state.started, __ATOMIC_SEQ_CST)) {
      if (++naps == 30000) {
        atomic_store(&s->late, true);
        break;
      }
      nanosleep(&nap, NULL);
    }
  }
  return emit(&s->c, record, err);
}

static void a_slow_disk_holds_no_kernel_up(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_FINAL);
  mno_twin twin = usual();
  twin.resident = 1;
  catch expected = run_twin(&s, twin);
  slow slow = {.c = {.lock = PTHREAD_MUTEX_INITIALIZER}, .launches = mno_twin_state.launches};
  mno_job job = job_of(&s, &slow.c);
  job.emit = emit_slowly;
  job.context = &slow;
  job.threads = 1;
  mno_error err = {0};
  mno_twin_state = twin;
  assert_ok(mno_cuda_run(&mno_device_twin, &job, (mno_shape_options){0}, &err));
  assert_false(slow.late);
  for (size_t i = 0; i < s.plan.instance_count; i++) compare(&s, slow.c.record[i], expected.record[i], 0);
  catch_free(&slow.c);
  catch_free(&expected);
  sweep_free(&s);
}

/* All devices get their part, by modelled time, and the same bits come out. */
static void devices_share_the_work(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_NONE);
  mno_error err = {0};
  double load[3] = {0}, most = 0, sum = 0;
  for (int device = 0; device < 3; device++) {
    mno_groups groups;
    const mno_abilities none = {0};
    const mno_job job = {.plan = &s.plan, .count = s.plan.instance_count};
    assert_ok(mno_groups_make(&job, &none, device, 3, &groups, &err));
    for (size_t g = 0; g < groups.count; g++) load[device] += groups.group[g].seconds;
    mno_groups_free(&groups);
    sum += load[device];
    if (load[device] > most) most = load[device];
  }
  assert_true(most <= 1.1 * sum / 3);
  mno_twin twin = usual();
  twin.devices = 2;
  catch one = run_twin(&s, usual()), two = run_twin(&s, twin);
  assert_int_equal(mno_twin_state.opens, 2);
  for (size_t i = 0; i < s.plan.instance_count; i++) compare(&s, two.record[i], one.record[i], 0);
  catch_free(&one);
  catch_free(&two);
  sweep_free(&s);
}

/* Runs a job that must fail; returns the status and how many records were kept. */
static mno_status failing(mno_twin twin, catch *c, mno_error *err, sweep *s) {
  mno_job job = job_of(s, c);
  job.stop = c->stop;
  mno_twin_state = twin;
  mno_status status = mno_cuda_run(&mno_device_twin, &job, (mno_shape_options){0}, err);
  assert_int_equal(mno_twin_state.live, 0);
  return status;
}

static void divergence_reaches_the_record(void **state) { check_divergence(NULL); }

static void failures_are_reported(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_NONE);
  mno_error err = {0};
  atomic_int stop = 0;
  mno_twin twin = usual();
  twin.devices = 0;
  catch none = {.lock = PTHREAD_MUTEX_INITIALIZER};
  assert_int_equal(failing(twin, &none, &err, &s), MNO_ERR_BACKEND);
  assert_int_equal(mno_status_exit_code(MNO_ERR_BACKEND), 69);

  twin = usual();
  twin.fail_open = 1;
  assert_int_equal(failing(twin, &none, &err, &s), MNO_ERR_MEMORY);

  twin = usual();
  twin.fail_launch = 2;
  catch launched = {.lock = PTHREAD_MUTEX_INITIALIZER};
  assert_int_equal(failing(twin, &launched, &err, &s), MNO_ERR_BACKEND);
  assert_string_equal(err.message, "twin: launch failed");
  catch_free(&launched);

  twin = usual();
  twin.fail_after = 3;
  twin.resident = 1;
  catch faulted = {.lock = PTHREAD_MUTEX_INITIALIZER};
  assert_int_equal(failing(twin, &faulted, &err, &s), MNO_ERR_BACKEND);
  assert_non_null(strstr(err.message, "illegal memory access"));
  catch_free(&faulted);

  catch full = {.lock = PTHREAD_MUTEX_INITIALIZER, .fail_at = 4};
  assert_int_equal(failing(usual(), &full, &err, &s), MNO_ERR_IO);
  assert_string_equal(err.message, "disk full");
  catch_free(&full);

  for (size_t i = 0; i < s.plan.instance_count; i++) s.instance[i].L *= 60; /* so that some are left when stop is seen */
  catch stopped = {.lock = PTHREAD_MUTEX_INITIALIZER, .stop = &stop};
  twin = usual();
  twin.resident = 1;
  assert_int_equal(failing(twin, &stopped, &err, &s), MNO_INTERRUPTED);
  assert_true(stopped.count >= 1 && stopped.count < s.plan.instance_count);
  catch_free(&stopped);
  sweep_free(&s);
}

/* A kernel whose mailboxes nobody empties ends, and the message says what it waited for. */
static void a_wait_in_vain_is_named(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_NONE);
  mno_error err = {0};
  mno_twin twin = usual();
  twin.resident = 1;
  twin.lose_mailboxes = 1;
  twin.patience = 20;
  catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
  assert_int_equal(failing(twin, &c, &err, &s), MNO_ERR_BACKEND);
  assert_non_null(strstr(err.message, "kernel W0 on card 0: team 0, rank 0 waited for the host to free a mailbox, in vain"));
  assert_non_null(strstr(err.message, "launch failure"));
  catch_free(&c);
  sweep_free(&s);
}

static void too_large_is_refused_with_numbers(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_NONE);
  mno_error err = {0};
  catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
  mno_twin twin = usual();
  s.instance[5].L = 100000;
  mno_twin_state = twin;
  assert_int_equal(mno_cuda_fits(&mno_device_twin, &s.plan, NULL, 0, (mno_shape_options){0}, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "L = 100000"));
  assert_non_null(strstr(err.message, "GiB"));
  const size_t others[] = {0, 1, 30};
  assert_ok(mno_cuda_fits(&mno_device_twin, &s.plan, others, 3, (mno_shape_options){0}, &err));
  assert_int_equal(mno_twin_state.opens, 0);
  assert_int_equal(failing(twin, &c, &err, &s), MNO_ERR_MEMORY);
  assert_non_null(strstr(err.message, "L = 100000"));
  assert_non_null(strstr(err.message, "GiB"));
  assert_int_equal(c.count, 0);
  sweep_free(&s);
}

/* Every row exactly once over the devices, longest first, rounds within their budgets. */
static void groups_and_rounds(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_BOTH);
  mno_error err = {0};
  int seen[MOST] = {0};
  for (int device = 0; device < 3; device++) {
    mno_groups groups;
    const mno_abilities none = {0};
    const mno_job job = {.plan = &s.plan, .count = s.plan.instance_count};
    assert_ok(mno_groups_make(&job, &none, device, 3, &groups, &err));
    size_t largest = 0, memory, pinned;
    for (size_t g = 0; g < groups.count; g++) {
      mno_group *group = &groups.group[g];
      group->wanted = 5;
      if (g) assert_true(group->seconds <= groups.group[g - 1].seconds);
      for (size_t i = 0; i < group->count; i++) {
        const mno_instance *n = &s.plan.instance[group->rows[i]];
        assert_int_equal(n->M, group->shape.M);
        assert_true(n->L <= group->shape.L);
        if (i) assert_true(n->L <= s.plan.instance[group->rows[i - 1]].L);
        assert_true(group->mailbox_bytes >= mno_mailbox_size(&s.plan, group->rows[i]));
        seen[group->rows[i]]++;
      }
      if (group->slot_bytes > largest) largest = group->slot_bytes;
    }
    memory = 3 * largest;
    pinned = (size_t)1 << 24;
    int rounds;
    assert_ok(mno_rounds_plan(&groups, memory, pinned, &rounds, &err));
    assert_true(rounds > 1);
    for (int round = 0; round < rounds; round++) {
      size_t used = 0, sent = 0, members = 0;
      for (size_t g = 0; g < groups.count; g++) {
        const mno_group *group = &groups.group[g];
        if (group->round != round) continue;
        assert_true(group->teams >= 1 && group->teams <= 5 && (size_t)group->teams <= group->count);
        used += (size_t)group->teams * group->slot_bytes;
        sent += (size_t)group->teams * group->pinned_bytes;
        members++;
      }
      assert_true(members > 0 && used <= memory && sent <= pinned);
    }
    assert_int_equal(mno_rounds_plan(&groups, 1000, pinned, &rounds, &err), MNO_ERR_MEMORY);
    assert_int_equal(mno_rounds_plan(&groups, memory, 1000, &rounds, &err), MNO_ERR_MEMORY);
    mno_groups_free(&groups);
  }
  for (size_t i = 0; i < s.plan.instance_count; i++) assert_int_equal(seen[i], 1);
  sweep_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_the_cpu_backend),     cmocka_unit_test(resources_change_nothing),
      cmocka_unit_test(few_or_many_large_networks), cmocka_unit_test(a_slow_disk_holds_no_kernel_up),
      cmocka_unit_test(devices_share_the_work),     cmocka_unit_test(divergence_reaches_the_record),
      cmocka_unit_test(failures_are_reported),      cmocka_unit_test(too_large_is_refused_with_numbers),
      cmocka_unit_test(a_wait_in_vain_is_named),    cmocka_unit_test(groups_and_rounds)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
