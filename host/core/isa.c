/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/isa.h"

#include "core/isas.h"
#include "core/processor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those that are built, best first. */
static const struct {
  const char *name;
  bool (*supported)(void);
} sets[] = {
#define SET(isa) {#isa, mno_has_##isa},
    MNO_ISA_LIST(SET)
#undef SET
};
enum { SETS = sizeof sets / sizeof *sets };

/* The first that runs here, or the one of that name; NULL if there is none. */
static const char *find(const char *name) {
  for (size_t i = 0; i < SETS; i++)
    if ((!name || strcmp(sets[i].name, name) == 0) && sets[i].supported()) return sets[i].name;
  return NULL;
}

bool mno_isa_runs(const char *name) { return find(name) != NULL; }

const char *mno_isa(void) {
  const char *asked = getenv("MEANODE_ISA");
  return find(asked && *asked ? asked : NULL);
}

mno_status mno_isa_missing(mno_error *err) {
  const char *asked = getenv("MEANODE_ISA");
  char here[64] = "";
  for (size_t i = 0, used = 0; i < SETS && used < sizeof here; i++)
    if (sets[i].supported())
      used += (size_t)snprintf(here + used, sizeof here - used, "%s%s", used ? ", " : "", sets[i].name);
  return mno_fail(
      err, MNO_ERR_BACKEND,
      "MEANODE_ISA=%s: this processor or build has no such instruction set, only %s; leave it unset for the best "
      "of them, or build with -DMEANODE_ISAS=all",
      asked ? asked : "", here);
}
