/* SPDX-License-Identifier: BSD-3-Clause */
#include "data/load.h"

#include "config/schema.h"
#include "core/memory.h"

#include <math.h>
#include <stdlib.h>
#include <zlib.h>

enum { SAMPLES = MNO_DIGITS_SAMPLES, PIXELS = MNO_DIGITS_INPUTS, CLASSES = MNO_DIGITS_TARGETS, TEXT = 1 << 19 };

/* data/digits.csv.gz, from digits_csv.c */
extern const unsigned char mno_digits_csv_gz[], mno_digits_csv_gz_end[];

/* Unpacks the table into text [TEXT]; returns its length or 0. */
static size_t unpack(char *text) {
  z_stream stream = {.next_in = (unsigned char *)mno_digits_csv_gz,
                     .avail_in = (unsigned)(mno_digits_csv_gz_end - mno_digits_csv_gz),
                     .next_out = (unsigned char *)text,
                     .avail_out = TEXT - 1};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return 0;
  int end = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  text[stream.total_out] = '\0';
  return end == Z_STREAM_END ? stream.total_out : 0;
}

mno_status mno_data_digits(const mno_sweep *sweep, mno_data *data, mno_error *err) {
  char *text = mno_alloc(TEXT, 1);
  double *pixel = mno_alloc((size_t)SAMPLES * PIXELS, sizeof *pixel);
  size_t N = sweep->data.samples ? (size_t)sweep->data.samples : SAMPLES;
  data->N = N;
  data->d_in = PIXELS;
  data->d_out = CLASSES;
  data->x = mno_alloc(N * PIXELS, sizeof(double));
  data->y = mno_alloc(N * CLASSES, sizeof(double));
  mno_status status = MNO_OK;
  if (!text || !pixel || !data->x || !data->y)
    status = mno_fail_memory(err, (size_t)SAMPLES * PIXELS * sizeof(double), "the digits");
  else if (!unpack(text))
    status = mno_fail(err, MNO_ERR_INTERNAL, "the digits inside this build are damaged; build again");
  if (status == MNO_OK) {
    char *p = text;
    double sum = 0, squares = 0, count = (double)SAMPLES * PIXELS;
    for (size_t i = 0; i < SAMPLES; i++) {
      for (size_t j = 0; j < PIXELS; j++, p++) {
        double v = (double)strtol(p, &p, 10);
        pixel[i * PIXELS + j] = v;
        sum += v;
        squares += v * v;
      }
      size_t class = (size_t)strtol(p, &p, 10);
      if (i < N) data->y[i * CLASSES + class] = 1;
    }
    double mean = sum / count, deviation = sqrt(squares / count - mean * mean);
    for (size_t i = 0; i < N * PIXELS; i++) data->x[i] = (pixel[i] - mean) / deviation;
  }
  free(text);
  free(pixel);
  return status;
}
