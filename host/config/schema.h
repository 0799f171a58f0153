/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration as a table: every key with its type, range, default and place in mno_sweep. */
#ifndef MNO_CONFIG_SCHEMA_H
#define MNO_CONFIG_SCHEMA_H

#include "config/choices.h"
#include "config/tree.h"

#include <stdio.h>

typedef enum mno_rule_type {
  MNO_RULE_INTEGER,   /* int64_t */
  MNO_RULE_REAL,      /* double */
  MNO_RULE_FLAG,      /* bool */
  MNO_RULE_CHOICE,    /* an enum */
  MNO_RULE_BLOCK,     /* const mno_block * */
  MNO_RULE_OPTIMIZER, /* const mno_optimizer * */
  MNO_RULE_BITS,      /* a choice or a list of choices: unsigned */
  MNO_RULE_TEXT,      /* char *, owned */
  MNO_RULE_INTEGERS,  /* number, list or grid: mno_integers */
  MNO_RULE_REALS,     /* number, list or grid: mno_reals */
  MNO_RULE_LIMITS,    /* sweep->limit.kind */
  MNO_RULE_SEEDS,     /* sweep->sweep.seed */
  MNO_RULE_STEPS      /* sweep->record.step */
} mno_rule_type;

enum { MNO_NOT_COMPUTED = -1 }; /* value of a choice that the documentation has and this version refuses */

/* Rows that stand in the table once for every tensor of any block, or hyper-parameter of any optimiser; "*" in their key and
 * meaning is its name. Their values lie in an array of the sweep, by tensor of the chosen block or by hyper-parameter of the
 * chosen optimiser; a configuration that has chosen another one does not know the key. */
typedef enum mno_owner { MNO_OWNER_NONE, MNO_OWNER_BLOCK, MNO_OWNER_OPTIMIZER } mno_owner;

typedef struct mno_rule {
  const char *section, *key;
  mno_rule_type type;
  const char *fallback; /* default as one would write it; NULL: required, or absent unless given */
  size_t value, mark;   /* offsets in mno_sweep of the value (of the array of values) and of its mark; mark 0: not kept */
  int64_t from, to;     /* accepted integers */
  double low, high;     /* accepted reals */
  bool below;           /* high itself is not accepted */
  const mno_choices *choices;
  const char *absent; /* what holds where there is neither a fallback nor a value, for a person; NULL: a value is required */
  const char *meaning; /* for a person; README, "Configuration", has the same words */
  mno_owner owner;
  const char *owned; /* the name of the tensor or hyper-parameter of the row */
} mno_rule;

enum { MNO_RULES_MOST = 128, MNO_NAMES_MOST = 32, MNO_GRID_LONGEST = 10000 };

typedef struct mno_schema {
  size_t count;
  mno_rule rule[MNO_RULES_MOST];  /* [count] section by section; in the order in which values are read */
  mno_choices blocks, optimizers; /* values: index in mno_blocks, mno_optimizers */
  mno_choice block[MNO_NAMES_MOST], optimizer[MNO_NAMES_MOST];
  struct {
    char key[32], meaning[128];
  } text[MNO_RULES_MOST]; /* of owned rows */
  char optimizer_meaning[1000];
} mno_schema;

/* The table, with the rows of all blocks and optimisers. Errors: MNO_ERR_MEMORY; MNO_ERR_INTERNAL if there are more of them
 * than it has room for. free() frees it. */
mno_status mno_schema_new(mno_schema **schema, mno_error *err);

/* What put writes of the table, as a text that the caller frees. Errors: MNO_ERR_MEMORY, those of mno_schema_new. */
mno_status mno_schema_text(void put(FILE *out, const mno_schema *schema), char **text, mno_error *err);

/* Where the tensor or hyper-parameter of an owned row is among those of what the sweep has chosen; -1: it has none such. */
int mno_rule_place(const mno_rule *rule, const mno_sweep *sweep);

/* Who owns a row: "block gated", "optimizer adam, adamw"; empty if all of them do. Returns buffer. */
const char *mno_rule_owners(const mno_rule *rule, char *buffer, size_t size);

typedef struct mno_schema_section {
  const char *name;
  bool required;
} mno_schema_section;

enum { MNO_SECTIONS = 6, MNO_DIGITS_SAMPLES = 1797, MNO_DIGITS_INPUTS = 64, MNO_DIGITS_TARGETS = 10 };
extern const mno_schema_section mno_schema_sections[MNO_SECTIONS];

/* "integers from 1 to 1000000", "numbers from 1e-6 to 1e6", "tanh, erf, ...": returns buffer. */
const char *mno_rule_accepts(const mno_rule *rule, char *buffer, size_t size);

#endif
