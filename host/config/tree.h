/* SPDX-License-Identifier: BSD-3-Clause */
/* YAML text -> tree of nodes with marks. What a configuration does not need is refused: anchors, aliases, tags, several
 * documents, deep nesting. */
#ifndef MNO_CONFIG_TREE_H
#define MNO_CONFIG_TREE_H

#include "config/source.h"

typedef enum mno_node_kind { MNO_NODE_SCALAR, MNO_NODE_LIST, MNO_NODE_MAP } mno_node_kind;

typedef struct mno_node {
  mno_node_kind kind;
  mno_mark mark;
  char *text;             /* scalar: its value, no NUL inside; otherwise NULL */
  bool plain;             /* scalar without quotes: may be a number, a flag or nothing */
  size_t count;           /* list: items; map: twice its entries */
  struct mno_node *child; /* list: first item; map: first key, each key followed by its value */
  struct mno_node *next;  /* sibling */
} mno_node;

/* *root is NULL for a file without content. */
mno_status mno_tree_parse(const mno_source *source, mno_node **root, mno_error *err);
void mno_tree_free(mno_node *root);

/* Nothing there: "", ~ or null. */
bool mno_node_is_null(const mno_node *node);

/* What a node is, for messages: "a list", "a section", "nothing", "text", "a number". */
const char *mno_node_describe(const mno_node *node);

#endif
