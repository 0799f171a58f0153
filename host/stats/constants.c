#include "meanode/fit.h"

#include "stats/bias.h"
#include "stats/cells.h"
#include "stats/fluctuation.h"
#include "stats/interval.h"

const char *mno_quantity_name(mno_quantity quantity) { return quantity == MNO_OUTPUT ? "output" : "embedding"; }

mno_status mno_fit_runs(const mno_runs *runs, mno_fit *fit, mno_error *err) {
  mno_fit clean = {.problem = fit->problem, .step = fit->step, .quantity = fit->quantity};
  *fit = clean;
  mno_cells *cells;
  mno_status status = mno_cells_new(runs, MNO_PAIRS_NONE, &cells, err);
  if (status != MNO_OK) return status;
  status = mno_fit_bias(runs, cells, fit, err);
  if (status == MNO_OK) status = mno_fit_fluctuation(cells, fit, err);
  if (status == MNO_OK && cells->unusable) {
    mno_estimate *all[] = {&fit->a, &fit->b, &fit->c};
    for (int i = 0; i < 3; i++)
      mno_estimate_warn(all[i], "%zu diverged run%s left out", cells->unusable, cells->unusable == 1 ? "" : "s");
  }
  mno_cells_free(cells);
  return status;
}
