/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a data file: what its parts share.
 *
 *   file.c     the datasets x, y, w_embed, w_unembed, and whether they fit each other
 *   kind.c     opening it, or saying what the file is instead
 *   matrix.c   one dataset -> doubles
 *   meaning.c  what attributes, fill values and dimension names say of the numbers
 *   storage.c  whether the numbers are there at all: allocation, filters, files beside it */
#ifndef MNO_DATA_READER_H
#define MNO_DATA_READER_H

#include "core/h5.h"
#include "data/data.h"
#include "meanode/sweep.h"

typedef struct mno_data_reader {
  const mno_sweep *sweep;
  char *path; /* of the data file */
  hid_t file;
  bool columns_first; /* everything in the file is stored so */
  char *note;         /* [MNO_DATA_NOTE] what was interpreted, for a person */
  mno_error *err;
} mno_data_reader;

/* A configuration error at data.path that begins with the data file's name. */
#define MNO_DATA_FAIL(r, format, ...)                                                                                       \
  mno_sweep_fail((r)->sweep, (r)->sweep->data.path_mark, (r)->err, "%s: " format, (r)->path, __VA_ARGS__)

/* Adds to the reader's note; what is there already is not said twice. */
void mno_data_note(const mno_data_reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Text of the file that will be shown: control characters, which could rule a terminal, become "?". */
char *mno_data_printable(char *text);

/* A path as it is written in the file of another path, so relative to that one's folder; NULL when out of memory. free() it.
 */
char *mno_data_beside(const char *path, const char *name);

/* kind.c: opens the path for reading, refusing what is no HDF5 file that can be read now by name. *fd stays open, too. */
mno_status mno_data_examine(mno_data_reader *r, int *fd);

/* file.c: reads the four datasets with HDF5, in this process; what was read is in data, also after a failure. */
mno_status mno_data_read_sets(mno_data_reader *r, mno_data *data);

/* A two-dimensional array of numbers, as its writer meant it. */
typedef struct mno_data_matrix {
  const char *name;  /* of the dataset */
  const char *shape; /* what it should be: "(samples, inputs)" */
  bool there;
  size_t rows, columns;
  double *values;        /* [rows][columns]; NULL unless there */
  char dimension[2][64]; /* names of rows and columns; empty: not known */
} mno_data_matrix;

/* matrix.c: reads at most rows_wanted rows (0: all). A dataset that is missing is an error if required. */
mno_status mno_data_read_matrix(const mno_data_reader *r, mno_data_matrix *matrix, bool required, size_t rows_wanted);

/* meaning.c */

enum { MNO_DATA_MISSING = 64 };

/* What the attributes of a dataset say of its numbers. */
typedef struct mno_data_meaning {
  bool transposed;      /* the writer stores columns first */
  bool packed;          /* value = scale * number + offset */
  double scale, offset; /* 1 and 0 unless packed */
  double wrap;          /* added to negative numbers: _Unsigned; 0: nothing */
  double sign_wrap;     /* subtracted from numbers of at least half of it: _Unsigned = false; 0: nothing */
  size_t missing_count; /* numbers that stand for "missing" */
  double missing[MNO_DATA_MISSING];
  bool missing_unpacked[MNO_DATA_MISSING];  /* may be a value instead of a stored number */
  const char *missing_by[MNO_DATA_MISSING]; /* the attribute that says so */
  double least, most;                       /* valid range */
  const char *least_by, *most_by;           /* NULL: no bound */
  bool range_unpacked;                      /* the range is one of values, not of stored numbers */
} mno_data_meaning;

mno_status mno_data_read_meaning(const mno_data_reader *r, const char *name, hid_t set, hid_t type,
                                 mno_data_meaning *meaning);

/* Refuses numbers that are missing or outside the valid range, unpacks the rest in place. */
mno_status mno_data_apply_meaning(const mno_data_reader *r, const mno_data_meaning *meaning, mno_data_matrix *matrix);

/* Names of the two dimensions, empty where there are none. */
void mno_data_dimensions(hid_t set, char dimension[2][64]);

/* Do the names of the dimensions contradict the order (samples, inputs)? Matrices that are not there are skipped. */
mno_status mno_data_check_dimensions(const mno_data_reader *r, const mno_data_matrix *x, const mno_data_matrix *y,
                                     const mno_data_matrix *w_embed, const mno_data_matrix *w_unembed);

/* A text attribute, or NULL; free() it. */
char *mno_data_text(hid_t object, const char *name);

/* storage.c: are the first `needed` entries along each dimension on the disk, and can they be read by this HDF5? */
mno_status mno_data_check_storage(const mno_data_reader *r, const char *name, hid_t set, const hsize_t needed[2]);

/* A link that leads nowhere or to what is no file, in words; false if it leads somewhere. */
bool mno_data_dangling(const mno_data_reader *r, const char *name, char *text, size_t size);

#endif
