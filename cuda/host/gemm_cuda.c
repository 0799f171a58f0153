/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernel G's table on the CUDA side: products by cuBLASLt, sequences as CUDA graphs.
 *
 * cuBLASLt is loaded when it is first asked for: the program runs without it. Algorithms may use neither TF32 nor any
 * emulation (pedantic compute types; in f32 only those made of fma), nor split a sum among blocks (no workspace, no
 * reduction): then an element is one block's sum over the inner index, whatever its place in the batch. The algorithm is the
 * heuristics' first choice for the product's sizes and its nominal count, so it depends on the version of the library and
 * the card, but on no other instance. */
#include "common/kernels.h"
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
#define LOOK_UP(function)                                                                                                   \
  *(void **)&lt.function = dlsym(lt.handle, #function);                                                                     \
  if (!lt.function) {                                                                                                       \
    snprintf(lt.why, sizeof lt.why, "%s has no %s", name, #function);                                                       \
    return;                                                                                                                 \
  }
  FUNCTIONS(LOOK_UP)
#undef LOOK_UP
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

#define LT(call)                                                                                                            \
  do {                                                                                                                      \
    cublasStatus_t status_ = lt.call;                                                                                       \
    if (status_ != CUBLAS_STATUS_SUCCESS) return lt_fail(err, #call, status_);                                              \
  } while (0)

/* As mno_cuda_released. */
#define LT_RELEASE(call)                                                                                                    \
  do {                                                                                                                      \
    cublasStatus_t status_ = lt.call;                                                                                       \
    if (status_ != CUBLAS_STATUS_SUCCESS && status == MNO_OK) status = lt_fail(err, #call, status_);                        \
  } while (0)

/* The algorithm of a product's sizes. */
typedef struct choice {
  mno_product key; /* without scale, count and pointers */
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
  if (gemm->handle) LT_RELEASE(cublasLtDestroy(gemm->handle));
  if (gemm->stream) status = mno_cuda_released(status, "cudaStreamDestroy", cudaStreamDestroy(gemm->stream), err);
  free(gemm);
  return status;
}

static mno_status fill(mno_gemm *gemm, mno_error *err) {
  MNO_CUDA_CHECK(cudaSetDevice(gemm->device));
  MNO_CUDA_CHECK(cudaStreamCreateWithFlags(&gemm->stream, cudaStreamNonBlocking));
  LT(cublasLtCreate(&gemm->handle));
  return MNO_OK;
}

static mno_status gemm_open(mno_device *device, mno_gemm **gemm, mno_error *err) {
  mno_gemm *made = calloc(1, sizeof *made);
  *gemm = NULL;
  if (!made) return mno_fail(err, MNO_ERR_MEMORY, "out of memory: a stream of products");
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
  if (d->operation) LT_RELEASE(cublasLtMatmulDescDestroy(d->operation));
  if (d->A) LT_RELEASE(cublasLtMatrixLayoutDestroy(d->A));
  if (d->B) LT_RELEASE(cublasLtMatrixLayoutDestroy(d->B));
  if (d->to) LT_RELEASE(cublasLtMatrixLayoutDestroy(d->to));
  return status;
}

static mno_status layout(cublasLtMatrixLayout_t *made, const mno_product *p, int rows, int columns, int lead, int count,
                         mno_error *err) {
  const int32_t batch = count;
  const int64_t stride = (int64_t)p->stride;
  LT(cublasLtMatrixLayoutCreate(made, p->bytes == 4 ? CUDA_R_32F : CUDA_R_64F, (uint64_t)rows, (uint64_t)columns, lead));
  LT(cublasLtMatrixLayoutSetAttribute(*made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch));
  LT(cublasLtMatrixLayoutSetAttribute(*made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
  return MNO_OK;
}

static mno_status describe(description *d, const mno_product *p, int count, mno_error *err) {
  const cublasOperation_t a = p->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, b = p->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  *d = (description){0};
  LT(cublasLtMatmulDescCreate(&d->operation, p->bytes == 4 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_64F_PEDANTIC,
                              p->bytes == 4 ? CUDA_R_32F : CUDA_R_64F));
  LT(cublasLtMatmulDescSetAttribute(d->operation, CUBLASLT_MATMUL_DESC_TRANSA, &a, sizeof a));
  LT(cublasLtMatmulDescSetAttribute(d->operation, CUBLASLT_MATMUL_DESC_TRANSB, &b, sizeof b));
  mno_status status = p->transpose_a ? layout(&d->A, p, p->inner, p->rows, p->lead_a, count, err)
                                     : layout(&d->A, p, p->rows, p->inner, p->lead_a, count, err);
  if (status == MNO_OK)
    status = p->transpose_b ? layout(&d->B, p, p->columns, p->inner, p->lead_b, count, err)
                            : layout(&d->B, p, p->inner, p->columns, p->lead_b, count, err);
  return status == MNO_OK ? layout(&d->to, p, p->rows, p->columns, p->lead_to, count, err) : status;
}

/* Whether sums stay whole and the result may go elsewhere than to the addend. */
static mno_status suits(const cublasLtMatmulAlgo_t *algorithm, int *yes, mno_error *err) {
  int32_t splits = 0, elsewhere = 0;
  uint32_t reduction = 1;
  size_t written;
  LT(cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &splits, sizeof splits, &written));
  LT(cublasLtMatmulAlgoConfigGetAttribute(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction, sizeof reduction,
                                          &written));
  LT(cublasLtMatmulAlgoCapGetAttribute(algorithm, CUBLASLT_ALGO_CAP_OUT_OF_PLACE_RESULT_SUPPORT, &elsewhere,
                                       sizeof elsewhere, &written));
  *yes = splits <= 1 && reduction == CUBLASLT_REDUCTION_SCHEME_NONE && elsewhere;
  return MNO_OK;
}

static mno_status prefer(cublasLtMatmulPreference_t preference, const mno_product *p, mno_error *err) {
  const size_t workspace = 0;
  const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE, alignment = 16;
  const uint64_t kinds = CUBLASLT_NUMERICAL_IMPL_FLAGS_FMA | (p->bytes == 8 ? CUBLASLT_NUMERICAL_IMPL_FLAGS_DMMA : 0);
  const uint64_t numbers = p->bytes == 4
                               ? CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_32F | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_32F
                               : CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_64F | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_64F;
  const uint64_t allowed = kinds | numbers;
  LT(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                          sizeof workspace));
  LT(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction,
                                          sizeof reduction));
  LT(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_IMPL_MASK, &allowed, sizeof allowed));
  static const cublasLtMatmulPreferenceAttributes_t sides[] = {
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
  for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
    LT(cublasLtMatmulPreferenceSetAttribute(preference, sides[i], &alignment, sizeof alignment));
  return MNO_OK;
}

static mno_status new_preference(cublasLtMatmulPreference_t *preference, mno_error *err) {
  LT(cublasLtMatmulPreferenceCreate(preference));
  return MNO_OK;
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

/* The algorithm for a product: looked for once per stream. */
static mno_status choose(mno_gemm *gemm, const mno_product *p, const cublasLtMatmulAlgo_t **algorithm, mno_error *err) {
  mno_product key;
  memcpy(&key, p, sizeof key);
  key.count = 0;
  key.scale = 0;
  key.A = key.B = key.add = NULL;
  key.to = NULL;
  for (int i = 0; i < gemm->choices; i++) {
    const mno_product *k = &gemm->choice[i].key;
    *algorithm = &gemm->choice[i].algorithm;
    if (k->bytes == key.bytes && k->nominal == key.nominal && k->transpose_a == key.transpose_a &&
        k->transpose_b == key.transpose_b && k->rows == key.rows && k->columns == key.columns && k->inner == key.inner &&
        k->lead_a == key.lead_a && k->lead_b == key.lead_b && k->lead_to == key.lead_to)
      return MNO_OK;
  }
  if (gemm->choices == CHOICES) gemm->choices = 0;
  choice *made = &gemm->choice[gemm->choices];
  made->key = key;
  description d;
  cublasLtMatmulPreference_t preference = NULL;
  mno_status status = describe(&d, p, p->nominal, err);
  if (status == MNO_OK) status = new_preference(&preference, err);
  if (status == MNO_OK) status = search(gemm, p, &d, preference, &made->algorithm, err);
  if (preference) LT_RELEASE(cublasLtMatmulPreferenceDestroy(preference));
  status = description_free(&d, status, err);
  if (status != MNO_OK) return status;
  gemm->choices++;
  *algorithm = &made->algorithm;
  return MNO_OK;
}

static mno_status gemm_serves(int index, const mno_product *product, size_t count, int *served, mno_error *err) {
  mno_gemm asked = {.device = index};
  MNO_CUDA_CHECK(cudaSetDevice(index));
  LT(cublasLtCreate(&asked.handle));
  mno_status status = MNO_OK;
  const cublasLtMatmulAlgo_t *algorithm;
  for (size_t i = 0; i < count && status == MNO_OK; i++) status = choose(&asked, &product[i], &algorithm, err);
  *served = !asked.unserved;
  if (asked.unserved) status = MNO_OK; /* the reason stays in err */
  LT_RELEASE(cublasLtDestroy(asked.handle));
  return status;
}

static mno_status multiply(mno_gemm *gemm, const mno_product *p, const description *d, const cublasLtMatmulAlgo_t *algorithm,
                           mno_error *err) {
  const float scale32 = (float)p->scale, add32 = p->add ? 1 : 0;
  const double scale64 = p->scale, add64 = p->add ? 1 : 0;
  const void *scale = p->bytes == 4 ? (const void *)&scale32 : (const void *)&scale64;
  const void *add = p->bytes == 4 ? (const void *)&add32 : (const void *)&add64;
  LT(cublasLtMatmul(gemm->handle, d->operation, scale, p->A, d->A, p->B, d->B, add, p->add ? p->add : p->to, d->to, p->to,
                    d->to, algorithm, NULL, 0, gemm->stream));
  return MNO_OK;
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
  MNO_CUDA_CHECK(cudaLaunchKernel(mno_elementwise_kernel(&args->shape),
                                  (dim3){(unsigned)blocks, (unsigned)args->shape.group, 1}, (dim3){256, 1, 1}, parameters, 0,
                                  gemm->stream));
  return MNO_OK;
}

static mno_status gemm_capture(mno_gemm *gemm, mno_error *err) {
  MNO_CUDA_CHECK(cudaStreamBeginCapture(gemm->stream, cudaStreamCaptureModeThreadLocal));
  return MNO_OK;
}

static mno_status gemm_end(mno_gemm *gemm, mno_graph which, mno_error *err) {
  cudaGraph_t graph;
  mno_status status = MNO_OK;
  MNO_CUDA_CHECK(cudaStreamEndCapture(gemm->stream, &graph));
  if (gemm->graph[which])
    status = mno_cuda_released(status, "cudaGraphExecDestroy", cudaGraphExecDestroy(gemm->graph[which]), err);
  gemm->graph[which] = NULL;
  status = mno_cuda_released(status, "cudaGraphInstantiate", cudaGraphInstantiate(&gemm->graph[which], graph, 0), err);
  status = mno_cuda_released(status, "cudaGraphDestroy", cudaGraphDestroy(graph), err);
  return status;
}

static mno_status gemm_play(mno_gemm *gemm, mno_graph which, mno_error *err) {
  MNO_CUDA_CHECK(cudaGraphLaunch(gemm->graph[which], gemm->stream));
  return MNO_OK;
}

static mno_status gemm_wait(mno_gemm *gemm, mno_error *err) {
  MNO_CUDA_CHECK(cudaStreamSynchronize(gemm->stream));
  return MNO_OK;
}

#else /* a toolkit without cuBLAS: the other kernels take its shapes */

static mno_status none(mno_error *err) {
  return mno_fail(err, MNO_ERR_BACKEND, "no cuBLAS: the toolkit that this program was built with has no cublasLt.h");
}
static mno_status gemm_available(char *description, size_t size, mno_error *err) { return none(err); }
static mno_status gemm_serves(int index, const mno_product *product, size_t count, int *served, mno_error *err) {
  return none(err);
}
static mno_status gemm_open(mno_device *device, mno_gemm **gemm, mno_error *err) { return none(err); }
static mno_status gemm_close(mno_gemm *gemm, mno_error *err) { return MNO_OK; }
static mno_status gemm_product(mno_gemm *gemm, const mno_product *product, mno_error *err) { return none(err); }
static mno_status gemm_elementwise(mno_gemm *gemm, mno_elementwise operation, const mno_gemm_args *args, mno_error *err) {
  return none(err);
}
static mno_status gemm_capture(mno_gemm *gemm, mno_error *err) { return none(err); }
static mno_status gemm_end(mno_gemm *gemm, mno_graph graph, mno_error *err) { return none(err); }
static mno_status gemm_play(mno_gemm *gemm, mno_graph graph, mno_error *err) { return none(err); }
static mno_status gemm_wait(mno_gemm *gemm, mno_error *err) { return none(err); }

#endif

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
