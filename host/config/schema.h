/* The configuration as a table: every key with its type, range, default and place in mno_sweep. */
#ifndef MNO_CONFIG_SCHEMA_H
#define MNO_CONFIG_SCHEMA_H

#include "config/tree.h"

typedef enum mno_field_type {
  MNO_FIELD_INTEGER,  /* int64_t */
  MNO_FIELD_REAL,     /* double */
  MNO_FIELD_FLAG,     /* bool */
  MNO_FIELD_CHOICE,   /* an enum */
  MNO_FIELD_BITS,     /* a choice or a list of choices: unsigned */
  MNO_FIELD_TEXT,     /* char *, owned */
  MNO_FIELD_INTEGERS, /* number, list or grid: mno_integers */
  MNO_FIELD_REALS,    /* number, list or grid: mno_reals */
  MNO_FIELD_LIMITS,   /* sweep->limit.kind */
  MNO_FIELD_SEEDS,    /* sweep->sweep.seed */
  MNO_FIELD_STEPS     /* sweep->record.step, read last: it needs training.steps */
} mno_field_type;

typedef struct mno_choice {
  const char *name;
  int value; /* MNO_NOT_COMPUTED: a name of the documentation that this version refuses */
} mno_choice;
enum { MNO_NOT_COMPUTED = -1 };

typedef struct mno_field {
  const char *section, *key;
  mno_field_type type;
  bool required;
  const char *fallback; /* default as one would write it; NULL: required, or absent unless given */
  size_t value, mark;   /* offsets in mno_sweep of the value and of its mark; MNO_NOWHERE */
  int64_t from, to;     /* accepted integers */
  double low, high;     /* accepted reals */
  bool below;           /* high itself is not accepted */
  const mno_choice *choice;
  size_t choice_count;
  const char *absent;  /* what holds where there is neither a fallback nor a value, for a person */
  const char *meaning; /* for a person; README, "Configuration", has the same words */
} mno_field;

#define MNO_NOWHERE ((size_t)-1)

extern const mno_field mno_schema[];
extern const size_t mno_schema_count;

typedef struct mno_schema_section {
  const char *name;
  bool required;
} mno_schema_section;

enum { MNO_SECTIONS = 6, MNO_DIGITS_SAMPLES = 1797, MNO_DIGITS_INPUTS = 64, MNO_DIGITS_TARGETS = 10 };
extern const mno_schema_section mno_schema_sections[MNO_SECTIONS];

/* "integers from 1 to 1000000", "numbers from 1e-6 to 1e6", "tanh, erf, ...": returns buffer. */
const char *mno_field_accepts(const mno_field *field, char *buffer, size_t size);

#endif
