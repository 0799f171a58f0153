/* SPDX-License-Identifier: BSD-3-Clause */
/* One dataset of a data file -> a matrix of doubles, or why it is none. */
#define _GNU_SOURCE
#include "data/reader.h"

#include "config/source.h"
#include "core/memory.h"
#include "core/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1000000 }; /* samples, inputs, targets, D */

/* ---- What stands in the place of a dataset */

static mno_status refuse_group(const mno_data_reader *r, const char *name, hid_t group) {
  char *class = mno_data_text(group, "MATLAB_class"), *encoding = mno_data_text(group, "encoding-type");
  mno_status status;
  if (H5Aexists(group, "MATLAB_sparse") > 0)
    status = MNO_DATA_FAIL(r, "\"%s\" is a sparse matrix of MATLAB; in MATLAB: %s = full(%s)", name, name, name);
  else if (class)
    status = MNO_DATA_FAIL(r, "\"%s\" is of MATLAB's class %s, not an array of numbers", name, class);
  else if (encoding)
    status =
        MNO_DATA_FAIL(r, "\"%s\" is a group (%s of AnnData?), not a dataset; store it as a plain array", name, encoding);
  else if (H5Aexists(group, "OCTAVE_NEW_FORMAT") > 0 || H5Lexists(group, "value", H5P_DEFAULT) > 0)
    status =
        MNO_DATA_FAIL(r,
                      "\"%s\" is a group (a variable of Octave?), not a dataset: its numbers are in \"%s/value\", stored "
                      "columns first; copy them to \"%s\" with h5py",
                      name, name, name);
  else if (H5Aexists(group, "pandas_type") > 0 || H5Lexists(group, "block0_values", H5P_DEFAULT) > 0)
    status = MNO_DATA_FAIL(r,
                           "\"%s\" is a group (a table of pandas.to_hdf?), not a dataset: its numbers are in "
                           "\"%s/block0_values\"; with h5py: f[\"%s\"] = frame.to_numpy(float)",
                           name, name, name);
  else
    status = MNO_DATA_FAIL(r, "\"%s\" is a group, not a dataset; store the array itself under this name", name);
  free(class);
  free(encoding);
  return status;
}

/* A type that is not one real number an entry, in words with the remedy. */
static const char *describe_type(hid_t type) {
  switch (H5Tget_class(type)) {
  case H5T_STRING: return "text; store numbers";
  case H5T_ENUM: return "an enumeration (booleans of h5py?); store it as float64: x.astype(float)";
  case H5T_BITFIELD: return "bit fields (booleans of PyTables?); store it as float64: x.astype(float)";
  case H5T_OPAQUE: return "bytes without a meaning (opaque); store it as float64";
  case H5T_REFERENCE: return "references to other objects (a MATLAB cell array?); store the numbers themselves";
  case H5T_VLEN: return "rows of different lengths (variable-length sequences); store one array with two dimensions";
  case H5T_ARRAY: return "an array in every entry (array type); store one array with two dimensions";
  case H5T_TIME: return "dates; store numbers";
  case H5T_COMPOUND: break;
  default: return "nothing that is known here; store it as float64";
  }
  char *first = H5Tget_nmembers(type) == 2 ? H5Tget_member_name(type, 0) : NULL;
  char *second = first ? H5Tget_member_name(type, 1) : NULL;
  bool complex = second && ((strcmp(first, "r") == 0 && strcmp(second, "i") == 0) || strncmp(first, "re", 2) == 0 ||
                            strcmp(second, "imag") == 0 || strcmp(second, "im") == 0);
  H5free_memory(first);
  H5free_memory(second);
  return complex ? "complex numbers; store real and imaginary parts as columns"
                 : "records with named fields (a table?); store the columns as one array of float64";
}

static mno_status check_type(const mno_data_reader *r, const char *name, hid_t type) {
  H5T_class_t class = H5Tget_class(type);
  if (class != H5T_FLOAT && class != H5T_INTEGER)
    return MNO_DATA_FAIL(r, "dataset \"%s\" holds no real numbers but %s", name, describe_type(type));
  size_t mantissa = 0, sign, exponent, exponent_size, at;
  if (class == H5T_FLOAT) H5Tget_fields(type, &sign, &exponent, &exponent_size, &at, &mantissa);
  if (mantissa > 64 || (class == H5T_INTEGER && H5Tget_precision(type) > 64))
    return MNO_DATA_FAIL(r, "dataset \"%s\" holds numbers of %zu bits; store it as float64", name, H5Tget_precision(type));
  return MNO_OK;
}

/* A dimension of netCDF, which is a dataset, too. */
static bool is_dimension(hid_t set) {
  char *role = mno_data_text(set, "CLASS");
  bool is = role && strcmp(role, "DIMENSION_SCALE") == 0;
  free(role);
  return is;
}

/* Two dimensions, or how to make two of what there is. */
static mno_status check_shape(const mno_data_reader *r, const mno_data_matrix *m, hid_t set, hid_t space, bool swap,
                              hsize_t shape[2]) {
  hsize_t all[H5S_MAX_RANK] = {0};
  const char *name = m->name;
  if (is_dimension(set))
    return MNO_DATA_FAIL(r, "\"%s\" is a dimension of the file (netCDF), not an array of data %s", name, m->shape);
  if (H5Sget_simple_extent_type(space) == H5S_NULL)
    return MNO_DATA_FAIL(r, "dataset \"%s\" holds nothing (an empty dataspace); it needs two dimensions, %s", name,
                         m->shape);
  int rank = H5Sget_simple_extent_dims(space, all, NULL);
  char text[512] = "";
  for (int i = 0; i < rank && i < 16; i++)
    sprintf(text + strlen(text), "%s%llu", i ? ", " : "", all[swap ? rank - 1 - i : i]);
  if (rank == 1)
    return MNO_DATA_FAIL(r,
                         "dataset \"%s\" has 1 dimension; it needs two, %s: for one number a sample store %s.reshape(-1, 1)",
                         name, m->shape, name);
  if (rank > 2)
    return MNO_DATA_FAIL(r, "dataset \"%s\" has %d dimensions (%s); it needs two, %s: store %s.reshape(%llu, -1)", name,
                         rank, text, m->shape, name, all[swap ? rank - 1 : 0]);
  if (rank != 2) return MNO_DATA_FAIL(r, "dataset \"%s\" is one number; it needs two dimensions, %s", name, m->shape);
  shape[0] = all[swap];
  shape[1] = all[!swap];
  return MNO_OK;
}

static mno_status check_sizes(const mno_data_reader *r, const mno_data_matrix *m, const hsize_t shape[2], size_t wanted) {
  if (shape[0] < 1 || shape[1] < 1 || shape[1] > LARGEST || (shape[0] > LARGEST && !wanted))
    return MNO_DATA_FAIL(r, "dataset \"%s\" has shape (%llu, %llu); accepted: %s, each from 1 to %d", m->name, shape[0],
                         shape[1], m->shape, LARGEST);
  if (wanted && shape[0] < wanted)
    return mno_sweep_fail(r->sweep, r->sweep->data.samples_mark, r->err,
                          "%s: dataset \"%s\" has %llu samples, fewer than data.samples = %zu", r->path, m->name, shape[0],
                          wanted);
  return MNO_OK;
}

/* ---- Numbers */

/* An integer's size fits the 53 bits of a double, up to factors of two. */
static bool exact(uint64_t size) { return size == 0 || size >> __builtin_ctzll(size) <= (uint64_t)1 << 53; }

typedef struct block {
  hid_t set, space, memory;
  size_t total;
} block;

static bool read_as(const block *b, hid_t type, void *values) {
  return H5Dread(b->set, type, b->memory, b->space, H5P_DEFAULT, values) >= 0;
}

/* Reads numbers that may not fit a double; *changed receives the first that does not, or total. */
static bool read_wide(const block *b, hid_t type, double *v, size_t *changed) {
  bool real = H5Tget_class(type) == H5T_FLOAT, negative = !real && H5Tget_sign(type) == H5T_SGN_2;
  void *numbers = mno_alloc(b->total, real ? sizeof(long double) : sizeof(int64_t));
  const long double *reals = numbers;
  const int64_t *integers = numbers;
  bool ok = numbers && read_as(b, real ? H5T_NATIVE_LDOUBLE : negative ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64, numbers);
  for (size_t i = 0; ok && i < b->total; i++) {
    bool same;
    if (real) {
      v[i] = (double)reals[i];
      same = (long double)v[i] == reals[i] || reals[i] != reals[i];
    } else {
      uint64_t natural = (uint64_t)integers[i];
      bool minus = negative && integers[i] < 0;
      v[i] = negative ? (double)integers[i] : (double)natural;
      same = exact(minus ? 0 - natural : natural);
    }
    if (!same && *changed == b->total) *changed = i;
  }
  free(numbers);
  return ok;
}

static void transpose(const double *from, size_t rows, size_t columns, double *to) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) to[i * columns + j] = from[j * rows + i];
}

/* Do the numbers need more than the 53 bits of a double, perhaps? */
static bool is_wide(hid_t type) {
  return H5Tget_class(type) == H5T_FLOAT ? H5Tget_size(type) > 8 : H5Tget_precision(type) > 53;
}

/* Bytes that reading takes; rows and columns are at most 10^6. */
static size_t bytes_of(const mno_data_matrix *m, hid_t type, bool swap) {
  return m->rows * m->columns * sizeof(double) * (1 + swap + (is_wide(type) ? 2 : 0));
}

static mno_status check_memory(const mno_data_reader *r, const mno_data_matrix *m, hid_t type, bool swap) {
  char what[4096];
  size_t bytes = bytes_of(m, type, swap);
  if (bytes <= mno_memory_available()) return MNO_OK;
  snprintf(what, sizeof what, "%s: dataset \"%s\"", r->path, m->name);
  return mno_fail_too_large(r->sweep, r->sweep->data.path_mark, (double)bytes, what, "use fewer data.samples", r->err);
}

/* Stored numbers in the order of the matrix, before attributes apply. *changed: see read_wide; an index into the matrix. */
static mno_status read_values(const mno_data_reader *r, mno_data_matrix *m, hid_t set, hid_t space, hid_t type, bool swap,
                              size_t *changed) {
  hsize_t start[2] = {0, 0}, count[2] = {swap ? m->columns : m->rows, swap ? m->rows : m->columns};
  size_t total = m->rows * m->columns, bytes = bytes_of(m, type, swap);
  *changed = total;
  double *v = mno_alloc(total, sizeof *v), *turned = swap ? mno_alloc(total, sizeof *v) : NULL;
  if (!v || (swap && !turned)) {
    free(v);
    free(turned);
    return mno_fail_memory(r->err, bytes, m->name);
  }
  mno_probe_expect(bytes);
  block b = {.set = set, .space = space, .memory = H5Screate_simple(2, count, NULL), .total = total};
  bool ok = b.memory >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
            (is_wide(type) ? read_wide(&b, type, v, changed) : read_as(&b, H5T_NATIVE_DOUBLE, v));
  if (b.memory >= 0) H5Sclose(b.memory);
  if (ok && swap) {
    transpose(v, m->rows, m->columns, turned);
    if (*changed < total) *changed = *changed % m->rows * m->columns + *changed / m->rows;
  }
  m->values = ok && swap ? turned : v;
  free(ok && swap ? v : turned);
  return ok ? MNO_OK : MNO_DATA_FAIL(r, "dataset \"%s\" cannot be read; is the file damaged?", m->name);
}

static mno_status read_set(const mno_data_reader *r, mno_data_matrix *m, hid_t set, hid_t space, hid_t type,
                           size_t rows_wanted) {
  mno_data_meaning meaning;
  hsize_t shape[2] = {0, 0};
  size_t changed = 0;
  mno_status status = check_type(r, m->name, type);
  if (status == MNO_OK) status = mno_data_read_meaning(r, m->name, set, type, &meaning);
  if (status != MNO_OK) return status;
  bool swap = meaning.transposed;
  status = check_shape(r, m, set, space, swap, shape);
  if (status == MNO_OK) status = check_sizes(r, m, shape, rows_wanted);
  if (status != MNO_OK) return status;
  m->rows = rows_wanted ? rows_wanted : (size_t)shape[0];
  m->columns = (size_t)shape[1];
  status = check_memory(r, m, type, swap);
  hsize_t needed[2] = {swap ? m->columns : m->rows, swap ? m->rows : m->columns};
  if (status == MNO_OK) status = mno_data_check_storage(r, m->name, set, needed);
  if (status == MNO_OK) status = read_values(r, m, set, space, type, swap, &changed);
  if (status == MNO_OK) status = mno_data_apply_meaning(r, &meaning, m);
  if (status == MNO_OK && changed < m->rows * m->columns)
    status =
        MNO_DATA_FAIL(r,
                      "dataset \"%s\" holds a number in row %zu, column %zu that changes when it becomes a float64 (%.17g); "
                      "store it as float64",
                      m->name, changed / m->columns, changed % m->columns, m->values[changed]);
  if (status == MNO_OK && !swap) mno_data_dimensions(set, m->dimension);
  return status;
}

static mno_status open_set(const mno_data_reader *r, mno_data_matrix *m, hid_t object, size_t rows_wanted) {
  H5I_type_t kind = object < 0 ? H5I_BADID : H5Iget_type(object);
  if (kind == H5I_GROUP) return refuse_group(r, m->name, object);
  if (kind == H5I_DATATYPE) return MNO_DATA_FAIL(r, "\"%s\" is a type, not a dataset", m->name);
  if (kind != H5I_DATASET) return MNO_DATA_FAIL(r, "\"%s\" is not a dataset that can be opened", m->name);
  hid_t space = H5Dget_space(object), type = H5Dget_type(object);
  m->there = true;
  mno_status status = space < 0 || type < 0
                          ? MNO_DATA_FAIL(r, "dataset \"%s\" cannot be read; is the file damaged?", m->name)
                          : read_set(r, m, object, space, type, rows_wanted);
  if (space >= 0) H5Sclose(space);
  if (type >= 0) H5Tclose(type);
  return status;
}

/* Says what there is instead. */
static mno_status refuse_missing(const mno_data_reader *r, const mno_data_matrix *m) {
  enum { SHOWN = 8 };
  H5G_info_t about = {0};
  char names[SHOWN * 64 + 8] = "";
  H5Gget_info(r->file, &about);
  for (hsize_t i = 0; i < about.nlinks && i < SHOWN; i++) {
    char name[48] = "";
    H5Lget_name_by_idx(r->file, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
    sprintf(names + strlen(names), "%s\"%s\"", i ? ", " : "", mno_data_printable(name));
  }
  if (H5Lexists(r->file, "problem_0000", H5P_DEFAULT) > 0)
    return MNO_DATA_FAIL(r,
                         "a result file of meanode, not a data file: there is no dataset \"%s\" %s; its data are in "
                         "\"problem_0000/%s\", and run --from repeats it",
                         m->name, m->shape, m->name);
  return MNO_DATA_FAIL(r, "there is no dataset \"%s\" %s; %s%s%s", m->name, m->shape,
                       about.nlinks ? "the file has " : "the file is empty", names, about.nlinks > SHOWN ? ", ..." : "");
}

mno_status mno_data_read_matrix(const mno_data_reader *r, mno_data_matrix *m, bool required, size_t rows_wanted) {
  char target[2200];
  if (H5Lexists(r->file, m->name, H5P_DEFAULT) <= 0) return required ? refuse_missing(r, m) : MNO_OK;
  if (mno_data_dangling(r, m->name, target, sizeof target))
    return MNO_DATA_FAIL(r, "\"%s\" is a link to %s, which is not there", m->name, target);
  hid_t object = H5Oopen(r->file, m->name, H5P_DEFAULT);
  mno_status status = open_set(r, m, object, rows_wanted);
  if (object >= 0) H5Oclose(object);
  return status;
}
