/* SPDX-License-Identifier: BSD-3-Clause */
/* Are the numbers of a dataset there? HDF5 reads fill values where nothing was written, where a file beside it is missing or
 * where a virtual dataset has no source, and says nothing. */
#define _GNU_SOURCE
#include "data/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEEPEST = 4 }; /* virtual datasets of virtual datasets */

static mno_status check(const mno_data_reader *r, const char *name, hid_t file, hid_t set, const hsize_t *needed, int depth);

/* ---- Filters */

static const char *filter_name(H5Z_filter_t id) {
  switch (id) {
  case H5Z_FILTER_SZIP: return "szip";
  case 305: return "LZO (PyTables)";
  case 307: return "bzip2";
  case 32000: return "LZF (h5py)";
  case 32001: return "Blosc";
  case 32004: return "LZ4";
  case 32008: return "bitshuffle";
  case 32013: return "ZFP";
  case 32015: return "Zstandard";
  case 32017: return "SZ";
  case 32026: return "Blosc2";
  default: return NULL;
  }
}

static mno_status check_filters(const mno_data_reader *r, const char *name, hid_t create) {
  for (int i = 0; i < H5Pget_nfilters(create); i++) {
    unsigned flags, configuration = 0;
    size_t values = 0;
    char given[64] = "";
    H5Z_filter_t id = H5Pget_filter2(create, (unsigned)i, &flags, &values, NULL, sizeof given, given, NULL);
    if (id < 0 || (H5Zfilter_avail(id) > 0 && H5Zget_filter_info(id, &configuration) >= 0 &&
                   configuration & H5Z_FILTER_CONFIG_DECODE_ENABLED))
      continue;
    given[sizeof given - 1] = 0;
    mno_data_printable(given);
    const char *known = filter_name(id);
    return MNO_DATA_FAIL(r,
                         "dataset \"%s\" is compressed with %s (filter %d), which this HDF5 cannot unpack; write it with "
                         "compression=\"gzip\", or convert it where the filter is installed: h5repack -f GZIP=6 OLD NEW",
                         name,
                         known    ? known
                         : *given ? given
                                  : "an unknown filter",
                         (int)id);
  }
  return MNO_OK;
}

/* ---- Chunks */

static mno_status unwritten(const mno_data_reader *r, const char *name, const hsize_t *at) {
  if (!at) return MNO_DATA_FAIL(r, "dataset \"%s\" was created, but never written", name);
  return MNO_DATA_FAIL(
      r,
      "dataset \"%s\" was created, but never fully written: nothing is stored from row %llu, column %llu on "
      "(counted as the file has them)",
      name, at[0], at[1]);
}

static mno_status check_chunks(const mno_data_reader *r, const char *name, hid_t set, hid_t create, int rank,
                               const hsize_t *needed) {
  hsize_t chunk[H5S_MAX_RANK], count = 0;
  if (rank != 2 || H5Pget_chunk(create, rank, chunk) != rank) return MNO_OK;
  hid_t space = H5Dget_space(set);
  hsize_t shape[2], all = 1;
  H5Sget_simple_extent_dims(space, shape, NULL);
  for (int i = 0; i < 2; i++) all *= (shape[i] + chunk[i] - 1) / chunk[i];
  bool complete = H5Dget_num_chunks(set, space, &count) >= 0 && count == all;
  H5Sclose(space);
  for (hsize_t i = 0; !complete && i < needed[0]; i += chunk[0])
    for (hsize_t j = 0; j < needed[1]; j += chunk[1]) {
      hsize_t at[2] = {i, j}, size;
      unsigned mask;
      haddr_t where = HADDR_UNDEF;
      if (H5Dget_chunk_info_by_coord(set, at, &mask, &where, &size) < 0)
        return MNO_DATA_FAIL(r, "dataset \"%s\" cannot be read; is the file damaged?", name);
      if (where == HADDR_UNDEF) return unwritten(r, name, i || j ? at : NULL);
    }
  return MNO_OK;
}

/* ---- Numbers in other files */

static bool regular(const char *path, off_t *size) {
  struct stat about;
  if (stat(path, &about) != 0 || !S_ISREG(about.st_mode)) return false;
  *size = about.st_size;
  return true;
}

/* The name behind the prefix that an environment variable of HDF5 gives; NULL if it is not set. */
static char *prefixed(const char *path, const char *variable, const char *name) {
  static const char origin[] = "${ORIGIN}";
  const char *prefix = getenv(variable), *slash = strrchr(path, '/');
  char *full = NULL;
  if (!prefix || !*prefix || *name == '/') return NULL;
  bool relative = strncmp(prefix, origin, sizeof origin - 1) == 0;
  if (relative) prefix += sizeof origin - 1;
  int n = asprintf(&full, "%.*s%s%s/%s", relative && slash ? (int)(slash - path) : 0, path, relative && !slash ? "." : "",
                   prefix, name);
  return n < 0 ? NULL : full;
}

/* Numbers in plain files: HDF5 looks for them from the working folder, and reads zeros past their end. */
static mno_status check_external(const mno_data_reader *r, const char *name, hid_t create, int count) {
  for (int i = 0; i < count; i++) {
    char file[1024] = "";
    off_t offset = 0, size;
    hsize_t bytes = 0;
    if (H5Pget_external(create, (unsigned)i, sizeof file - 1, file, &offset, &bytes) < 0) return MNO_OK;
    char *elsewhere = prefixed(r->path, "HDF5_EXTFILE_PREFIX", file);
    bool there = regular(elsewhere ? elsewhere : file, &size);
    free(elsewhere);
    if (!there)
      return MNO_DATA_FAIL(
          r,
          "the numbers of dataset \"%s\" are in another file, %s, which is not there (it is looked for from "
          "the working folder); put them into the file itself: h5repack OLD NEW where both are",
          name, mno_data_printable(file));
    if (bytes != H5F_UNLIMITED && (hsize_t)size < (hsize_t)offset + bytes)
      return MNO_DATA_FAIL(r, "the numbers of dataset \"%s\" are in another file, %s, which is too short", name,
                           mno_data_printable(file));
  }
  return MNO_OK;
}

/* Where a virtual dataset takes a part from: is it there, and as large as the part? */
static mno_status check_source(const mno_data_reader *r, const char *name, hid_t file, char *where, char *from, hid_t part,
                               hssize_t points, int depth) {
  off_t size;
  hid_t source = file, set = H5I_INVALID_HID;
  if (strcmp(where, ".") != 0) {
    char *path = mno_data_beside(r->path, where), *elsewhere = prefixed(r->path, "HDF5_VDS_PREFIX", where);
    if (!path) {
      free(elsewhere);
      return mno_fail(r->err, MNO_ERR_MEMORY, "out of memory for a path");
    }
    const char *found = elsewhere && regular(elsewhere, &size) ? elsewhere
                        : regular(path, &size)                 ? path
                        : regular(where, &size)                ? where
                                                               : NULL;
    source = found ? mno_h5_open(found, H5F_ACC_RDONLY) : H5I_INVALID_HID;
    free(elsewhere);
    free(path);
    if (source < 0)
      return MNO_DATA_FAIL(r, "the virtual dataset \"%s\" takes numbers from %s, which %s", name, mno_data_printable(where),
                           found ? "cannot be opened" : "is not there");
  }
  mno_data_printable(where);
  mno_status status = MNO_OK;
  hsize_t low[H5S_MAX_RANK], high[H5S_MAX_RANK], shape[H5S_MAX_RANK];
  if (H5Lexists(source, from, H5P_DEFAULT) > 0) set = H5Dopen2(source, from, H5P_DEFAULT);
  mno_data_printable(from);
  if (set < 0) {
    status = MNO_DATA_FAIL(r, "the virtual dataset \"%s\" takes numbers from \"%s\" of %s, which is not there", name, from,
                           strcmp(where, ".") ? where : "the same file");
  } else {
    hid_t space = H5Dget_space(set);
    int rank = H5Sget_simple_extent_ndims(space);
    bool fits = H5Sget_simple_extent_dims(space, shape, NULL) >= 0;
    if (H5Sget_select_type(part) == H5S_SEL_ALL) /* such a part has no extent of its own */
      fits = fits && H5Sget_simple_extent_npoints(space) >= points;
    else
      fits = fits && rank == H5Sget_simple_extent_ndims(part) && H5Sget_select_bounds(part, low, high) >= 0;
    for (int i = 0; fits && H5Sget_select_type(part) != H5S_SEL_ALL && i < rank; i++) fits = high[i] < shape[i];
    H5Sclose(space);
    if (!fits)
      status = MNO_DATA_FAIL(r, "the virtual dataset \"%s\" takes more from \"%s\" of %s than there is", name, from, where);
    if (status == MNO_OK && fits) status = check(r, name, source, set, shape, depth + 1);
    H5Dclose(set);
  }
  if (source != file) H5Fclose(source);
  return status;
}

static mno_status check_virtual(const mno_data_reader *r, const char *name, hid_t file, hid_t set, hid_t create, int depth) {
  size_t count = 0;
  hssize_t mapped = 0;
  if (H5Pget_virtual_count(create, &count) < 0 || depth > DEEPEST)
    return MNO_DATA_FAIL(r, "the virtual dataset \"%s\" cannot be followed to its sources", name);
  for (size_t i = 0; i < count; i++) {
    char where[1024] = "", from[1024] = "";
    H5Pget_virtual_filename(create, i, where, sizeof where);
    H5Pget_virtual_dsetname(create, i, from, sizeof from);
    hid_t part = H5Pget_virtual_srcspace(create, i), place = H5Pget_virtual_vspace(create, i);
    hssize_t points = place < 0 ? -1 : H5Sget_select_npoints(place);
    if (points > 0) mapped += points;
    mno_status status = MNO_OK;
    if (part < 0 || points < 0 || strchr(where, '%') || strchr(from, '%'))
      status = MNO_DATA_FAIL(r,
                             "the virtual dataset \"%s\" has no fixed sources; make a plain one of it: h5repack OLD NEW, or "
                             "with h5py",
                             name);
    else
      status = check_source(r, name, file, where, from, part, points, depth);
    if (part >= 0) H5Sclose(part);
    if (place >= 0) H5Sclose(place);
    if (status != MNO_OK) return status;
  }
  hid_t space = H5Dget_space(set);
  hssize_t all = H5Sget_simple_extent_npoints(space);
  H5Sclose(space);
  if (mapped < all)
    return MNO_DATA_FAIL(r, "the virtual dataset \"%s\" has sources for %lld of its %lld numbers only", name,
                         (long long)mapped, (long long)all);
  return MNO_OK;
}

/* ---- Together */

static mno_status check(const mno_data_reader *r, const char *name, hid_t file, hid_t set, const hsize_t *needed,
                        int depth) {
  hid_t create = H5Dget_create_plist(set), space = H5Dget_space(set);
  if (create < 0 || space < 0) return MNO_DATA_FAIL(r, "dataset \"%s\" cannot be read; is the file damaged?", name);
  int rank = H5Sget_simple_extent_ndims(space), external = H5Pget_external_count(create);
  H5Sclose(space);
  mno_status status = MNO_OK;
  switch (H5Pget_layout(create)) {
  case H5D_CONTIGUOUS:
    if (external > 0)
      status = check_external(r, name, create, external);
    else if (H5Dget_storage_size(set) == 0 || H5Dget_offset(set) == HADDR_UNDEF)
      status = unwritten(r, name, NULL);
    break;
  case H5D_CHUNKED:
    status = check_filters(r, name, create);
    if (status == MNO_OK) status = check_chunks(r, name, set, create, rank, needed);
    break;
  case H5D_VIRTUAL: status = check_virtual(r, name, file, set, create, depth); break;
  default: break;
  }
  H5Pclose(create);
  return status;
}

mno_status mno_data_check_storage(const mno_data_reader *r, const char *name, hid_t set, const hsize_t needed[2]) {
  return check(r, name, r->file, set, needed, 0);
}

/* Opening a pipe or a device would wait for ever. */
static bool is_no_file(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && !S_ISREG(about.st_mode);
}

static bool leads_to_no_file(const mno_data_reader *r, const char *path) {
  char *full = mno_data_beside(r->path, path);
  bool no_file = is_no_file(path) || (full && is_no_file(full));
  free(full);
  return no_file;
}

bool mno_data_dangling(const mno_data_reader *r, const char *name, char *text, size_t size) {
  H5L_info_t link;
  char value[1024] = "";
  const char *path = NULL, *object = NULL;
  if (H5Lget_info(r->file, name, &link, H5P_DEFAULT) < 0 || link.type == H5L_TYPE_HARD) return false;
  bool known = link.u.val_size < sizeof value && H5Lget_val(r->file, name, value, sizeof value, H5P_DEFAULT) >= 0;
  bool external =
      known && link.type == H5L_TYPE_EXTERNAL && H5Lunpack_elink_val(value, link.u.val_size, NULL, &path, &object) >= 0;
  if (!(external && leads_to_no_file(r, path)) && H5Oexists_by_name(r->file, name, H5P_DEFAULT) > 0) return false;
  if (external)
    snprintf(text, size, "\"%s\" of the file %s", object, path);
  else
    snprintf(text, size, "\"%s\"", known && link.type == H5L_TYPE_SOFT ? value : "something");
  mno_data_printable(text);
  return true;
}
