/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/progress.h"

#include "cli/streams.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const double line_interval = 10; /* seconds */

MNO_CHOICES(progress_styles, PROGRESS_STYLE_LIST)

progress_view progress_begin(progress_style style) {
  if (style == PROGRESS_AUTO) style = isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_LINES;
  return (progress_view){.style = style};
}

static void format_time(double seconds, char *text, size_t size) {
  long s = (long)(seconds + 0.5);
  if (s >= 3600)
    snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
  else
    snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
}

/* "train  1234/9000  14%  56.2/s  0:32 left, 2 diverged" */
static void describe(const mno_progress *p, char *text, size_t size) {
  double share = p->work_total > 0 ? p->work_done / p->work_total : 1;
  if (share > 1) share = 1;
  int used = snprintf(text, size, "%s %zu/%zu  %3.0f%%", p->phase, p->done, p->total, 100 * share);
  char time[32];
  if (p->done > 0 && p->done < p->total && p->seconds > 0.5) {
    format_time(p->seconds * (1 - share) / share, time, sizeof time);
    used += snprintf(text + used, size - (size_t)used, "  %.3g/s  %s left", (double)p->done / p->seconds, time);
  } else {
    format_time(p->seconds, time, sizeof time);
    used += snprintf(text + used, size - (size_t)used, "  %s", time);
  }
  if (p->diverged) snprintf(text + used, size - (size_t)used, ", %zu diverged", p->diverged);
}

static void draw_bar(progress_view *view, const mno_progress *p, const char *text) {
  struct winsize window = {0};
  int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
  int width = columns - (int)strlen(text) - 5;
  if (width > 40) width = 40;
  if (width < 0) width = 0;
  char bar[48];
  double share = p->work_total > 0 ? p->work_done / p->work_total : 1;
  int full = (int)(share * width + 0.5);
  for (int i = 0; i < width; i++) bar[i] = i < full ? '#' : '.';
  bar[width] = 0;
  fprintf(stderr, "\r\033[K[%s] %.*s", bar, columns > 5 ? columns - 5 : 0, text);
  view->open_bar = true;
}

void progress_show(void *context, const mno_progress *p) {
  progress_view *view = context;
  if (view->style == PROGRESS_NONE || p->total == 0) return;
  if (!mno_stderr_ready()) return; /* a reader that dawdles shall not hold up the run */
  bool new_phase = !view->phase || strcmp(view->phase, p->phase) != 0, finished = p->done == p->total;
  char text[160];
  describe(p, text, sizeof text);
  if (view->style == PROGRESS_BAR) {
    if (new_phase) progress_end(view);
    draw_bar(view, p, text);
    if (finished) progress_end(view);
  } else {
    if (new_phase) view->last_line = 0;
    if (p->seconds - view->last_line >= line_interval || (finished && p->done > 0)) {
      fprintf(stderr, "%s\n", text);
      view->last_line = p->seconds;
    }
  }
  view->phase = p->phase;
}

void progress_end(progress_view *view) {
  if (view->open_bar && mno_stderr_ready()) fputc('\n', stderr);
  view->open_bar = false;
}
