/* SPDX-License-Identifier: BSD-3-Clause */
/* The stand-in of cuBLASLt: gemm_cuda.c loads it in place of the library. Products are plain loops over host memory. */
#include "standin.h"

#include <cublasLt.h>

#include <stdlib.h>
#include <string.h>

enum { VERSION = 990102 }; /* 99.1.2 */

typedef struct operation {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  int32_t transpose[2];
} operation;

typedef struct matrix {
  cudaDataType_t type;
  uint64_t rows, columns;
  int64_t lead, stride;
  int32_t count;
} matrix;

typedef struct preference {
  uint64_t workspace, kinds;
  uint32_t reduction, alignment[4];
} preference;

typedef struct handle {
  int device;
} handle;

/* What an algorithm was chosen for. */
typedef struct algorithm {
  uint32_t kind; /* 1: splits sums; 2: reduces in memory; 3: only in place; 4: as wanted */
  int32_t m, n, k, lead_a, lead_b, lead_to, bytes, transpose_a, transpose_b; /* no padding: compared as a whole */
} algorithm;
_Static_assert(sizeof(algorithm) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm");

#define CALL()                                                                                                              \
  if (mno_standin_fails(__func__)) return CUBLAS_STATUS_EXECUTION_FAILED

static void count(int by) { __atomic_add_fetch(&mno_standin_state.live, by, __ATOMIC_SEQ_CST); }

static cublasStatus_t make(void *made, size_t bytes) {
  *(void **)made = calloc(1, bytes);
  count(1);
  return CUBLAS_STATUS_SUCCESS;
}
/* Even when it is made to fail: what is left over is the caller's doing. */
static cublasStatus_t drop(const char *name, void *thing) {
  const int fails = mno_standin_fails(name);
  free(thing);
  count(-1);
  return fails ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t set(void *to, size_t size, const void *from, size_t bytes) {
  if (size != bytes) {
    mno_standin_complain("an attribute of %zu bytes given %zu", size, bytes);
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  memcpy(to, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void) { return VERSION; }
const char *cublasLtGetStatusString(cublasStatus_t status) { return "the stand-in was told to fail"; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t *made) {
  CALL();
  make(made, sizeof(handle));
  ((handle *)*made)->device = mno_standin_device();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t h) { return drop(__func__, h); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *made, cublasComputeType_t compute, cudaDataType_t scale) {
  CALL();
  make(made, sizeof(operation));
  *(operation *)*made = (operation){compute, scale, {CUBLAS_OP_N, CUBLAS_OP_N}};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) { return drop(__func__, d); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attribute,
                                              const void *from, size_t bytes) {
  CALL();
  operation *o = (operation *)d;
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSA) return set(&o->transpose[0], sizeof(int32_t), from, bytes);
  if (attribute == CUBLASLT_MATMUL_DESC_TRANSB) return set(&o->transpose[1], sizeof(int32_t), from, bytes);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *made, cudaDataType type, uint64_t rows, uint64_t columns,
                                          int64_t lead) {
  CALL();
  make(made, sizeof(matrix));
  *(matrix *)*made = (matrix){type, rows, columns, lead, 0, 1};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t m) { return drop(__func__, m); }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *from, size_t bytes) {
  CALL();
  matrix *m = (matrix *)layout;
  if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) return set(&m->count, sizeof m->count, from, bytes);
  if (attribute == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) return set(&m->stride, sizeof m->stride, from, bytes);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *made) {
  CALL();
  make(made, sizeof(preference));
  *(preference *)*made = (preference){0, UINT64_MAX, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) { return drop(__func__, p); }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t wanted,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *from,
                                                    size_t bytes) {
  CALL();
  preference *p = (preference *)wanted;
  switch (attribute) {
  case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return set(&p->workspace, sizeof p->workspace, from, bytes);
  case CUBLASLT_MATMUL_PREF_IMPL_MASK: return set(&p->kinds, sizeof p->kinds, from, bytes);
  case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return set(&p->reduction, sizeof p->reduction, from, bytes);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return set(&p->alignment[0], sizeof(uint32_t), from, bytes);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return set(&p->alignment[1], sizeof(uint32_t), from, bytes);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return set(&p->alignment[2], sizeof(uint32_t), from, bytes);
  case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return set(&p->alignment[3], sizeof(uint32_t), from, bytes);
  default: return CUBLAS_STATUS_INVALID_VALUE;
  }
}

/* The product that operation and layouts describe, in the words of gemm.h. 0: they contradict each other. */
static int understand(const operation *o, const matrix *a, const matrix *b, const matrix *c, const matrix *d,
                      mno_product *p) {
  const int wide = d->type == CUDA_R_64F, ta = o->transpose[0] == CUBLAS_OP_T, tb = o->transpose[1] == CUBLAS_OP_T;
  *p = (mno_product){.bytes = wide ? 8 : 4,
                     .count = d->count,
                     .transpose_a = ta,
                     .transpose_b = tb,
                     .rows = (int)d->rows,
                     .columns = (int)d->columns,
                     .inner = (int)(ta ? a->rows : a->columns),
                     .lead_a = (int)a->lead,
                     .lead_b = (int)b->lead,
                     .lead_to = (int)d->lead,
                     .stride = (size_t)d->stride};
  const matrix *all[] = {a, b, c, d};
  int fine = o->compute == (wide ? CUBLAS_COMPUTE_64F_PEDANTIC : CUBLAS_COMPUTE_32F_PEDANTIC) && o->scale == d->type &&
             (wide || d->type == CUDA_R_32F);
  for (int i = 0; i < 4; i++)
    fine &= all[i]->type == d->type && all[i]->count == d->count && all[i]->stride == d->stride &&
            all[i]->lead >= (int64_t)all[i]->rows && all[i]->count >= 1 && all[i]->lead * p->bytes % 16 == 0 &&
            all[i]->stride * p->bytes % 16 == 0;
  fine &= (ta ? a->columns : a->rows) == d->rows && (tb ? b->rows : b->columns) == d->columns &&
          (tb ? b->columns : b->rows) == (uint64_t)p->inner && c->rows == d->rows && c->columns == d->columns &&
          c->lead == d->lead && p->inner > 0 && p->rows > 0 && p->columns > 0;
  if (!fine) mno_standin_complain("a product whose parts contradict each other, or not in IEEE arithmetic");
  return fine;
}

static algorithm algorithm_of(const mno_product *p, uint32_t kind) {
  return (algorithm){kind,      p->rows,    p->columns, p->inner,       p->lead_a,
                     p->lead_b, p->lead_to, p->bytes,   p->transpose_a, p->transpose_b};
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t wanted, int most,
                                              cublasLtMatmulHeuristicResult_t result[], int *found) {
  CALL();
  mno_product p;
  const preference *w = (const preference *)wanted;
  if (!understand((operation *)o, (matrix *)a, (matrix *)b, (matrix *)c, (matrix *)d, &p))
    return CUBLAS_STATUS_INVALID_VALUE;
  const uint64_t tensors = CUBLASLT_NUMERICAL_IMPL_FLAGS_TENSOR_OP_MASK & ~(uint64_t)CUBLASLT_NUMERICAL_IMPL_FLAGS_DMMA;
  int fine = w->workspace == 0 && w->reduction == CUBLASLT_REDUCTION_SCHEME_NONE && !(w->kinds & tensors);
  for (int i = 0; i < 4; i++) fine &= w->alignment[i] <= 16;
  if (!fine) mno_standin_complain("algorithms that split sums, or weaker than IEEE arithmetic, are asked for");
  memset(result, 0, (size_t)most * sizeof *result);
  *found = 0;
  if (mno_standin_no_algorithm())
    return mno_standin_no_algorithm() == 1 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
  for (*found = 0; *found < 4 && *found < most; (*found)++) {
    const algorithm made = algorithm_of(&p, (uint32_t)*found + 1);
    memcpy(&result[*found].algo, &made, sizeof made);
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, void *to, size_t bytes,
                                                    size_t *written) {
  CALL();
  algorithm a;
  memcpy(&a, algo, sizeof a);
  const int32_t splits = a.kind == 1 ? 3 : 1;
  const uint32_t scheme = a.kind == 2 ? CUBLASLT_REDUCTION_SCHEME_INPLACE : CUBLASLT_REDUCTION_SCHEME_NONE;
  *written = 4;
  if (attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM) return set(to, bytes, &splits, sizeof splits);
  if (attribute == CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) return set(to, bytes, &scheme, sizeof scheme);
  return CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulAlgoCapGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                 cublasLtMatmulAlgoCapAttributes_t attribute, void *to, size_t bytes,
                                                 size_t *written) {
  CALL();
  algorithm a;
  memcpy(&a, algo, sizeof a);
  const int32_t elsewhere = a.kind != 3;
  *written = 4;
  if (attribute != CUBLASLT_ALGO_CAP_OUT_OF_PLACE_RESULT_SUPPORT) return CUBLAS_STATUS_INVALID_VALUE;
  return set(to, bytes, &elsewhere, sizeof elsewhere);
}

/* Is a matrix, of every instance, in the device's memory, where its alignment was promised? */
static int inside(int device, const void *at, const matrix *m, size_t bytes) {
  const size_t numbers = (size_t)(m->count - 1) * (size_t)m->stride + (size_t)(m->columns - 1) * (size_t)m->lead + m->rows;
  return (uintptr_t)at % 16 == 0 && mno_standin_holds(device, at, numbers * bytes);
}
/* Do two matrices of an instance share memory? */
static int overlap(const void *x, const matrix *a, const void *y, const matrix *b, size_t bytes) {
  const char *s = x, *t = y;
  return s < t + ((b->columns - 1) * (size_t)b->lead + b->rows) * bytes &&
         t < s + ((a->columns - 1) * (size_t)a->lead + a->rows) * bytes;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t o, const void *alpha, const void *A,
                              cublasLtMatrixLayout_t a, const void *B, cublasLtMatrixLayout_t b, const void *beta,
                              const void *C, cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes, cudaStream_t stream) {
  CALL();
  mno_product p;
  const matrix *ma = (matrix *)a, *mb = (matrix *)b, *md = (matrix *)d;
  const int device = ((handle *)h)->device;
  if (!understand((operation *)o, ma, mb, (matrix *)c, md, &p)) return CUBLAS_STATUS_INVALID_VALUE;
  const algorithm made = algorithm_of(&p, 4);
  if (memcmp(algo, &made, sizeof made) != 0) mno_standin_complain("the algorithm of another product, or an unsuitable one");
  const size_t size = (size_t)p.bytes;
  if (bytes || !inside(device, A, ma, size) || !inside(device, B, mb, size) || !inside(device, D, md, size) ||
      !inside(device, C, md, size))
    mno_standin_complain("a product outside of the device's memory, or not aligned");
  if (overlap(A, ma, D, md, size) || overlap(B, mb, D, md, size) || (C != D && overlap(C, md, D, md, size)))
    mno_standin_complain("a product onto what it reads");
  const double add = size == 8 ? *(const double *)beta : *(const float *)beta;
  if (add != 0 && add != 1) mno_standin_complain("beta = %g", add);
  p.scale = size == 8 ? *(const double *)alpha : *(const float *)alpha;
  p.A = A;
  p.B = B;
  p.add = add == 0 ? NULL : C;
  p.to = D;
  mno_standin_multiply(stream, device, &p);
  return CUBLAS_STATUS_SUCCESS;
}
