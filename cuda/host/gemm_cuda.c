/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernel G's table on the CUDA side: products by cuBLASLt, sequences as CUDA graphs.
 *
 * cuBLASLt is loaded when it is first asked for: the program runs without it. Algorithms may use neither TF32 nor any
 * emulation (pedantic compute types; in f32 only those made of fma), nor split a sum among blocks (no workspace, no
 * reduction): then an element is one block's sum over the inner index, whatever its place in the batch. The algorithm is the
 * heuristics' first choice for the product's sizes and its tuning count, so it depends on the version of the library and
 * the card, but on no other instance. */
#include "common/kernels.h"
#include "core/memory.h"
#include "host/device_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

#include <dlfcn.h>
#include <pthread.h>

/* The functions that are used, looked up in the library. */
#define FUNCTIONS(f)                                                                                                        \
  f(cublasLtCreate) f(cublasLtDestroy) f(cublasLtGetVersion) f(cublasLtGetStatusString) f(cublasLtMatmul)                   \
      f(cublasLtMatmulAlgoGetHeuristic) f(cublasLtMatmulAlgoConfigGetAttribute) f(cublasLtMatmulAlgoCapGetAttribute)        \
          f(cublasLtMatmulDescCreate) f(cublasLtMatmulDescDestroy) f(cublasLtMatmulDescSetAttribute)                        \
              f(cublasLtMatrixLayoutCreate) f(cublasLtMatrixLayoutDestroy) f(cublasLtMatrixLayoutSetAttribute)              \
                  f(cublasLtMatmulPreferenceCreate) f(cublasLtMatmulPreferenceDestroy)                                      \
                      f(cublasLtMatmulPreferenceSetAttribute)

static struct {
  void *handle;
  char why[256]; /* empty: it is there */
#define MEMBER(name) __typeof__(&name) name;
  FUNCTIONS(MEMBER)
#undef MEMBER
} lt;

static void load_library(void) {
  const char *off = getenv("MEANODE_CUBLAS");
  if (off && strcmp(off, "off") == 0) {
    snprintf(lt.why, sizeof lt.why, "MEANODE_CUBLAS=off");
    return;
  }
  char name[64];
  snprintf(name, sizeof name, "libcublasLt.so.%d", CUBLAS_VER_MAJOR);
  lt.handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!lt.handle) {
    snprintf(lt.why, sizeof lt.why, "%s: put the toolkit's library folder on LD_LIBRARY_PATH", dlerror());
    return;
  }
  const struct {
    const char *name;
    void *at;
  } function[] = {
#define ENTRY(name) {#name, &lt.name},
      FUNCTIONS(ENTRY)
#undef ENTRY
  };
  for (size_t i = 0; i < sizeof function / sizeof *function && !lt.why[0]; i++) {
    void *found = dlsym(lt.handle, function[i].name);
    if (!found) snprintf(lt.why, sizeof lt.why, "%s has no %s", name, function[i].name);
    memcpy(function[i].at, &found, sizeof found);
  }
}

static mno_status gemm_available(char *description, size_t size, mno_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load_library);
  if (lt.why[0]) return mno_fail(err, MNO_ERR_BACKEND, "no cuBLAS: %s", lt.why);
  const size_t version = lt.cublasLtGetVersion();
  snprintf(description, size, "cuBLAS %zu.%zu.%zu", version / 10000, version / 100 % 100, version % 100);
  return MNO_OK;
}

static mno_status lt_fail(mno_error *err, const char *call, cublasStatus_t error) {
  const char *remedy = "resume the run; if it fails again, set MEANODE_CUBLAS=off or use --backend cpu";
  if (error == CUBLAS_STATUS_ALLOC_FAILED) remedy = "free memory on the card (nvidia-smi shows who uses it)";
  if (error == CUBLAS_STATUS_ARCH_MISMATCH || error == CUBLAS_STATUS_NOT_SUPPORTED)
    remedy = "this cuBLAS does not serve this card: install a newer one, or set MEANODE_CUBLAS=off";
  return mno_fail(err, MNO_ERR_BACKEND, "%s: %s: %s", call, lt.cublasLtGetStatusString(error), remedy);
}

/* As MNO_CUDA and mno_cuda_released: LT(err, cublasLtCreate(&handle)). */
static mno_status lt_status(const char *call, cublasStatus_t error, mno_error *err) {
  return error == CUBLAS_STATUS_SUCCESS ? MNO_OK : lt_fail(err, call, error);
}
#define LT(err, call) lt_status(#call, lt.call, err)
static mno_status lt_released(mno_status so_far, const char *call, cublasStatus_t error, mno_error *err) {
  return so_far == MNO_OK ? lt_status(call, error, err) : so_far;
}

/* The algorithm of a product's sizes. */
typedef struct choice {
  mno_product of; /* scale, count and pointers are any */
  cublasLtMatmulAlgo_t algorithm;
} choice;

enum { CHOICES = 16 };

struct mno_gemm {
  int device;
  cudaStream_t stream;
  cublasLtHandle_t handle;
  cudaGraphExec_t graph[MNO_GRAPHS];
  choice choice[CHOICES];
  int choices;
  int unserved; /* there was no algorithm for a product */
};

static mno_status gemm_close(mno_gemm *gemm, mno_error *err) {
  mno_status status = MNO_OK;
  status = mno_cuda_released(status, "cudaSetDevice", cudaSetDevice(gemm->device), err);
  for (int i = 0; i < MNO_GRAPHS; i++)
    if (gemm->graph[i])
      status = mno_cuda_released(status, "cudaGraphExecDestroy", cudaGraphExecDestroy(gemm->graph[i]), err);
  if (gemm->handle) status = lt_released(status, "cublasLtDestroy", lt.cublasLtDestroy(gemm->handle), err);
  if (gemm->stream) status = mno_cuda_released(status, "cudaStreamDestroy", cudaStreamDestroy(gemm->stream), err);
  free(gemm);
  return status;
}

static mno_status fill(mno_gemm *gemm, mno_error *err) {
  mno_status status = MNO_CUDA(err, cudaSetDevice(gemm->device));
  if (status == MNO_OK) status = MNO_CUDA(err, cudaStreamCreateWithFlags(&gemm->stream, cudaStreamNonBlocking));
  return status == MNO_OK ? LT(err, cublasLtCreate(&gemm->handle)) : status;
}

static mno_status gemm_open(mno_device *device, mno_gemm **gemm, mno_error *err) {
  mno_gemm *made = mno_alloc(1, sizeof *made);
  *gemm = NULL;
  if (!made) return mno_fail_memory(err, sizeof *made, "a stream of products");
  made->device = mno_device_index(device);
  mno_status status = fill(made, err);
  if (status == MNO_OK)
    *gemm = made;
  else
    gemm_close(made, NULL); /* what failed first is reported */
  return status;
}

/* What a call of cublasLtMatmul is described by. */
typedef struct description {
  cublasLtMatmulDesc_t operation;
  cublasLtMatrixLayout_t A, B, to;
} description;

/* status: that of what the description was for, which goes before that of giving it back. */
static mno_status description_free(const description *d, mno_status status, mno_error *err) {
  const cublasLtMatrixLayout_t layout[] = {d->A, d->B, d->to};
  if (d->operation)
    status = lt_released(status, "cublasLtMatmulDescDestroy", lt.cublasLtMatmulDescDestroy(d->operation), err);
  for (int i = 0; i < 3; i++)
    if (layout[i])
      status = lt_released(status, "cublasLtMatrixLayoutDestroy", lt.cublasLtMatrixLayoutDestroy(layout[i]), err);
  return status;
}

static mno_status set_layout(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, const void *value,
                             size_t size, mno_error *err) {
  return LT(err, cublasLtMatrixLayoutSetAttribute(layout, attribute, value, size));
}

static mno_status layout(cublasLtMatrixLayout_t *made, const mno_product *p, int rows, int columns, int lead, int count,
                         mno_error *err) {
  const int32_t batch = count;
  const int64_t stride = (int64_t)p->stride;
  const cudaDataType_t number = p->bytes == 4 ? CUDA_R_32F : CUDA_R_64F;
  mno_status status = LT(err, cublasLtMatrixLayoutCreate(made, number, (uint64_t)rows, (uint64_t)columns, lead));
  if (status == MNO_OK) status = set_layout(*made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch, err);
  if (status == MNO_OK) status = set_layout(*made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride, err);
  return status;
}

static mno_status transpose(const description *d, cublasLtMatmulDescAttributes_t side, int transposed, mno_error *err) {
  const cublasOperation_t operation = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  return LT(err, cublasLtMatmulDescSetAttribute(d->operation, side, &operation, sizeof operation));
}

static mno_status describe(description *d, const mno_product *p, int count, mno_error *err) {
  const cublasComputeType_t arithmetic = p->bytes == 4 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_64F_PEDANTIC;
  *d = (description){0};
  mno_status status = LT(err, cublasLtMatmulDescCreate(&d->operation, arithmetic, p->bytes == 4 ? CUDA_R_32F : CUDA_R_64F));
  if (status == MNO_OK) status = transpose(d, CUBLASLT_MATMUL_DESC_TRANSA, p->transpose_a, err);
  if (status == MNO_OK) status = transpose(d, CUBLASLT_MATMUL_DESC_TRANSB, p->transpose_b, err);
  if (status == MNO_OK)
    status =
        layout(&d->A, p, p->transpose_a ? p->inner : p->rows, p->transpose_a ? p->rows : p->inner, p->lead_a, count, err);
  if (status == MNO_OK)
    status = layout(&d->B, p, p->transpose_b ? p->columns : p->inner, p->transpose_b ? p->inner : p->columns, p->lead_b,
                    count, err);
  return status == MNO_OK ? layout(&d->to, p, p->rows, p->columns, p->lead_to, count, err) : status;
}

/* Whether sums stay whole and the result may go elsewhere than to the addend. */
static mno_status suits(const cublasLtMatmulAlgo_t *algorithm, int *yes, mno_error *err) {
  int32_t splits = 0, elsewhere = 0;
  uint32_t reduction = 1;
  size_t written;
  mno_status status = LT(err, cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &splits,
                                                                   sizeof splits, &written));
  if (status == MNO_OK)
    status = LT(err, cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction,
                                                          sizeof reduction, &written));
  if (status == MNO_OK)
    status = LT(err, cublasLtMatmulAlgoCapGetAttribute(algorithm, CUBLASLT_ALGO_CAP_OUT_OF_PLACE_RESULT_SUPPORT, &elsewhere,
                                                       sizeof elsewhere, &written));
  *yes = splits <= 1 && reduction == CUBLASLT_REDUCTION_SCHEME_NONE && elsewhere;
  return status;
}

static mno_status prefer(cublasLtMatmulPreference_t preference, const mno_product *p, mno_error *err) {
  const size_t workspace = 0;
  const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE, alignment = 16;
  const uint64_t kinds = CUBLASLT_NUMERICAL_IMPL_FLAGS_FMA | (p->bytes == 8 ? CUBLASLT_NUMERICAL_IMPL_FLAGS_DMMA : 0);
  const uint64_t numbers = p->bytes == 4
                               ? CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_32F | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_32F
                               : CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_64F | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_64F;
  const uint64_t allowed = kinds | numbers;
  const struct {
    cublasLtMatmulPreferenceAttributes_t attribute;
    const void *value;
    size_t size;
  } wish[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
              {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction},
              {CUBLASLT_MATMUL_PREF_IMPL_MASK, &allowed, sizeof allowed},
              {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment, sizeof alignment},
              {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment, sizeof alignment},
              {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &alignment, sizeof alignment},
              {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignment, sizeof alignment}};
  mno_status status = MNO_OK;
  for (size_t i = 0; i < sizeof wish / sizeof *wish && status == MNO_OK; i++)
    status = LT(err, cublasLtMatmulPreferenceSetAttribute(preference, wish[i].attribute, wish[i].value, wish[i].size));
  return status;
}

static mno_status search(mno_gemm *gemm, const mno_product *p, const description *d, cublasLtMatmulPreference_t preference,
                         cublasLtMatmulAlgo_t *algorithm, mno_error *err) {
  enum { MOST = 16 };
  cublasLtMatmulHeuristicResult_t result[MOST];
  int found = 0;
  mno_status status = prefer(preference, p, err);
  if (status != MNO_OK) return status;
  const cublasStatus_t answer = lt.cublasLtMatmulAlgoGetHeuristic(gemm->handle, d->operation, d->A, d->B, d->to, d->to,
                                                                  preference, MOST, result, &found);
  if (answer == CUBLAS_STATUS_NOT_SUPPORTED || answer == CUBLAS_STATUS_ARCH_MISMATCH)
    found = 0;
  else if (answer != CUBLAS_STATUS_SUCCESS)
    return lt_fail(err, "cublasLtMatmulAlgoGetHeuristic", answer);
  for (int i = 0; i < found; i++) {
    int yes = 0;
    if (result[i].state == CUBLAS_STATUS_SUCCESS && (status = suits(&result[i].algo, &yes, err)) != MNO_OK) return status;
    if (!yes) continue;
    *algorithm = result[i].algo;
    return MNO_OK;
  }
  gemm->unserved = 1;
  return mno_fail(
      err, MNO_ERR_BACKEND,
      "cuBLAS has no algorithm for products of %d x %d x %d in f%d that keeps IEEE arithmetic and whole sums: set "
      "MEANODE_CUBLAS=off",
      p->rows, p->columns, p->inner, 8 * p->bytes);
}

/* Is the algorithm for one of them that for the other? */
static int alike(const mno_product *a, const mno_product *b) {
  return a->bytes == b->bytes && a->tuning_count == b->tuning_count && a->transpose_a == b->transpose_a &&
         a->transpose_b == b->transpose_b && a->rows == b->rows && a->columns == b->columns && a->inner == b->inner &&
         a->lead_a == b->lead_a && a->lead_b == b->lead_b && a->lead_to == b->lead_to;
}

/* The algorithm for a product: looked for once per stream. */
static mno_status choose(mno_gemm *gemm, const mno_product *p, const cublasLtMatmulAlgo_t **algorithm, mno_error *err) {
  for (int i = 0; i < gemm->choices; i++) {
    *algorithm = &gemm->choice[i].algorithm;
    if (alike(&gemm->choice[i].of, p)) return MNO_OK;
  }
  if (gemm->choices == CHOICES) gemm->choices = 0;
  choice *made = &gemm->choice[gemm->choices];
  made->of = *p;
  description d;
  cublasLtMatmulPreference_t preference = NULL;
  mno_status status = describe(&d, p, p->tuning_count, err);
  if (status == MNO_OK) status = LT(err, cublasLtMatmulPreferenceCreate(&preference));
  if (status == MNO_OK) status = search(gemm, p, &d, preference, &made->algorithm, err);
  if (preference)
    status = lt_released(status, "cublasLtMatmulPreferenceDestroy", lt.cublasLtMatmulPreferenceDestroy(preference), err);
  status = description_free(&d, status, err);
  if (status != MNO_OK) return status;
  gemm->choices++;
  *algorithm = &made->algorithm;
  return MNO_OK;
}

static mno_status gemm_serves(int index, const mno_product *product, size_t count, int *served, mno_error *err) {
  mno_gemm asked = {.device = index};
  const cublasLtMatmulAlgo_t *algorithm;
  mno_status status = MNO_CUDA(err, cudaSetDevice(index));
  if (status == MNO_OK) status = LT(err, cublasLtCreate(&asked.handle));
  if (status != MNO_OK) return status;
  for (size_t i = 0; i < count && status == MNO_OK; i++) status = choose(&asked, &product[i], &algorithm, err);
  *served = !asked.unserved;
  if (asked.unserved) status = MNO_OK; /* the reason stays in err */
  return lt_released(status, "cublasLtDestroy", lt.cublasLtDestroy(asked.handle), err);
}

static mno_status multiply(mno_gemm *gemm, const mno_product *p, const description *d, const cublasLtMatmulAlgo_t *algorithm,
                           mno_error *err) {
  const float scale32 = (float)p->scale, add32 = p->add ? 1 : 0;
  const double scale64 = p->scale, add64 = p->add ? 1 : 0;
  const void *scale = p->bytes == 4 ? (const void *)&scale32 : (const void *)&scale64;
  const void *add = p->bytes == 4 ? (const void *)&add32 : (const void *)&add64;
  return LT(err, cublasLtMatmul(gemm->handle, d->operation, scale, p->A, d->A, p->B, d->B, add, p->add ? p->add : p->to,
                                d->to, p->to, d->to, algorithm, NULL, 0, gemm->stream));
}

static mno_status gemm_product(mno_gemm *gemm, const mno_product *p, mno_error *err) {
  const cublasLtMatmulAlgo_t *algorithm;
  mno_status status = choose(gemm, p, &algorithm, err);
  if (status != MNO_OK) return status;
  description d;
  status = describe(&d, p, p->count, err);
  if (status == MNO_OK) status = multiply(gemm, p, &d, algorithm, err);
  return description_free(&d, status, err);
}

static mno_status gemm_elementwise(mno_gemm *gemm, mno_elementwise operation, const mno_gemm_args *args, mno_error *err) {
  int which = operation;
  size_t size = mno_elementwise_size(operation, args), blocks = (size + 255) / 256;
  if (blocks > 65536) blocks = 65536;
  void *parameters[] = {(void *)args, &which, &size};
  const dim3 grid = {(unsigned)blocks, (unsigned)args->shape.group, 1}, block = {256, 1, 1};
  return MNO_CUDA(err, cudaLaunchKernel(mno_elementwise_kernel(&args->shape), grid, block, parameters, 0, gemm->stream));
}

static mno_status gemm_capture(mno_gemm *gemm, mno_error *err) {
  return MNO_CUDA(err, cudaStreamBeginCapture(gemm->stream, cudaStreamCaptureModeThreadLocal));
}

static mno_status gemm_end(mno_gemm *gemm, mno_graph which, mno_error *err) {
  cudaGraph_t graph;
  mno_status status = MNO_CUDA(err, cudaStreamEndCapture(gemm->stream, &graph));
  if (status != MNO_OK) return status;
  if (gemm->graph[which])
    status = mno_cuda_released(status, "cudaGraphExecDestroy", cudaGraphExecDestroy(gemm->graph[which]), err);
  gemm->graph[which] = NULL;
  status = mno_cuda_released(status, "cudaGraphInstantiate", cudaGraphInstantiate(&gemm->graph[which], graph, 0), err);
  return mno_cuda_released(status, "cudaGraphDestroy", cudaGraphDestroy(graph), err);
}

static mno_status gemm_play(mno_gemm *gemm, mno_graph which, mno_error *err) {
  return MNO_CUDA(err, cudaGraphLaunch(gemm->graph[which], gemm->stream));
}

static mno_status gemm_wait(mno_gemm *gemm, mno_error *err) { return MNO_CUDA(err, cudaStreamSynchronize(gemm->stream)); }

const mno_gemm_api mno_gemm_cuda = {.available = gemm_available,
                                    .serves = gemm_serves,
                                    .open = gemm_open,
                                    .close = gemm_close,
                                    .product = gemm_product,
                                    .elementwise = gemm_elementwise,
                                    .capture = gemm_capture,
                                    .end = gemm_end,
                                    .play = gemm_play,
                                    .wait = gemm_wait};

#else /* a toolkit without cuBLAS: the other kernels take its shapes */

static mno_status gemm_available(char *description, size_t size, mno_error *err) {
  return mno_fail(err, MNO_ERR_BACKEND, "no cuBLAS: the toolkit that this program was built with has no cublasLt.h");
}

const mno_gemm_api mno_gemm_cuda = {.available = gemm_available};

#endif
