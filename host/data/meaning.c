/* SPDX-License-Identifier: BSD-3-Clause */
/* What the attributes of a dataset say of its numbers: netCDF's packing, missing values and valid ranges (CF, NUG), the
 * classes of MATLAB, the marks of R, and names of dimensions. What is known is applied; what cannot be is refused by name.
 */
#include "data/reader.h"

#include "core/memory.h"

#include <ctype.h>
#include <float.h>
#include <hdf5_hl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void mno_data_note(const mno_data_reader *r, const char *format, ...) {
  char text[MNO_DATA_NOTE];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  size_t used = strlen(r->note);
  if (strstr(r->note, text) || used + strlen(text) + 2 > MNO_DATA_NOTE) return;
  if (used) r->note[used++] = '\n';
  strcpy(r->note + used, text);
}

char *mno_data_printable(char *text) {
  for (char *at = text; *at; at++)
    if ((unsigned char)*at < ' ' || *at == 0x7f) *at = '?';
  return text;
}

/* Is the text one of the words, in any case? NULL ends them. */
static bool is_one_of(const char *text, const char *const *words) {
  while (*words && strcasecmp(text, *words) != 0) words++;
  return *words;
}

/* ---- Attributes */

/* An attribute that was opened, with its type and space; ids are invalid where that failed. */
typedef struct attribute {
  hid_t id, type, space;
  hssize_t points;
} attribute;

static attribute open_attribute(hid_t object, const char *name) {
  attribute a = {H5I_INVALID_HID, H5I_INVALID_HID, H5I_INVALID_HID, -1};
  if (H5Aexists(object, name) > 0) a.id = H5Aopen(object, name, H5P_DEFAULT);
  if (a.id >= 0) {
    a.type = H5Aget_type(a.id);
    a.space = H5Aget_space(a.id);
  }
  if (a.space >= 0) a.points = H5Sget_simple_extent_npoints(a.space);
  return a;
}

static H5T_class_t class_of(const attribute *a) { return a->type < 0 ? H5T_NO_CLASS : H5Tget_class(a->type); }

static void close_attribute(const attribute *a) {
  if (a->space >= 0) H5Sclose(a->space);
  if (a->type >= 0) H5Tclose(a->type);
  if (a->id >= 0) H5Aclose(a->id);
}

/* Up to `most` texts of an attribute, each malloc'ed; the number of them, 0 if it is no text. */
static size_t read_texts(hid_t object, const char *name, char **texts, size_t most) {
  const attribute a = open_attribute(object, name);
  size_t count = a.points > 0 ? (size_t)a.points : 0, found = 0;
  if (count && count <= most && class_of(&a) == H5T_STRING) {
    size_t width = H5Tget_size(a.type);
    hid_t memory = H5Tcopy(a.type);
    char **owned = calloc(count, sizeof *owned), *fixed = calloc(count, width + 1);
    if (owned && fixed && H5Tis_variable_str(a.type) > 0) {
      if (H5Aread(a.id, memory, owned) >= 0)
        for (size_t i = 0; i < count; i++) texts[found++] = strdup(owned[i] ? owned[i] : "");
      H5Dvlen_reclaim(memory, a.space, H5P_DEFAULT, owned);
    } else if (owned && fixed && width < 1u << 20 && H5Aread(a.id, memory, fixed) >= 0) {
      for (size_t i = 0; i < count; i++) {
        size_t length = strnlen(fixed + i * width, width);
        while (H5Tget_strpad(a.type) == H5T_STR_SPACEPAD && length && fixed[i * width + length - 1] == ' ') length--;
        texts[found++] = strndup(fixed + i * width, length);
      }
    }
    free(owned);
    free(fixed);
    H5Tclose(memory);
  }
  close_attribute(&a);
  return found;
}

char *mno_data_text(hid_t object, const char *name) {
  char *text = NULL;
  return read_texts(object, name, &text, 1) == 1 && text ? mno_data_printable(text) : NULL;
}

/* Numbers of an attribute of a dataset. */
typedef struct numbers {
  size_t count; /* 0: there is no such attribute */
  double value[MNO_DATA_MISSING];
  bool real; /* stored as floating point */
} numbers;

static mno_status read_numbers(const mno_data_reader *r, const char *set_name, hid_t set, const char *name, size_t most,
                               numbers *out) {
  out->count = 0;
  out->real = false;
  if (H5Aexists(set, name) <= 0) return MNO_OK;
  const attribute a = open_attribute(set, name);
  const H5T_class_t class = class_of(&a);
  mno_status status = MNO_OK;
  if (class != H5T_INTEGER && class != H5T_FLOAT)
    status = MNO_DATA_FAIL(r, "attribute %s of dataset \"%s\" is %s, not a number; correct it or remove it", name, set_name,
                           class == H5T_STRING ? "text" : "of another type");
  else if (a.points < 1 || a.points > (hssize_t)most)
    status =
        MNO_DATA_FAIL(r, "attribute %s of dataset \"%s\" holds %lld numbers; %s%zu can be used; correct it or remove it",
                      name, set_name, (long long)a.points, most > 2 ? "at most " : "", most);
  else if (H5Aread(a.id, H5T_NATIVE_DOUBLE, out->value) < 0)
    status = MNO_DATA_FAIL(r, "attribute %s of dataset \"%s\" cannot be read; is the file damaged?", name, set_name);
  if (status == MNO_OK) {
    out->count = (size_t)a.points;
    out->real = class == H5T_FLOAT;
  }
  close_attribute(&a);
  return status;
}

/* ---- Packing, missing values, ranges */

/* As what a stored integer counts if _Unsigned says so. */
static double rewrapped(const mno_data_meaning *m, double value) {
  if (m->wrap > 0 && value < 0) return value + m->wrap;
  if (m->sign_wrap > 0 && value >= m->sign_wrap / 2) return value - m->sign_wrap;
  return value;
}

static void add_missing(mno_data_meaning *m, const char *by, double value, bool unpacked) {
  if (m->missing_count == MNO_DATA_MISSING || isnan(value)) return; /* nan is refused anyway */
  m->missing_by[m->missing_count] = by;
  m->missing_unpacked[m->missing_count] = unpacked;
  m->missing[m->missing_count++] = value;
}

static mno_status read_packing(const mno_data_reader *r, const char *name, hid_t set, mno_data_meaning *m) {
  numbers scale, offset;
  m->scale = 1;
  m->offset = 0;
  mno_status status = read_numbers(r, name, set, "scale_factor", 1, &scale);
  if (status == MNO_OK) status = read_numbers(r, name, set, "add_offset", 1, &offset);
  if (status != MNO_OK) return status;
  if (scale.count) m->scale = scale.value[0];
  if (offset.count) m->offset = offset.value[0];
  m->packed = scale.count || offset.count;
  if (!isfinite(m->scale) || m->scale == 0 || !isfinite(m->offset))
    return MNO_DATA_FAIL(r, "dataset \"%s\" has scale_factor %g and add_offset %g, which unpack nothing; correct them", name,
                         m->scale, m->offset);
  return MNO_OK;
}

/* _Unsigned: netCDF's way to keep unsigned numbers in signed types. */
static mno_status read_sign(const mno_data_reader *r, const char *name, hid_t set, hid_t type, mno_data_meaning *m) {
  if (H5Aexists(set, "_Unsigned") <= 0) return MNO_OK;
  char *text = mno_data_text(set, "_Unsigned");
  bool yes = text && strcasecmp(text, "true") == 0, no = text && strcasecmp(text, "false") == 0;
  free(text);
  if (!yes && !no)
    return MNO_DATA_FAIL(
        r, "attribute _Unsigned of dataset \"%s\" is neither \"true\" nor \"false\"; correct it or remove it", name);
  if (H5Tget_class(type) != H5T_INTEGER) return MNO_OK;
  bool has_sign = H5Tget_sign(type) == H5T_SGN_2;
  if ((yes && !has_sign) || (no && has_sign)) return MNO_OK;
  if (H5Tget_precision(type) > 32)
    return MNO_DATA_FAIL(r,
                         "attribute _Unsigned of dataset \"%s\" reinterprets integers of %zu bits, which is not done here; "
                         "store it as float64",
                         name, H5Tget_precision(type));
  *(yes ? &m->wrap : &m->sign_wrap) = ldexp(1, (int)H5Tget_precision(type));
  return MNO_OK;
}

static mno_status read_missing(const mno_data_reader *r, const char *name, hid_t set, hid_t type, mno_data_meaning *m) {
  static const char *const attributes[] = {"_FillValue", "missing_value"};
  bool single = H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) <= 4;
  for (size_t a = 0; a < 2; a++) {
    numbers n;
    mno_status status = read_numbers(r, name, set, attributes[a], MNO_DATA_MISSING / 4, &n);
    if (status != MNO_OK) return status;
    for (size_t i = 0; i < n.count; i++) {
      add_missing(m, attributes[a], rewrapped(m, n.value[i]), m->packed && n.real);
      if (single && fabs(n.value[i]) <= (double)FLT_MAX) add_missing(m, attributes[a], (double)(float)n.value[i], false);
    }
  }
  return MNO_OK;
}

/* The fill value of the HDF5 dataset itself: netCDF sets it for what was never written. 0 is what most writers leave. */
static void read_fill(hid_t set, mno_data_meaning *m) {
  hid_t create = H5Dget_create_plist(set);
  H5D_fill_value_t defined;
  double fill = 0;
  if (create >= 0 && H5Pfill_value_defined(create, &defined) >= 0 && defined == H5D_FILL_VALUE_USER_DEFINED &&
      H5Pget_fill_value(create, H5T_NATIVE_DOUBLE, &fill) >= 0 && fill != 0)
    add_missing(m, "its HDF5 fill value", rewrapped(m, fill), false);
  if (create >= 0) H5Pclose(create);
}

/* Number i of an attribute as a bound, if it is there. */
static void take_bound(const mno_data_meaning *m, const numbers *n, size_t i, const char *by, double *bound,
                       const char **bound_by) {
  if (i >= n->count) return;
  *bound = rewrapped(m, n->value[i]);
  *bound_by = by;
}

static mno_status read_range(const mno_data_reader *r, const char *name, hid_t set, hid_t type, mno_data_meaning *m) {
  numbers range, least, most;
  mno_status status = read_numbers(r, name, set, "valid_range", 2, &range);
  if (status == MNO_OK) status = read_numbers(r, name, set, "valid_min", 1, &least);
  if (status == MNO_OK) status = read_numbers(r, name, set, "valid_max", 1, &most);
  if (status != MNO_OK) return status;
  if (range.count == 1)
    return MNO_DATA_FAIL(r, "attribute valid_range of dataset \"%s\" holds one number, not two; correct it or remove it",
                         name);
  take_bound(m, &range, 0, "valid_range", &m->least, &m->least_by);
  take_bound(m, &range, 1, "valid_range", &m->most, &m->most_by);
  take_bound(m, &least, 0, "valid_min", &m->least, &m->least_by);
  take_bound(m, &most, 0, "valid_max", &m->most, &m->most_by);
  bool real = range.real || least.real || most.real;
  m->range_unpacked = m->packed && real && H5Tget_class(type) == H5T_INTEGER; /* a range of the type of the values */
  return MNO_OK;
}

/* ---- Other programs */

static mno_status read_matlab(const mno_data_reader *r, const char *name, hid_t set, mno_data_meaning *m) {
  static const char *const numeric[] = {"double", "single", "int8",  "uint8",  "int16", "uint16",
                                        "int32",  "uint32", "int64", "uint64", NULL};
  if (H5Aexists(set, "MATLAB_class") <= 0) return MNO_OK;
  char *class = mno_data_text(set, "MATLAB_class");
  bool known = class && H5Aexists(set, "MATLAB_object_decode") <= 0 && is_one_of(class, numeric);
  mno_status status = MNO_OK;
  if (!known)
    status = MNO_DATA_FAIL(r, "\"%s\" is of MATLAB's class %s, not an array of numbers; in MATLAB: %s = double(%s)", name,
                           class ? class : "(unknown)", name, name);
  else if (H5Aexists(set, "MATLAB_empty") > 0)
    status = MNO_DATA_FAIL(r, "\"%s\" is an empty array of MATLAB", name);
  free(class);
  m->transposed = true;
  if (status == MNO_OK)
    mno_data_note(r, "%s was written by MATLAB, which stores columns first: its arrays are taken as MATLAB shows them",
                  r->path);
  return status;
}

/* rhdf5 marks integers, whose smallest one is NA. It stores columns first unless told otherwise, and does not say which. */
static void read_r(const mno_data_reader *r, hid_t set, hid_t type, mno_data_meaning *m) {
  if (H5Aexists(set, "rhdf5-NA.OK") <= 0) return;
  if (H5Tget_class(type) == H5T_INTEGER) add_missing(m, "R (NA)", -0x1p31, false);
  mno_data_note(r,
                "%s was written by R (rhdf5), which stores columns first unless native = TRUE: check that samples are rows",
                r->path);
}

/* Attributes that change what numbers mean and that nothing here can apply. */
static mno_status refuse_others(const mno_data_reader *r, const char *name, hid_t set) {
  static const char *const near[] = {"scale_factor", "add_offset",  "_FillValue", "missing_value", "valid_min",
                                     "valid_max",    "valid_range", "_Unsigned",  "FillValue",     "fill_value"};
  H5O_info_t about;
  hsize_t count = H5Oget_info(set, &about) >= 0 ? about.num_attrs : 0;
  for (hsize_t i = 0; i < count; i++) {
    char attribute[128];
    if (H5Aget_name_by_idx(set, ".", H5_INDEX_NAME, H5_ITER_INC, i, attribute, sizeof attribute, H5P_DEFAULT) < 0) continue;
    for (size_t k = 0; k < sizeof near / sizeof *near; k++)
      if (strcasecmp(attribute, near[k]) == 0 && (k >= 8 || strcmp(attribute, near[k]) != 0))
        return MNO_DATA_FAIL(
            r,
            "dataset \"%s\" has the attribute %s, which is not one of netCDF's, but looks like %s; name it so "
            "to have it applied, or remove it",
            name, attribute, near[k < 8 ? k : 2]);
    static const char *const loose[] = {"scale",  "offset",  "slope",        "intercept",   "flag_values", "flag_meanings",
                                        "nodata", "no_data", "nodata_value", "gdal_nodata", "missing",     NULL};
    if (is_one_of(attribute, loose))
      mno_data_note(r, "%s: attribute %s of dataset \"%s\" is not applied: the numbers are taken as they are stored",
                    r->path, attribute, name);
  }
  char *units = mno_data_text(set, "units"), *dtype = mno_data_text(set, "dtype");
  mno_status status = MNO_OK;
  const char *since = units ? strstr(units, " since ") : NULL;
  if (since && isdigit((unsigned char)since[strlen(" since ")]))
    status = MNO_DATA_FAIL(r, "dataset \"%s\" holds dates (units: %s); make numbers of them before storing it", name, units);
  else if (dtype && (strncmp(dtype, "timedelta64", 11) == 0 || strncmp(dtype, "datetime64", 10) == 0))
    status = MNO_DATA_FAIL(r, "dataset \"%s\" holds times (dtype: %s); make numbers of them before storing it", name, dtype);
  free(units);
  free(dtype);
  return status;
}

mno_status mno_data_read_meaning(const mno_data_reader *r, const char *name, hid_t set, hid_t type, mno_data_meaning *m) {
  *m = (mno_data_meaning){.transposed = r->columns_first};
  mno_status status = read_matlab(r, name, set, m);
  if (status == MNO_OK) status = refuse_others(r, name, set);
  if (status == MNO_OK) status = read_sign(r, name, set, type, m);
  if (status == MNO_OK) status = read_packing(r, name, set, m);
  if (status == MNO_OK) status = read_missing(r, name, set, type, m);
  if (status == MNO_OK) status = read_range(r, name, set, type, m);
  if (status == MNO_OK) {
    read_fill(set, m);
    read_r(r, set, type, m);
  }
  if (status == MNO_OK && r->columns_first)
    mno_data_note(r, "%s was written by Julia, which stores columns first: its arrays are taken as Julia shows them",
                  r->path);
  return status;
}

/* ---- Applying it */

/* "row 2, column 0", as the matrix counts them */
static mno_status refuse(const mno_data_reader *r, const mno_data_matrix *matrix, size_t i, double value, const char *why,
                         const char *by) {
  return MNO_DATA_FAIL(r,
                       "dataset \"%s\" holds %.17g in row %zu, column %zu, which %s %s; leave such samples out or fill them",
                       matrix->name, value, i / matrix->columns, i % matrix->columns, why, by);
}

mno_status mno_data_apply_meaning(const mno_data_reader *r, const mno_data_meaning *m, mno_data_matrix *matrix) {
  double *v = matrix->values;
  size_t count = matrix->rows * matrix->columns;
  for (size_t i = 0; i < count; i++) {
    double stored = rewrapped(m, v[i]), value = m->packed ? stored * m->scale + m->offset : stored;
    for (size_t k = 0; k < m->missing_count; k++)
      if (stored == m->missing[k] || (m->missing_unpacked[k] && value == m->missing[k]))
        return refuse(r, matrix, i, stored, "is marked as missing by", m->missing_by[k]);
    double ranged = m->range_unpacked ? value : stored;
    if (m->least_by && ranged < m->least) return refuse(r, matrix, i, ranged, "is outside", m->least_by);
    if (m->most_by && ranged > m->most) return refuse(r, matrix, i, ranged, "is outside", m->most_by);
    if (!isfinite(value))
      return MNO_DATA_FAIL(r, "dataset \"%s\" holds %s in row %zu, column %zu%s", matrix->name,
                           isnan(value) ? "nan" : "infinity", i / matrix->columns, i % matrix->columns,
                           isfinite(stored) ? ", once scale_factor and add_offset are applied" : "");
    v[i] = value;
  }
  if (m->packed)
    mno_data_note(r, "%s: dataset \"%s\" is unpacked with scale_factor %.17g and add_offset %.17g", r->path, matrix->name,
                  m->scale, m->offset);
  return MNO_OK;
}

/* ---- Names of dimensions */

static herr_t take_scale(hid_t set, unsigned dimension, hid_t scale, void *data) {
  char name[256] = "", *to = data;
  H5Iget_name(scale, name, sizeof name);
  char *slash = strrchr(name, '/');
  snprintf(to, 64, "%.63s", mno_data_printable(slash ? slash + 1 : name));
  return 1;
}

/* Lists of references, as HDF5's own functions for scales take for granted that there are. */
static bool has_scales(hid_t set) {
  const attribute a = open_attribute(set, "DIMENSION_LIST");
  hid_t entry = class_of(&a) == H5T_VLEN ? H5Tget_super(a.type) : H5I_INVALID_HID;
  bool good = entry >= 0 && H5Tequal(entry, H5T_STD_REF_OBJ) > 0 && a.points == 2;
  if (entry >= 0) H5Tclose(entry);
  close_attribute(&a);
  return good;
}

static void take_texts(hid_t set, const char *attribute, char dimension[2][64]) {
  char *texts[2];
  size_t count = read_texts(set, attribute, texts, 2);
  for (size_t i = 0; i < count; i++) {
    if (count == 2) snprintf(dimension[i], 64, "%.63s", texts[i] ? mno_data_printable(texts[i]) : "");
    free(texts[i]);
  }
}

void mno_data_dimensions(hid_t set, char dimension[2][64]) {
  dimension[0][0] = dimension[1][0] = '\0';
  take_texts(set, "DIMENSION_LABELS", dimension);
  for (unsigned i = 0; has_scales(set) && i < 2; i++) H5DSiterate_scales(set, i, NULL, take_scale, dimension[i]);
  take_texts(set, "_ARRAY_DIMENSIONS", dimension);
}

static bool same(const char *a, const char *b) { return a[0] && strcmp(a, b) == 0; }

static mno_status contradict(const mno_data_reader *r, const mno_data_matrix *m, const mno_data_matrix *other) {
  return MNO_DATA_FAIL(
      r,
      "the dimensions of dataset \"%s\" are named (%s, %s)%s%s%s%s%s; it is read as %s: is it transposed? Store "
      "it the other way round (xarray: .transpose(), h5py: .T)",
      m->name, m->dimension[0], m->dimension[1], other ? ", those of \"" : "", other ? other->name : "", other ? "\" (" : "",
      other ? other->dimension[0] : "", other ? ", ...)" : "", m->shape);
}

/* Dimensions called features first and samples second need no other dataset to contradict. */
static bool named_backwards(const mno_data_matrix *m) {
  static const char *const samples[] = {"sample", "samples", "obs", "observation", "observations", NULL};
  static const char *const features[] = {"input",  "inputs",  "feature",  "features",  "target", "targets",
                                         "output", "outputs", "variable", "variables", NULL};
  return is_one_of(m->dimension[0], features) && is_one_of(m->dimension[1], samples);
}

/* An embedding (D, features) of data (samples, features). */
static bool embedding_backwards(const mno_data_matrix *w, const mno_data_matrix *data) {
  return w->there && same(w->dimension[0], data->dimension[1]) && !same(w->dimension[1], data->dimension[1]);
}

mno_status mno_data_check_dimensions(const mno_data_reader *r, const mno_data_matrix *x, const mno_data_matrix *y,
                                     const mno_data_matrix *w_embed, const mno_data_matrix *w_unembed) {
  if (named_backwards(x)) return contradict(r, x, NULL);
  if (named_backwards(y)) return contradict(r, y, NULL);
  bool agree = same(x->dimension[0], y->dimension[0]);
  if (!agree && same(x->dimension[1], y->dimension[0])) return contradict(r, x, y);
  if (!agree && same(y->dimension[1], x->dimension[0])) return contradict(r, y, x);
  if (!agree && same(x->dimension[1], y->dimension[1]) && x->dimension[0][0] && y->dimension[0][0])
    return contradict(r, x, y);
  if (embedding_backwards(w_embed, x)) return contradict(r, w_embed, x);
  if (embedding_backwards(w_unembed, y)) return contradict(r, w_unembed, y);
  if (w_embed->there && w_unembed->there && !same(w_embed->dimension[0], w_unembed->dimension[0])) {
    if (same(w_embed->dimension[1], w_unembed->dimension[0])) return contradict(r, w_embed, w_unembed);
    if (same(w_unembed->dimension[1], w_embed->dimension[0])) return contradict(r, w_unembed, w_embed);
  }
  return MNO_OK;
}
