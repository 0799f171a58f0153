/* SPDX-License-Identifier: BSD-3-Clause */
/* The host side of the CUDA runtime and of cuBLASLt, executed without a card on a stand-in for both: the same bits as the
 * twin's, on one device and on several; and what happens when the n-th call of all fails, for every n. */
#include "test.h"

#include "host/particles.h"
#include "host/shape.h"
#include "jobs.h"
#include "standin.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

extern const mno_backend mno_backend_cuda;

static mno_standin one(void) { return (mno_standin){.devices = 1, .major = 9, .memory = 64 << 20, .resident = 3}; }

static catch run_card(sweep *s, mno_standin standin) {
  mno_standin_state = standin;
  catch c = run_on(&mno_device_cuda, s);
  assert_int_equal(mno_standin_state.live, 0);
  assert_int_equal(mno_standin_state.complaints, 0);
  return c;
}

static bool products(void) {
  char library[128];
  return mno_device_cuda.gemm->available(library, sizeof library, NULL) == MNO_OK;
}

/* Every candidate, both precisions. The stand-in's products are the twin's plain loops, so kernel G too has the same bits.
 */
static void every_kernel_as_on_the_twin(void **state) {
  for (int index = -1; index < (int)mno_candidate_count; index++)
    for (int precision = 0; precision < 2; precision++) {
      const mno_candidate *candidate = index < 0 ? NULL : &mno_candidates[index];
      if (candidate == candidate_with(MNO_KERNEL_GEMM) && !products()) continue;
      sweep s;
      sweep_make(&s, (mno_precision)precision, MNO_WEIGHTS_BOTH);
      problem_free(&s.problem[0]); /* as many coordinates and samples as units: what is transposed tells products apart */
      s.problem[0] = problem_make(9, 9, 3, 2, 3, MNO_TANH, MNO_SQUARED);
      s.options.candidate = candidate;
      catch card = run_card(&s, one());
      assert_int_equal(mno_standin_state.played > 0, candidate == candidate_with(MNO_KERNEL_GEMM));
      catch twin = run_twin(&s, usual());
      for (size_t i = 0; i < s.plan.instance_count; i++) compare(&s, card.record[i], twin.record[i], 0);
      catch_free(&card);
      catch_free(&twin);
      sweep_free(&s);
    }
}

/* Several devices, one without clusters, little memory. */
static void devices_and_memory_change_nothing(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_FINAL);
  for (int gemm = 0; gemm <= products(); gemm++) {
    const mno_candidate *candidate = gemm ? candidate_with(MNO_KERNEL_GEMM) : NULL;
    s.options.candidate = candidate;
    catch expected = run_card(&s, one());
    for (int k = 0; k < 4; k++) {
      mno_standin standin = one();
      if (k == 0) standin.devices = 3;
      if (k == 1) standin.major = 8;
      if (k == 2) standin.memory = 300 << 10;
      if (k == 3) standin.resident = 9;
      catch c = run_card(&s, standin);
      for (size_t i = 0; i < s.plan.instance_count; i++) compare(&s, c.record[i], expected.record[i], 0);
      catch_free(&c);
    }
    catch_free(&expected);
  }
  sweep_free(&s);
}

static void the_card_is_described(void **state) {
  char text[256];
  mno_standin_state = one();
  assert_int_equal(mno_backend_describe(&mno_backend_cuda, NULL, text, sizeof text), MNO_OK);
  assert_non_null(strstr(text, "1 x stand-in (compute capability 9.0"));
  assert_non_null(strstr(text, products() ? ", cuBLAS 99.1.2" : ", without cuBLAS"));
  mno_problem problem = {.N = MNO_PRODUCTS_LEAST}; /* the library is named where it may be used, and not loaded elsewhere */
  const mno_plan plan = {.problem_count = 1, .problem = &problem};
  assert_int_equal(mno_backend_describe(&mno_backend_cuda, &plan, text, sizeof text), MNO_OK);
  assert_non_null(strstr(text, "cuBLAS"));
  problem.N--;
  assert_int_equal(mno_backend_describe(&mno_backend_cuda, &plan, text, sizeof text), MNO_OK);
  assert_null(strstr(text, "cuBLAS"));
  mno_standin_state.devices = 0;
  assert_int_equal(mno_backend_cuda.probe(text, sizeof text), MNO_ERR_BACKEND);
  assert_non_null(strstr(text, "cudaErrorNoDevice"));
  assert_non_null(strstr(text, "CUDA_VISIBLE_DEVICES"));
}

/* Kernels wait for the host: launches that wait for kernels are refused, uploads come before launches. */
static void nothing_waits_for_kernels(void **state) {
  char text[256];
  setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
  mno_standin_state = one();
  assert_int_equal(mno_backend_cuda.probe(text, sizeof text), MNO_ERR_BACKEND);
  assert_non_null(strstr(text, "unset CUDA_LAUNCH_BLOCKING"));
  sweep s;
  sweep_make(&s, MNO_F32, MNO_WEIGHTS_NONE);
  catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
  mno_error err = {0};
  mno_job job = job_of(&s, &c);
  assert_int_equal(mno_status_exit_code(mno_cuda_run(&mno_device_cuda, &job, (mno_shape_options){0}, &err)), 69);
  assert_non_null(strstr(err.message, "CUDA_LAUNCH_BLOCKING=1"));
  setenv("CUDA_LAUNCH_BLOCKING", "0", 1);
  assert_int_equal(mno_backend_cuda.probe(text, sizeof text), MNO_OK);
  unsetenv("CUDA_LAUNCH_BLOCKING");
  mno_standin_state.refuse_late_copies = 1;
  c = run_on(&mno_device_cuda, &s);
  assert_int_equal(mno_standin_state.complaints, 0);
  catch_free(&c);
  sweep_free(&s);
}

/* A library without an algorithm for the sizes at hand: another kernel takes them; without one that can be asked: the run
 * fails before any work. */
static void products_that_are_not_served(void **state) {
  if (!products()) skip();
  mno_problem p = problem_make(100, 200, 3, 2, 1, MNO_TANH, MNO_SQUARED);
  mno_instance instance = {.L = 2, .M = 100, .seed = 3, .draw = {100, 0, 1}};
  int64_t step[] = {1};
  size_t rows[] = {0};
  const mno_plan plan = {.precision = MNO_F32,
                         .problem_count = 1,
                         .problem = &p,
                         .instance_count = 1,
                         .instance = &instance,
                         .step_count = 1,
                         .step = step};
  for (int k = 0; k < 3; k++) {
    catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const mno_job job = {.plan = &plan, .rows = rows, .count = 1, .emit = emit, .context = &c};
    mno_error err = {0};
    mno_standin_state = one();
    mno_standin_state.no_algorithm = k;
    assert_ok(mno_cuda_run(&mno_device_cuda, &job, (mno_shape_options){0}, &err));
    assert_int_equal(mno_standin_state.played > 0, k == 0);
    assert_int_equal(mno_standin_state.live, 0);
    assert_int_equal(mno_standin_state.complaints, 0);
    catch_free(&c);
  }
  int asked = 0;
  for (int n = 1;; n++) {
    mno_error err = {0};
    mno_standin_state = one();
    mno_standin_state.fail_at = n;
    const mno_status status = mno_cuda_fits(&mno_device_cuda, &plan, NULL, 0, (mno_shape_options){0}, &err);
    assert_int_equal(mno_standin_state.live, 0);
    if (mno_standin_state.failed == 0) {
      assert_int_equal(status, MNO_OK);
      break;
    }
    assert_int_equal(mno_status_exit_code(status), 69);
    asked += strncmp(mno_standin_state.name, "cublasLt", 8) == 0;
  }
  assert_true(asked > 50);
  problem_free(&p);
}

/* For every n: the n-th call fails, alone or with all that follow. The run ends with exit code 69 and a message that names
 * the call, what was finished before is kept and right, and nothing is left over. */
static void every_call_may_fail(void **state) {
  sweep s;
  sweep_make(&s, MNO_F64, MNO_WEIGHTS_FINAL);
  for (int gemm = 0; gemm <= products(); gemm++) {
    const mno_candidate *candidate = gemm ? candidate_with(MNO_KERNEL_GEMM) : NULL;
    s.options.candidate = candidate;
    s.plan.instance_count = gemm ? 2 : 12; /* two devices have one each, in every call of kernel G */
    catch expected = run_card(&s, one());
    int failures = 0, partial = 0;
    for (int lasting = 0; lasting < 2; lasting++)
      for (int n = 1;; n++) {
        mno_standin_state = one();
        mno_standin_state.devices = 1 + n % 2;
        mno_standin_state.fail_at = n;
        mno_standin_state.lasting = lasting;
        catch c = {.lock = PTHREAD_MUTEX_INITIALIZER};
        mno_error err = {0};
        mno_job job = job_of(&s, &c);
        const mno_status status = mno_cuda_run(&mno_device_cuda, &job, s.options, &err);
        assert_int_equal(mno_standin_state.live, 0);
        assert_int_equal(mno_standin_state.complaints, 0);
        size_t kept = 0;
        for (size_t i = 0; i < s.plan.instance_count; i++) {
          if (!c.record[i]) continue;
          kept++;
          compare(&s, c.record[i], expected.record[i], 0);
        }
        assert_int_equal(kept, c.count);
        catch_free(&c);
        if (mno_standin_state.failed == 0) { /* the run has fewer calls */
          assert_int_equal(status, MNO_OK);
          break;
        }
        assert_int_equal(mno_status_exit_code(status), 69);
        if (!strstr(err.message, lasting ? "cu" : mno_standin_state.name) || !strstr(err.message, "--backend cpu"))
          fail_msg("call %d, %s, failed; the message is: %s", n, mno_standin_state.name, err.message);
        failures++;
        partial += kept > 0 && kept < s.plan.instance_count;
      }
    print_message("%d calls made to fail, %d of the runs had finished something\n", failures, partial);
    assert_true(failures > 100 && partial > 0);
    catch_free(&expected);
  }
  sweep_free(&s);
}

/* ---- Particles */

static const mno_limit_options sampled = {
    .tolerance = 1e-6, .method = MNO_METHOD_SOBOL, .particles = 64, .nodes = 2, .randomisations = 2, .threads = 1};

static void limits_as_on_the_twin(void **state) {
  mno_error err = {0};
  const mno_engine engine[] = {mno_cuda_engine(&mno_device_cuda), mno_cuda_engine(&mno_device_twin)};
  mno_problem p = problem_make(2, 11, 3, 2, 1, MNO_SOFTPLUS, MNO_SQUARED);
  mno_limit *limit[2];
  mno_standin_state = one();
  mno_standin_state.devices = 2;
  mno_twin_state = usual();
  for (int k = 0; k < 2; k++) {
    mno_limit_options options = sampled;
    options.engine = &engine[k];
    assert_ok(mno_limit_solve(&p, &options, &limit[k], &err));
  }
  assert_true(mno_standin_state.kernels > 0);
  assert_memory_equal(limit[0]->state, limit[1]->state, (p.K + 1) * 2 * p.N * p.D * sizeof(double));
  assert_int_equal(mno_standin_state.live, 0);
  for (int n = 1, failures = 0;; n++, failures++) {
    mno_limit *none = NULL;
    mno_limit_options options = sampled;
    options.engine = &engine[0];
    mno_standin_state = one();
    mno_standin_state.fail_at = n;
    mno_standin_state.lasting = n % 2;
    const mno_status status = mno_limit_solve(&p, &options, &none, &err);
    assert_int_equal(mno_standin_state.live, 0);
    assert_int_equal(mno_standin_state.complaints, 0);
    if (mno_standin_state.failed == 0) {
      print_message("%d calls made to fail\n", failures);
      assert_true(status == MNO_OK && failures > 50);
      mno_limit_free(none);
      break;
    }
    /* giving particles back has no say: what they were for is known by then */
    const char *name = mno_standin_state.name;
    if (status == MNO_OK) {
      assert_true(strstr(name, "Destroy") || strstr(name, "Free") || strstr(name, "SetDevice"));
      assert_memory_equal(none->state, limit[1]->state, (p.K + 1) * 2 * p.N * p.D * sizeof(double));
      mno_limit_free(none);
      continue;
    }
    assert_int_equal(mno_status_exit_code(status), 69);
    if (!strstr(err.message, n % 2 ? "cuda" : name)) fail_msg("call %d, %s: %s", n, name, err.message);
  }
  mno_limit_free(limit[0]);
  mno_limit_free(limit[1]);
  problem_free(&p);
}

/* ---- Whole runs */

static const char config[] = "data: {kind: gaussian, samples: 6, inputs: 3, targets: 2, seed: 1}\n"
                             "model: {D: [3, 8], activation: tanh}\n"
                             "training: {steps: 3}\n"
                             "limit: {kind: mean-ode, tolerance: 1e-2}\n"
                             "sweep: {L: [1, 20, 60], M: [1, 4], seeds: 12}\n";

/* Hands records on; when so many have come, all further calls fail. Until then the kernels do not end: records come from a
 * thread of their own, by then the last call might have been made. */
static struct loss {
  const mno_job *job;
  int after;
  atomic_int emitted;
} loss;

static mno_status emit_and_lose(void *context, mno_record *record, mno_error *err) {
  if (atomic_fetch_add(&loss.emitted, 1) + 1 == loss.after) {
    __atomic_store_n(&mno_standin_state.fail_at, __atomic_load_n(&mno_standin_state.calls, __ATOMIC_SEQ_CST) + 1,
                     __ATOMIC_SEQ_CST);
    __atomic_store_n(&mno_standin_state.held, 0, __ATOMIC_SEQ_CST);
  }
  return loss.job->emit(loss.job->context, record, err);
}
static mno_status run_and_lose(const mno_job *job, mno_error *err) {
  mno_job ours = *job;
  loss.job = job;
  ours.emit = emit_and_lose;
  return mno_backend_cuda.run(&ours, err);
}

/* fail_at: 0, or the call from which on all fail; lose_after: the same by records. */
static mno_status run_file(const mno_plan *plan, const char *path, mno_open_mode mode, int fail_at, int lose_after,
                           mno_error *err) {
  mno_run_summary summary;
  mno_backend backend = mno_backend_cuda;
  backend.run = run_and_lose;
  const mno_run_options options = {.output = path, .threads = 2, .use = &backend, .mode = mode};
  mno_standin_state = one();
  mno_standin_state.fail_at = fail_at;
  mno_standin_state.lasting = 1;
  mno_standin_state.held = lose_after > 0;
  loss.after = lose_after;
  atomic_store(&loss.emitted, 0);
  return mno_run(plan, &options, &summary, err);
}

static void same_outputs(const char *a, const char *b) {
  mno_error err = {0};
  mno_result *x, *y;
  assert_ok(mno_result_open(a, &x, &err));
  assert_ok(mno_result_open(b, &y, &err));
  assert_int_equal(x->problem_count, y->problem_count);
  for (size_t p = 0; p < x->problem_count; p++) {
    const mno_result_problem *q = &x->problems[p];
    const size_t count = q->run_count * q->N * q->d_out;
    double *out[] = {malloc(count * sizeof(double)), malloc(count * sizeof(double))};
    assert_int_equal(q->run_count, y->problems[p].run_count);
    assert_memory_equal(q->row, y->problems[p].row, q->run_count * sizeof *q->row);
    for (size_t k = 0; k < x->step_count; k++) {
      assert_ok(mno_result_output(x, p, k, out[0], &err));
      assert_ok(mno_result_output(y, p, k, out[1], &err));
      assert_memory_equal(out[0], out[1], count * sizeof(double));
    }
    free(out[0]);
    free(out[1]);
  }
  mno_result_free(x);
  mno_result_free(y);
}

/* The card is lost in the middle of a run: exit code 69, the file has what was finished, --resume computes the rest. */
static void a_lost_card_and_resume(void **state) {
  char folder[] = "/tmp/meanode-runtime-XXXXXX", yaml[64], whole[64], lost[64];
  assert_non_null(mkdtemp(folder));
  snprintf(yaml, sizeof yaml, "%s/a.yaml", folder);
  snprintf(whole, sizeof whole, "%s/whole.h5", folder);
  snprintf(lost, sizeof lost, "%s/lost.h5", folder);
  FILE *file = fopen(yaml, "w");
  assert_true(file && fputs(config, file) >= 0 && fclose(file) == 0);
  mno_error err = {0};
  mno_sweep *sweep;
  mno_plan *plan;
  assert_ok(mno_sweep_load(yaml, &sweep, &err));
  assert_ok(mno_plan_build(sweep, MNO_F64, &plan, &err));
  assert_ok(run_file(plan, whole, MNO_CREATE, 0, 0, &err));
  const size_t count = plan->instance_count;
  int partial = 0;
  mno_standin_state = one();
  assert_ok(mno_cuda_fits(&mno_device_cuda, plan, NULL, 0, (mno_shape_options){0}, &err));
  const int checked = mno_standin_state.calls; /* before there is a file */
  /* at once; while limits are integrated; while networks are trained, until that was before all of them were finished */
  for (int k = 0; k < 5 || (partial == 0 && k < 30); k++) {
    const int fail_at = k == 0 ? 1 : k < 3 ? checked + 50 * k - 35 : 0, lose_after = k < 3 ? 0 : k == 3 ? 1 : 3;
    const mno_status status = run_file(plan, lost, MNO_FORCE, fail_at, lose_after, &err);
    assert_int_equal(mno_status_exit_code(status), 69);
    assert_non_null(strstr(err.message, "cudaErrorLaunchFailure"));
    if (k == 0) continue; /* there is no file yet */
    mno_result_state there;
    assert_ok(mno_result_inspect(lost, &there, &err));
    print_message("%zu of %zu were finished\n", there.done, count);
    assert_true(there.done >= (size_t)lose_after);
    partial += there.done > 0 && there.done < count;
    assert_ok(run_file(plan, lost, MNO_RESUME, 0, 0, &err));
    same_outputs(lost, whole);
  }
  assert_true(partial > 0);
  mno_plan_free(plan);
  mno_sweep_free(sweep);
  unlink(yaml);
  unlink(whole);
  unlink(lost);
  assert_int_equal(rmdir(folder), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_kernel_as_on_the_twin),  cmocka_unit_test(devices_and_memory_change_nothing),
      cmocka_unit_test(the_card_is_described),        cmocka_unit_test(nothing_waits_for_kernels),
      cmocka_unit_test(products_that_are_not_served), cmocka_unit_test(every_call_may_fail),
      cmocka_unit_test(limits_as_on_the_twin),        cmocka_unit_test(a_lost_card_and_resume)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
