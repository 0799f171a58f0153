/* SPDX-License-Identifier: BSD-3-Clause */
/* Fits as JSON for scripts and as a table for people. */
#include "meanode/fit.h"

#include "core/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where each estimate is, and what it is called; the table has the constants first, then the exponents it has room for. */
static const struct {
  const char *name, *heading;
  size_t offset;
  int digits, block;
} columns[] = {
    {"a", "a (depth bias)", offsetof(mno_fit, a), 4, 0},
    {"b", "b (fluctuation)", offsetof(mno_fit, b), 3, 0},
    {"c", "c (width bias)", offsetof(mno_fit, c), 3, 0},
    {"slope_fluctuation", "fluctuation in L M", offsetof(mno_fit, slope_fluctuation), 3, 1},
    {"slope_fluctuation_L", NULL, offsetof(mno_fit, slope_fluctuation_L), 3, 1},
    {"slope_fluctuation_M", NULL, offsetof(mno_fit, slope_fluctuation_M), 3, 1},
    {"slope_bias", "depth bias in L", offsetof(mno_fit, slope_bias), 3, 1},
    {"slope_bias_M", "depth bias in M", offsetof(mno_fit, slope_bias_M), 3, 1},
};
enum { COLUMNS = sizeof columns / sizeof *columns, BLOCKS = 2, CELL = 64, WIDTH = 28 };

static const mno_estimate *estimate_of(const mno_fit *fit, size_t column) {
  return (const mno_estimate *)(const void *)((const char *)fit + columns[column].offset);
}

static void put_string(FILE *out, const char *text) {
  fputc('"', out);
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') fputc('\\', out);
    if ((unsigned char)*text < 0x20)
      fprintf(out, "\\u%04x", *text);
    else
      fputc(*text, out);
  }
  fputc('"', out);
}

static void put_number(FILE *out, const char *before, double value) {
  fputs(before, out);
  if (isfinite(value))
    fprintf(out, "%.10g", value);
  else
    fputs("null", out);
}

static void put_estimate(FILE *out, const mno_estimate *e) {
  put_number(out, "{\"value\": ", e->value);
  put_number(out, ", \"low\": ", e->low);
  put_number(out, ", \"high\": ", e->high);
  if (e->method[0] && isfinite(e->value)) {
    fputs(", \"method\": ", out);
    put_string(out, e->method);
  }
  if (e->warning[0]) {
    fputs(", \"warning\": ", out);
    put_string(out, e->warning);
  }
  fputc('}', out);
}

static mno_status finish(FILE *out, char **text, mno_error *err) {
  if (!out || fclose(out) != 0) return mno_fail_memory(err, 0, "the text of the fits");
  return MNO_OK;
}

mno_status mno_fits_json(const mno_result *result, const mno_fits *fits, char **text, mno_error *err) {
  size_t size;
  FILE *out = open_memstream(text, &size);
  if (!out) return finish(out, text, err);
  fputs("{\"problems\": [", out);
  for (size_t p = 0; p < result->problem_count; p++) {
    const mno_result_problem *problem = &result->problems[p];
    fputs(p ? ",\n  {" : "\n  {", out);
    fputs("\"problem\": ", out);
    put_string(out, problem->name);
    fprintf(out, ", \"D\": %zu, \"alpha\": %.17g, ", problem->D, problem->alpha);
    if (problem->data_seed >= 0) fprintf(out, "\"data_seed\": %" PRId64 ", ", problem->data_seed);
    fputs("\"fits\": [", out);
    int first = 1;
    for (size_t i = 0; i < fits->count; i++) {
      const mno_fit *fit = &fits->fit[i];
      if (fit->problem != p) continue;
      fprintf(out, "%s\n    {\"step\": %" PRId64 ", \"quantity\": \"%s\"", first ? "" : ",", fit->step,
              mno_quantity_name(fit->quantity));
      for (size_t c = 0; c < COLUMNS; c++) {
        fprintf(out, ",\n     \"%s\": ", columns[c].name);
        put_estimate(out, estimate_of(fit, c));
      }
      fputc('}', out);
      first = 0;
    }
    fputs("]}", out);
  }
  fputs("\n]}\n", out);
  return finish(out, text, err);
}

/* "0.0525 [0.0511, 0.0539]", or the value alone if it has no statistical error; numbers that so many decimals would cut to
 * nothing, or that have many before the point, as 5.25e-09. */
static void write_cell(char *cell, const mno_estimate *e, int digits) {
  bool exact = isnan(e->low) && isnan(e->high);
  double most = exact ? fabs(e->value) : fmax(fabs(e->low), fabs(e->high));
  bool plain = most < 1e6 && (most == 0 || most >= 10 * pow(10, -digits));
  if (!isfinite(e->value))
    snprintf(cell, CELL, "none");
  else if (exact)
    snprintf(cell, CELL, plain ? "%.*f" : "%.*g", digits, e->value);
  else
    snprintf(cell, CELL, plain ? "%.*f [%.*f, %.*f]" : "%.*g [%.*g, %.*g]", digits, e->value, digits, e->low, digits,
             e->high);
}

/* Notes are numbered in order of appearance; the same text is one note. */
typedef struct notes {
  const char **text;
  size_t count;
} notes;

static size_t note_number(notes *n, const char *text) {
  size_t i = 0;
  while (i < n->count && strcmp(n->text[i], text) != 0) i++;
  if (i == n->count) n->text[n->count++] = text;
  return i + 1;
}

static void put_block(FILE *out, const mno_fits *fits, size_t problem, int block, notes *n) {
  fprintf(out, "%4s  %-9s", "step", block == 0 ? "constants" : "exponents");
  for (size_t c = 0; c < COLUMNS; c++)
    if (columns[c].heading && columns[c].block == block) fprintf(out, "  %-*s", WIDTH, columns[c].heading);
  fputc('\n', out);
  for (size_t i = 0; i < fits->count; i++) {
    const mno_fit *fit = &fits->fit[i];
    if (fit->problem != problem) continue;
    fprintf(out, "%4" PRId64 "  %-9s", fit->step, mno_quantity_name(fit->quantity));
    for (size_t c = 0; c < COLUMNS; c++) {
      if (!columns[c].heading || columns[c].block != block) continue;
      const mno_estimate *e = estimate_of(fit, c);
      char cell[CELL];
      write_cell(cell, e, columns[c].digits);
      size_t used = strlen(cell);
      if (e->warning[0]) snprintf(cell + used, sizeof cell - used, " (%zu)", note_number(n, e->warning));
      fprintf(out, "  %-*s", WIDTH, cell);
    }
    fputc('\n', out);
  }
}

mno_status mno_fits_table(const mno_result *result, const mno_fits *fits, char **text, mno_error *err) {
  size_t size;
  notes n = {mno_alloc(fits->count * COLUMNS + 1, sizeof *n.text), 0};
  FILE *out = n.text ? open_memstream(text, &size) : NULL;
  if (!out) {
    free(n.text);
    return finish(out, text, err);
  }
  for (size_t p = 0; p < result->problem_count; p++) {
    const mno_result_problem *problem = &result->problems[p];
    fprintf(out, "%s: D = %zu, alpha = %g, ", problem->name, problem->D, problem->alpha);
    if (problem->data_seed >= 0) fprintf(out, "data.seed = %" PRId64 ", ", problem->data_seed);
    fprintf(out, "N = %zu, %zu runs\n", problem->N, problem->run_count);
    for (int block = 0; block < BLOCKS; block++) put_block(out, fits, p, block, &n);
    fputc('\n', out);
  }
  fputs("Mean error A/L + C/(L M), standard deviation over seeds b/sqrt(L M); a = RMS of A, c = RMS of C over samples and\n"
        "coordinates; 95% intervals in brackets.\n",
        out);
  for (size_t i = 0; i < n.count; i++) fprintf(out, "(%zu) %s\n", i + 1, n.text[i]);
  free(n.text);
  return finish(out, text, err);
}
