/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes of the tree -> values of a sweep, under the types and ranges of the schema. */
#ifndef MNO_CONFIG_READ_H
#define MNO_CONFIG_READ_H

#include "config/schema.h"

typedef struct mno_reader {
  const mno_source *source;
  const mno_schema *schema;
  mno_sweep *sweep;
  mno_error *err;
} mno_reader;

/* Finds each of names in a map: key[i] is its key node (the value follows it) or NULL. Refuses unknown and repeated keys.
 * where: the map's name in messages, "" for the whole file. */
mno_status mno_read_keys(const mno_reader *r, const mno_node *map, const char *where, const char *const *names, size_t count,
                         const mno_node **key /* [count] */);

/* Reads one value of the schema into the sweep. An owned row needs model.block and training.optimizer to be read before,
 * MNO_RULE_STEPS training.steps: the order of the schema. */
mno_status mno_read_value(const mno_reader *r, const mno_rule *rule, const mno_node *value);

#endif
