/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/tree.h"

#include "config/number.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DEEPEST = 8 }; /* a valid configuration nests four levels */

void mno_tree_free(mno_node *node) {
  while (node) {
    mno_node *next = node->next;
    mno_tree_free(node->child);
    free(node->text);
    free(node);
    node = next;
  }
}

bool mno_node_is_null(const mno_node *node) {
  return node->kind == MNO_NODE_SCALAR && node->plain &&
         (!*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0 ||
          strcmp(node->text, "Null") == 0 || strcmp(node->text, "NULL") == 0);
}

const char *mno_node_describe(const mno_node *node) {
  double number;
  if (node->kind == MNO_NODE_LIST) return "a list";
  if (node->kind == MNO_NODE_MAP) return "a section";
  if (mno_node_is_null(node)) return "nothing";
  return node->plain && mno_number_real(node->text, &number) != MNO_NUMBER_NONE ? "a number" : "text";
}

static mno_mark to_mark(yaml_mark_t mark) { return (mno_mark){(int)mark.line + 1, (int)mark.column + 1}; }

static mno_status fail_yaml(const mno_source *source, const yaml_parser_t *parser, mno_error *err) {
  if (parser->error == YAML_MEMORY_ERROR) return mno_fail_memory(err, source->length, "the configuration");
  mno_mark mark = to_mark(parser->problem_mark);
  const char *problem = parser->problem ? parser->problem : "unreadable", *remedy = "";
  if (strstr(problem, "tab character")) remedy = "; indent with spaces";
  if (strstr(problem, "cannot start any token"))
    remedy = "; indent with spaces, not with tabs, and quote text that starts with a special character";
  return mno_source_fail(source, mark, err, "not valid YAML: %s%s%s%s", problem, parser->context ? " " : "",
                         parser->context ? parser->context : "", remedy);
}

/* A node for an event that starts a value; refuses what has no place in a configuration. */
static mno_status make_node(const mno_source *source, const yaml_event_t *event, mno_node **made, mno_error *err) {
  const yaml_char_t *anchor = NULL, *tag = NULL;
  mno_node_kind kind = MNO_NODE_SCALAR;
  switch (event->type) {
  case YAML_SCALAR_EVENT:
    anchor = event->data.scalar.anchor;
    tag = event->data.scalar.tag;
    break;
  case YAML_SEQUENCE_START_EVENT:
    anchor = event->data.sequence_start.anchor;
    tag = event->data.sequence_start.tag;
    kind = MNO_NODE_LIST;
    break;
  default:
    anchor = event->data.mapping_start.anchor;
    tag = event->data.mapping_start.tag;
    kind = MNO_NODE_MAP;
  }
  mno_mark mark = to_mark(event->start_mark);
  if (anchor)
    return mno_source_fail(source, mark, err, "anchors (&name) are not accepted; write the value out where it is used");
  if (tag) return mno_source_fail(source, mark, err, "tags (!type) are not accepted; write the value alone");
  mno_node *node = mno_alloc(1, sizeof *node);
  if (!node) return mno_fail_memory(err, sizeof *node, "the configuration");
  node->kind = kind;
  node->mark = mark;
  if (kind == MNO_NODE_SCALAR) {
    const char *value = (const char *)event->data.scalar.value;
    if (strlen(value) != event->data.scalar.length) {
      free(node);
      return mno_source_fail(source, mark, err, "the text holds a NUL character; remove it");
    }
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = strdup(value);
    if (!node->text) {
      free(node);
      return mno_fail_memory(err, strlen(value), "the configuration");
    }
  }
  *made = node;
  return MNO_OK;
}

typedef struct builder {
  mno_node *root;
  mno_node *open[DEEPEST], **end[DEEPEST]; /* lists and maps not yet closed, where their next child goes */
  int depth, documents;
} builder;

static mno_status take_event(const mno_source *source, const yaml_event_t *event, builder *b, mno_error *err) {
  mno_mark mark = to_mark(event->start_mark);
  switch (event->type) {
  case YAML_DOCUMENT_START_EVENT:
    if (b->documents++ > 0)
      return mno_source_fail(source, mark, err, "a second document starts here; a configuration is one document");
    return MNO_OK;
  case YAML_ALIAS_EVENT: return mno_source_fail(source, mark, err, "aliases (*name) are not accepted; write the value out");
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT: b->depth--; return MNO_OK;
  case YAML_SCALAR_EVENT:
  case YAML_SEQUENCE_START_EVENT:
  case YAML_MAPPING_START_EVENT: break;
  default: return MNO_OK;
  }
  bool opens = event->type != YAML_SCALAR_EVENT;
  if (opens && b->depth == DEEPEST) return mno_source_fail(source, mark, err, "nested more than %d levels deep", DEEPEST);
  mno_node *node = NULL;
  mno_status status = make_node(source, event, &node, err);
  if (status != MNO_OK) return status;
  if (b->depth == 0) {
    b->root = node;
  } else {
    *b->end[b->depth - 1] = node;
    b->end[b->depth - 1] = &node->next;
    b->open[b->depth - 1]->count++;
  }
  if (opens) {
    b->open[b->depth] = node;
    b->end[b->depth++] = &node->child;
  }
  return MNO_OK;
}

mno_status mno_tree_parse(const mno_source *source, mno_node **root, mno_error *err) {
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) return mno_fail_memory(err, sizeof parser, "the YAML parser");
  size_t skip = mno_source_skip(source);
  yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser, (const unsigned char *)source->text + skip, source->length - skip);
  builder b = {0};
  mno_status status = MNO_OK;
  for (bool more = true; more && status == MNO_OK;) {
    yaml_event_t event;
    if (!yaml_parser_parse(&parser, &event)) {
      status = fail_yaml(source, &parser, err);
      break;
    }
    more = event.type != YAML_STREAM_END_EVENT;
    status = take_event(source, &event, &b, err);
    yaml_event_delete(&event);
  }
  yaml_parser_delete(&parser);
  if (status != MNO_OK) {
    mno_tree_free(b.root);
    return status;
  }
  *root = b.root;
  return MNO_OK;
}
