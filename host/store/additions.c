/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "store/additions.h"

#include "block/block.h"
#include "core/memory.h"
#include "plan/problem.h"
#include "store/compare.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Objects of both files: of the layout, by their address in the file that is read, or datasets of the user's, by their name.
 */
typedef struct objects {
  size_t count, room;
  struct object {
    haddr_t address;
    char *from, *to;
  } * object;
} objects;

static void add(objects *list, haddr_t address, const char *from, const char *to) {
  if (!mno_grow(&list->object, list->count, &list->room, sizeof *list->object)) return;
  struct object one = {address, strdup(from), strdup(to)};
  if (one.from && one.to) {
    list->object[list->count++] = one;
  } else {
    free(one.from);
    free(one.to);
  }
}

static void drop(objects *list) {
  for (size_t i = 0; i < list->count; i++) {
    free(list->object[i].from);
    free(list->object[i].to);
  }
  free(list->object);
}

typedef struct walk {
  const mno_result *result;
  hid_t from, to; /* the files */
  const mno_layout *layout;
  const mno_plan *plan;
  size_t *now; /* [instance_count of the result] row of the plan that each row is, SIZE_MAX: none */
  enum { LEARN, LIST, COPY } task;
  objects known;    /* of the layout */
  objects added;    /* datasets that were copied */
  mno_names *names; /* what is listed, or could not be copied */
} walk;

static void name_it(walk *w, const char *format, ...) {
  char one[256];
  va_list args;
  va_start(args, format);
  vsnprintf(one, sizeof one, format, args);
  va_end(args);
  mno_names *names = w->names;
  size_t used = strlen(names->text);
  names->count++;
  if (names->shown < 12 && used + strlen(one) + 40 < sizeof names->text) {
    snprintf(names->text + used, sizeof names->text - used, "%s%s", used ? ", " : "", one);
    names->shown++;
  }
}

/* Attributes of the root that belong to some runs only. */
static const char *const of_some_runs[] = {"shard", "figure", NULL};

static bool is_one_of(const char *name, const char *const *list) {
  for (; *list; list++)
    if (strcmp(name, *list) == 0) return true;
  return false;
}

/* ---- Attributes */

/* What ties variables to dimensions: the layout's for ours, made again for those of users. */
static const char *const structure[] = {"CLASS",         "NAME",          "DIMENSION_LIST",      "REFERENCE_LIST",
                                        "_Netcdf4Dimid", "_NCProperties", "_Netcdf4Coordinates", NULL};
/* Words about the content that a user may put better, and that no run changes again. */
static const char *const words_of_root[] = {"title", "Conventions", "references", NULL};
static const char *const words_of_variable[] = {"units", "long_name", NULL};

static bool has_references(hid_t type) {
  H5T_class_t class = H5Tget_class(type);
  if (class != H5T_VLEN && class != H5T_ARRAY) return H5Tdetect_class(type, H5T_REFERENCE) > 0;
  MNO_CLOSING hid_t super = H5Tget_super(type);
  return super >= 0 && has_references(super);
}

static bool copy_attribute(hid_t from, hid_t to, const char *name) {
  MNO_CLOSING hid_t attribute = H5Aopen(from, name, H5P_DEFAULT);
  if (attribute < 0) return false;
  MNO_CLOSING hid_t stored = H5Aget_type(attribute), space = H5Aget_space(attribute);
  MNO_CLOSING hid_t type = stored < 0 ? H5I_INVALID_HID : H5Tcopy(stored); /* a named type becomes a plain one */
  hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
  if (type < 0 || count < 0 || has_references(type)) return false;
  MNO_CLOSING hid_t create = H5Pcreate(H5P_ATTRIBUTE_CREATE);
  H5A_info_t info;
  if (H5Aget_info(attribute, &info) >= 0) H5Pset_char_encoding(create, info.cset);
  char *value = calloc((size_t)count + 1, H5Tget_size(type));
  bool ok = value && (count == 0 || H5Aread(attribute, type, value) >= 0);
  MNO_CLOSING hid_t made = ok ? H5Acreate2(to, name, type, space, create, H5P_DEFAULT) : H5I_INVALID_HID;
  ok = made >= 0 && (count == 0 || H5Awrite(made, type, value) >= 0);
  if (value && count > 0) H5Dvlen_reclaim(type, space, H5P_DEFAULT, value);
  free(value);
  return ok;
}

/* Is the text of an attribute of ours another one in the file that is read? Then it is the user's. */
static void keep_words(walk *w, hid_t from, hid_t to, const char *name) {
  char *old = mno_h5_read_text(from, name), *now = mno_h5_read_text(to, name);
  if (w->task == COPY && old && now && strcmp(old, now) != 0) mno_h5_text(to, name, old);
  free(old);
  free(now);
}

static void take_attributes(walk *w, hid_t from, hid_t to, const char *where, const char *const *words) {
  char name[256];
  int count = H5Aget_num_attrs(from);
  for (int i = 0; i < count; i++) {
    if (H5Aget_name_by_idx(from, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)i, name, sizeof name, H5P_DEFAULT) < 0) continue;
    if (is_one_of(name, structure) || (w->task == LIST && strcmp(name, "_FillValue") == 0)) continue; /* xarray's */
    if (!*where && is_one_of(name, of_some_runs)) continue;
    if (H5Aexists(to, name) > 0) {
      if (words && is_one_of(name, words)) keep_words(w, from, to, name);
    } else if (w->task == LIST || (w->task == COPY && !copy_attribute(from, to, name))) {
      name_it(w, "attribute %s of %s", name, *where ? where : "/");
    }
  }
}

/* ---- Which object of the layout is it? */

static bool number_of(const char *name, size_t *number) {
  if (!isdigit((unsigned char)*name)) return false;
  char *end;
  *number = strtoull(name, &end, 10);
  return *end == 0;
}

static bool is_limit(const char *name) {
  for (int kind = 0; kind < MNO_LIMIT_KINDS; kind++)
    if (strcmp(mno_limit_group_name((mno_limit_kind)kind), name) == 0) return true;
  return false;
}

/* Is it a group of the layout with things of the layout in it? Users' groups may hold themselves, by links. */
static bool has_members(const walk *w, int depth, const char *name) {
  size_t number;
  for (size_t p = 0; depth == 0 && p < w->result->problem_count; p++)
    if (strcmp(w->result->problems[p].name, name) == 0) return true;
  return (depth == 1 && (strcmp(name, "weights") == 0 || is_limit(name))) || (depth == 2 && number_of(name, &number));
}

/* Is it a name of the layout, though perhaps not one that this plan makes? */
static bool in_layout(const walk *w, int depth, const char *name) {
  static const char *const others[] = {"instance",  "run",    "input",   "draw_width", "draw_offset",
                                       "draw_sign", "config", "weights", "id",         NULL};
  for (mno_dimension d = MNO_DIMENSION_NONE + 1; d < MNO_DIMENSIONS; d++)
    if (strcmp(mno_dimension_name(d), name) == 0) return true;
  size_t blocks;
  const mno_block *const *block = mno_blocks(&blocks);
  for (size_t b = 0; b < blocks; b++) {
    mno_record_field field[MNO_RECORD_FIELDS_MOST];
    const size_t count = mno_record_fields(block[b], field);
    for (size_t i = 0; i < count; i++)
      if (strcmp(field[i].name, name) == 0) return true;
  }
  return is_one_of(name, others) || is_limit(name) || has_members(w, depth, name);
}

/* The name that a member of a group has in the other file; false: it has no place in the plan. depth: 0 in the root, 1 in a
 * problem, 2 in its weights. */
static bool name_now(const walk *w, int depth, const char *name, char *now, size_t size) {
  size_t place;
  snprintf(now, size, "%s", name);
  for (size_t p = 0; depth == 0 && p < w->result->problem_count; p++) {
    if (strcmp(w->result->problems[p].name, name) != 0) continue;
    place = mno_problem_find(w->plan, w->result->problems[p].id);
    if (place != SIZE_MAX) mno_problem_name(place, now);
    return place != SIZE_MAX;
  }
  if (depth != 2 || !number_of(name, &place)) return true;
  place = place < w->result->instance_count ? w->now[place] : SIZE_MAX;
  snprintf(now, size, "%zu", place);
  return place != SIZE_MAX;
}

static char *path_now(const walk *w, const char *path) {
  char first[256], now[256], *made = NULL;
  const char *rest = strchr(path + 1, '/');
  snprintf(first, sizeof first, "%.*s", (int)(rest ? rest - path - 1 : (long)strlen(path + 1)), path + 1);
  if (*path != '/' || !name_now(w, 0, first, now, sizeof now)) return NULL;
  return asprintf(&made, "/%s%s", now, rest ? rest : "") < 0 ? NULL : made;
}

static const char *known_name(const walk *w, haddr_t address) {
  for (size_t i = 0; i < w->known.count; i++)
    if (w->known.object[i].address == address) return w->known.object[i].to;
  return NULL;
}

/* ---- Copying what the layout does not have */

typedef struct visit {
  walk *w;
  const char *from, *to;
} visit;

/* Copying makes references to objects empty. */
static void name_references(walk *w, hid_t group, const char *name, const char *path) {
  MNO_CLOSING hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
  MNO_CLOSING hid_t type = dataset < 0 ? H5I_INVALID_HID : H5Dget_type(dataset);
  if (type >= 0 && has_references(type)) name_it(w, "references in %s", path);
}

static herr_t note_dataset(hid_t object, const char *name, const H5O_info_t *info, void *data) {
  visit *v = data;
  char *from = NULL, *to = NULL;
  bool self = strcmp(name, ".") == 0;
  if (info->type == H5O_TYPE_DATASET && asprintf(&from, "%s%s%s", v->from, self ? "" : "/", self ? "" : name) >= 0) {
    name_references(v->w, object, name, from);
    if (asprintf(&to, "%s%s%s", v->to, self ? "" : "/", self ? "" : name) >= 0) add(&v->w->added, info->addr, from, to);
    free(to);
  }
  free(from);
  return 0;
}

static bool copy_link(hid_t from, hid_t to, const char *name, const H5L_info_t *link, hid_t create) {
  char *value = malloc(link->u.val_size + 1);
  bool ok = value && H5Lget_val(from, name, value, link->u.val_size, H5P_DEFAULT) >= 0;
  if (ok && link->type == H5L_TYPE_SOFT) {
    value[link->u.val_size] = 0;
    ok = H5Lcreate_soft(value, to, name, create, H5P_DEFAULT) >= 0;
  } else if (ok) {
    const char *file, *object;
    ok = link->type == H5L_TYPE_EXTERNAL && H5Lunpack_elink_val(value, link->u.val_size, NULL, &file, &object) >= 0 &&
         H5Lcreate_external(file, object, to, name, create, H5P_DEFAULT) >= 0;
  }
  free(value);
  return ok;
}

static bool copy_object(walk *w, hid_t from, hid_t to, const char *name, const char *from_path, const char *to_path) {
  H5L_info_t link;
  if (H5Lget_info(from, name, &link, H5P_DEFAULT) < 0) return false;
  MNO_CLOSING hid_t create = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_char_encoding(create, link.cset);
  if (link.type != H5L_TYPE_HARD) return copy_link(from, to, name, &link, create);
  const char *ours = known_name(w, link.u.address);
  if (ours) return H5Lcreate_hard(w->to, ours, to, name, create, H5P_DEFAULT) >= 0;
  if (H5Ocopy(from, name, to, name, H5P_DEFAULT, create) < 0) return false;
  visit v = {w, from_path, to_path};
  H5Ovisit_by_name(from, name, H5_INDEX_NAME, H5_ITER_NATIVE, note_dataset, &v, H5P_DEFAULT);
  return true;
}

/* ---- The walk over the groups of the layout */

static int type_of(hid_t group, const char *name) {
  H5O_info_t info;
  return H5Oget_info_by_name(group, name, &info, H5P_DEFAULT) < 0 ? -1 : (int)info.type;
}

static double *numbers_of(hid_t dataset, size_t *count) {
  MNO_CLOSING hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
  H5T_class_t class = H5Tget_class(type);
  hssize_t n = H5Sget_simple_extent_npoints(space);
  if ((class != H5T_FLOAT && class != H5T_INTEGER) || n < 1) return NULL;
  *count = (size_t)n;
  double *value = mno_alloc(*count, sizeof *value);
  if (value && H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0) return value;
  free(value);
  return NULL;
}

static bool is_data(const walk *w, const char *name) {
  for (size_t i = 0; i < MNO_PROBLEM_ARRAYS; i++)
    if (strcmp(mno_problem_array_of(&w->plan->problem[0], i).name, name) == 0) return true;
  return false;
}

/* The data of a problem come from the configuration, whatever somebody has written there. */
static void compare_data(walk *w, hid_t old, hid_t new, const char *path) {
  size_t n = 0, m = 0;
  double *was = numbers_of(old, &n), *is = numbers_of(new, &m);
  if (was && is && (n != m || memcmp(was, is, n * sizeof *was) != 0)) name_it(w, "changed values of %s", path);
  free(was);
  free(is);
}

/* So do the columns that say what a row is. */
static void compare_rows(walk *w) {
  const mno_result *r = w->result;
  const char *changed = NULL;
  for (size_t i = 0; i < r->instance_count && !changed; i++) {
    if (w->now[i] == SIZE_MAX) continue;
    const mno_instance *instance = &w->plan->instance[w->now[i]];
    const mno_problem *problem = &w->plan->problem[instance->problem];
    if (r->L[i] != instance->L) changed = "/L";
    if (r->M[i] != instance->M) changed = "/M";
    if (r->D[i] != (int64_t)problem->D) changed = "/D";
    if (r->alpha[i] != problem->alpha) changed = "/alpha";
    if (r->seed[i] != instance->seed) changed = "/seed";
  }
  if (changed) name_it(w, "changed values of %s", changed);
}

static void walk_group(walk *w, hid_t from, hid_t to, const char *from_path, const char *to_path, int depth);

static void walk_ours(walk *w, hid_t from, hid_t to, const char *name, const char *now, const char *from_path,
                      const char *to_path, int depth) {
  int type = type_of(from, name);
  if (type < 0) return;
  if (type != type_of(to, now)) {
    if (w->task != LEARN) name_it(w, "%s", from_path);
    return;
  }
  MNO_CLOSING hid_t old = H5Oopen(from, name, H5P_DEFAULT), new = H5Oopen(to, now, H5P_DEFAULT);
  if (old < 0 || new < 0) return;
  H5O_info_t info;
  if (w->task == LEARN && H5Oget_info(old, &info) >= 0) add(&w->known, info.addr, from_path, to_path);
  if (type == H5O_TYPE_GROUP && has_members(w, depth, name))
    walk_group(w, old, new, from_path, to_path, depth < 2 && !is_limit(name) ? depth + 1 : 3);
  else if (w->task != LEARN && (type == H5O_TYPE_GROUP || type == H5O_TYPE_DATASET))
    take_attributes(w, old, new, from_path, type == H5O_TYPE_DATASET ? words_of_variable : NULL);
  if (type == H5O_TYPE_DATASET && depth == 1 && w->task == COPY && is_data(w, name)) compare_data(w, old, new, from_path);
}

static void walk_member(walk *w, hid_t from, hid_t to, const char *name, const char *from_path, const char *to_path,
                        int depth) {
  char now[256], *old_path = NULL, *new_path = NULL;
  size_t row;
  bool has_place = name_now(w, depth, name, now, sizeof now);
  if (asprintf(&old_path, "%s/%s", from_path, name) < 0) return;
  if (asprintf(&new_path, "%s/%s", to_path, now) < 0) new_path = NULL;
  if (new_path && has_place && H5Lexists(to, now, H5P_DEFAULT) > 0)
    walk_ours(w, from, to, name, now, old_path, new_path, depth);
  else if (w->task != LEARN && !(w->task == LIST ? in_layout(w, depth, name) : depth == 2 && number_of(name, &row)) &&
           (w->task == LIST || !has_place || !new_path || !copy_object(w, from, to, name, old_path, new_path)))
    name_it(w, "%s", old_path);
  free(old_path);
  free(new_path);
}

static void walk_group(walk *w, hid_t from, hid_t to, const char *from_path, const char *to_path, int depth) {
  H5G_info_t info;
  if (w->task != LEARN) take_attributes(w, from, to, from_path, depth == 0 ? words_of_root : NULL);
  if (H5Gget_info(from, &info) < 0) return;
  for (hsize_t i = 0; i < info.nlinks; i++) {
    char name[256];
    ssize_t n = H5Lget_name_by_idx(from, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
    if (n > 0 && (size_t)n < sizeof name)
      walk_member(w, from, to, name, from_path, to_path, depth);
    else if (w->task != LEARN)
      name_it(w, "a name of %zd bytes in %s", n, *from_path ? from_path : "/");
  }
}

/* ---- Variables of the user along dimensions */

typedef struct scales {
  walk *w;
  hid_t to;
  char *name; /* in the file that is written, of the last scale seen */
} scales;

static herr_t take_scale(hid_t dataset, unsigned dimension, hid_t scale, void *data) {
  scales *s = data;
  char name[512];
  if (H5Iget_name(scale, name, sizeof name) <= 0) return 0;
  free(s->name);
  s->name = path_now(s->w, name);
  return s->name ? 1 : 0;
}

static size_t length_of(hid_t scale) {
  MNO_CLOSING hid_t space = H5Dget_space(scale);
  hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : 0;
  return n > 0 ? (size_t)n : 0;
}

/* Where the rows along a dimension of ours have gone, SIZE_MAX: nowhere. The dimension is /instance, or /problem_0000/run
 * with the rows of one problem. NULL: none of these. */
static size_t *places_now(const walk *w, const char *scale, size_t count) {
  size_t p = SIZE_MAX, q = SIZE_MAX, old = 0;
  bool run = sscanf(scale, "/problem_%zu/", &p) == 1 && p < w->plan->problem_count;
  size_t *place = run || strcmp(scale, "/instance") == 0 ? mno_alloc(count + 1, sizeof *place) : NULL;
  if (!place) return NULL;
  for (size_t i = 0; run && i < w->result->problem_count; i++)
    if (w->result->problems[i].id == w->plan->problem[p].id) q = i;
  for (size_t i = 0; i < count; i++) place[i] = SIZE_MAX;
  for (size_t i = 0; i < w->result->instance_count && old < count; i++) {
    if (run && w->result->problem[i] != (int64_t)q) continue;
    const size_t row = w->now[i];
    if (row != SIZE_MAX) place[old] = run ? mno_layout_run(w->layout, row) : row;
    old++;
  }
  return place;
}

/* Makes a variable along rows again, with the rows where they are now; rows without a value are zero or empty, in floating
 * point NaN. */
static bool spread(walk *w, hid_t old, const char *path, const char *scale, size_t rows) {
  hsize_t shape[H5S_MAX_RANK];
  MNO_CLOSING hid_t type = H5Dget_type(old), space = H5Dget_space(old), create = H5Dget_create_plist(old);
  int rank = H5Sget_simple_extent_dims(space, shape, NULL);
  size_t before = rank > 0 ? (size_t)shape[0] : 0, width = type >= 0 ? H5Tget_size(type) : 0;
  for (int i = 1; i < rank; i++) width *= (size_t)shape[i];
  if (!before || !width || has_references(type) || H5Tcommitted(type) > 0) return false;
  char *value = mno_alloc(before, width), *spread_out = mno_alloc(rows, width);
  size_t *place = places_now(w, scale, before);
  bool ok = value && spread_out && place && H5Dread(old, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0;
  if (ok && H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) <= 8) memset(spread_out, 0xff, rows * width); /* NaN */
  for (size_t i = 0; ok && i < before; i++)
    if (place[i] < rows) memcpy(spread_out + place[i] * width, value + i * width, width);
  shape[0] = rows;
  if (ok && H5Pget_layout(create) == H5D_CHUNKED) {
    hsize_t chunk[H5S_MAX_RANK];
    H5Pget_chunk(create, rank, chunk);
    for (int i = 0; i < rank; i++) chunk[i] = chunk[i] < shape[i] ? chunk[i] : shape[i];
    H5Pset_chunk(create, rank, chunk);
  }
  MNO_CLOSING hid_t whole = ok ? H5Screate_simple(rank, shape, NULL) : H5I_INVALID_HID;
  ok = ok && H5Ldelete(w->to, path, H5P_DEFAULT) >= 0;
  MNO_CLOSING hid_t made = ok ? H5Dcreate2(w->to, path, type, whole, H5P_DEFAULT, create, H5P_DEFAULT) : H5I_INVALID_HID;
  ok = made >= 0 && H5Dwrite(made, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, spread_out) >= 0;
  if (made >= 0) take_attributes(w, old, made, path, NULL);
  if (ok) H5Dvlen_reclaim(type, space, H5P_DEFAULT, value);
  free(value);
  free(spread_out);
  free(place);
  return ok;
}

/* Copying breaks the ties of a variable to its dimensions; they are made again, by name. */
static void tie(walk *w, const struct object *added) {
  MNO_CLOSING hid_t old = H5Dopen2(w->from, added->from, H5P_DEFAULT), new = H5Dopen2(w->to, added->to, H5P_DEFAULT);
  MNO_CLOSING hid_t space = old >= 0 ? H5Dget_space(old) : H5I_INVALID_HID;
  int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : 0;
  hsize_t shape[H5S_MAX_RANK];
  if (rank > 0) H5Sget_simple_extent_dims(space, shape, NULL);
  static const char *const broken[] = {"DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates"};
  for (size_t i = 0; new >= 0 && i < sizeof broken / sizeof *broken; i++) mno_h5_remove(new, broken[i]);
  for (int i = 0; new >= 0 && i < rank; i++) {
    scales s = {.w = w};
    if (H5DSis_scale(old) > 0 || H5DSget_num_scales(old, (unsigned)i) < 1) continue;
    H5DSiterate_scales(old, (unsigned)i, NULL, take_scale, &s);
    MNO_CLOSING hid_t scale = s.name ? H5Dopen2(w->to, s.name, H5P_DEFAULT) : H5I_INVALID_HID;
    size_t length = scale >= 0 ? length_of(scale) : 0;
    if (length && length != shape[i] && i == 0 && spread(w, old, added->to, s.name, length)) {
      mno_h5_close(&new);
      new = H5Dopen2(w->to, added->to, H5P_DEFAULT);
      shape[0] = length;
    }
    if (new >= 0 && (length != shape[i] || H5DSattach_scale(new, scale, (unsigned)i) < 0))
      name_it(w, "dimension %d of %s", i, added->to);
    free(s.name);
  }
}

/* ---- Public */

static void walk_all(walk *w) {
  mno_names *names = w->names;
  MNO_CLOSING hid_t from = H5Gopen2(w->from, "/", H5P_DEFAULT), to = H5Gopen2(w->to, "/", H5P_DEFAULT);
  if (from >= 0 && to >= 0 && w->task == COPY) {
    H5O_info_t root;
    w->task = LEARN;
    if (H5Oget_info(from, &root) >= 0) add(&w->known, root.addr, "/", "/");
    walk_group(w, from, to, "", "", 0);
    w->task = COPY;
  }
  if (from >= 0 && to >= 0) walk_group(w, from, to, "", "", 0);
  for (size_t i = 0; i < w->added.count; i++) tie(w, &w->added.object[i]);
  if (w->task == COPY) compare_rows(w);
  size_t used = strlen(names->text);
  if (names->shown < names->count)
    snprintf(names->text + used, sizeof names->text - used, ", and %zu more", names->count - names->shown);
}

static void work(const mno_result *from, mno_layout *to, const mno_plan *plan, mno_names *names, bool copy) {
  walk w = {.result = from,
            .from = mno_file_of(from)->file,
            .to = mno_layout_file(to),
            .layout = to,
            .plan = plan,
            .names = names,
            .task = copy ? COPY : LIST};
  mno_error err;
  mno_rows rows = {0};
  *names = (mno_names){0};
  w.now = mno_alloc(from->instance_count, sizeof *w.now);
  if (w.now && mno_rows_of(plan, &rows, &err) == MNO_OK) {
    for (size_t i = 0; i < from->instance_count; i++) w.now[i] = mno_rows_find(&rows, from->id[i]);
    mno_h5_lock();
    walk_all(&w);
    mno_h5_unlock();
  }
  drop(&w.known);
  drop(&w.added);
  free(rows.row);
  free(w.now);
}

void mno_additions_copy(const mno_result *from, mno_layout *to, const mno_plan *plan, mno_names *left) {
  work(from, to, plan, left, true);
}

void mno_additions_list(const mno_result *from, mno_layout *than, const mno_plan *plan, mno_names *names) {
  work(from, than, plan, names, false);
}

void mno_additions_note(const mno_output *in_place, mno_layout *than, const mno_plan *plan, char note[MNO_NOTE_SIZE]) {
  mno_error why;
  mno_result *before = NULL;
  mno_names names = {0};
  if (mno_result_open(in_place->path, &before, &why) == MNO_OK) mno_additions_list(before, than, plan, &names);
  if (names.count) mno_note(note, "%s is made anew, without what was added to it: %s", in_place->shown, names.text);
  mno_result_free(before);
}
