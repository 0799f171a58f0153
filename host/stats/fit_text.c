/* Fits as JSON for scripts and as a table for people. */
#include "meanode/fit.h"

#include "core/memory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where each estimate is, and what it is called. */
static const struct {
  const char *name, *heading;
  size_t offset;
  int digits;
} columns[] = {
    {"a", "a (depth bias)", offsetof(mno_fit, a), 4},
    {"b", "b (fluctuation)", offsetof(mno_fit, b), 3},
    {"c", "c (width bias)", offsetof(mno_fit, c), 3},
    {"slope_fluctuation", "slope in L M", offsetof(mno_fit, slope_fluctuation), 3},
    {"slope_fluctuation_L", NULL, offsetof(mno_fit, slope_fluctuation_L), 3},
    {"slope_fluctuation_M", NULL, offsetof(mno_fit, slope_fluctuation_M), 3},
    {"slope_bias", "bias slope in L", offsetof(mno_fit, slope_bias), 3},
    {"slope_bias_M", NULL, offsetof(mno_fit, slope_bias_M), 3},
};
enum { COLUMNS = sizeof columns / sizeof *columns, CELL = 28 };

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

static void put_number(FILE *out, double value) {
  if (isfinite(value))
    fprintf(out, "%.10g", value);
  else
    fputs("null", out);
}

static void put_estimate(FILE *out, const mno_estimate *e) {
  fputs("{\"value\": ", out);
  put_number(out, e->value);
  fputs(", \"low\": ", out);
  put_number(out, e->low);
  fputs(", \"high\": ", out);
  put_number(out, e->high);
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
    fprintf(out, ", \"D\": %zu, \"alpha\": %.17g, \"fits\": [", problem->D, problem->alpha);
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

/* "0.0525 [0.0511, 0.0539]" */
static void write_cell(char *cell, const mno_estimate *e, int digits) {
  if (!isfinite(e->value))
    snprintf(cell, CELL, "-");
  else
    snprintf(cell, CELL, "%.*f [%.*f, %.*f]", digits, e->value, digits, e->low, digits, e->high);
}

mno_status mno_fits_table(const mno_result *result, const mno_fits *fits, char **text, mno_error *err) {
  size_t size, notes = 0;
  const char **note = mno_alloc(fits->count * COLUMNS + 1, sizeof *note);
  FILE *out = note ? open_memstream(text, &size) : NULL;
  if (!out) {
    free(note);
    return finish(out, text, err);
  }
  for (size_t p = 0; p < result->problem_count; p++) {
    const mno_result_problem *problem = &result->problems[p];
    fprintf(out, "%s%s: D = %zu, alpha = %g, N = %zu, %zu runs\n", p ? "\n" : "", problem->name, problem->D, problem->alpha,
            problem->N, problem->run_count);
    fprintf(out, "%4s  %-9s", "step", "quantity");
    for (size_t c = 0; c < COLUMNS; c++)
      if (columns[c].heading) fprintf(out, "  %-24s", columns[c].heading);
    fputc('\n', out);
    for (size_t i = 0; i < fits->count; i++) {
      const mno_fit *fit = &fits->fit[i];
      if (fit->problem != p) continue;
      fprintf(out, "%4" PRId64 "  %-9s", fit->step, mno_quantity_name(fit->quantity));
      for (size_t c = 0; c < COLUMNS; c++) {
        const mno_estimate *e = estimate_of(fit, c);
        if (!columns[c].heading) continue;
        char cell[CELL], marked[CELL + 8];
        write_cell(cell, e, columns[c].digits);
        size_t number = 0;
        if (e->warning[0]) {
          while (number < notes && strcmp(note[number], e->warning) != 0) number++;
          if (number == notes) note[notes++] = e->warning;
          snprintf(marked, sizeof marked, "%s (%zu)", cell, number + 1);
        } else
          snprintf(marked, sizeof marked, "%s", cell);
        fprintf(out, "  %-24s", marked);
      }
      fputc('\n', out);
    }
  }
  fputs("\nmean error = A/L + C/(L M), standard deviation over seeds = b/sqrt(L M); a = RMS A, c = RMS C over samples and\n"
        "coordinates; 95% intervals in brackets.\n",
        out);
  for (size_t i = 0; i < notes; i++) fprintf(out, "(%zu) %s\n", i + 1, note[i]);
  free(note);
  return finish(out, text, err);
}
