/* SPDX-License-Identifier: BSD-3-Clause */
/* Progress on standard error: a bar on a terminal, a line every 10 s elsewhere. */
#ifndef MNO_CLI_PROGRESS_H
#define MNO_CLI_PROGRESS_H

#include "core/choice.h"
#include "meanode/run.h"

#include <stdbool.h>

#define PROGRESS_STYLE_LIST(X)                                                                                              \
  X(PROGRESS_AUTO, "auto")                                                                                                  \
  X(PROGRESS_BAR, "bar")                                                                                                    \
  X(PROGRESS_LINES, "lines")                                                                                                \
  X(PROGRESS_NONE, "none")

typedef enum progress_style { PROGRESS_STYLE_LIST(MNO_ENUMERATOR) } progress_style;
extern const mno_choices progress_styles;

typedef struct progress_view {
  progress_style style;
  double last_line;  /* seconds into the phase when the last line was printed */
  const char *phase; /* of the last report */
  bool open_bar;     /* a bar stands on the current line */
} progress_view;

/* Resolves PROGRESS_AUTO by looking at standard error. */
progress_view progress_begin(progress_style style);

/* An mno_run_options.progress; context is a progress_view. */
void progress_show(void *context, const mno_progress *progress);

/* Ends the line of the bar. */
void progress_end(progress_view *view);

#endif
