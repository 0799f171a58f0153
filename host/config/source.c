/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/source.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";

/* Decodes one character of UTF-8; returns its length, 0 if it is malformed (overlong, surrogate, cut). */
static size_t decode(const char *text, size_t length, unsigned *character) {
  const unsigned char *p = (const unsigned char *)text;
  if (p[0] < 0x80) {
    *character = p[0];
    return 1;
  }
  size_t size = p[0] >= 0xf0 && p[0] < 0xf8 ? 4 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xc0 && p[0] < 0xe0 ? 2 : 0;
  if (size == 0 || size > length) return 0;
  unsigned value = p[0] & (0xffu >> (size + 1));
  for (size_t i = 1; i < size; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
    value = value << 6 | (p[i] & 0x3fu);
  }
  static const unsigned smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < smallest[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
  *character = value;
  return size;
}

/* U+0085, U+2028 and U+2029 break lines for YAML 1.1 but not for editors, so that line numbers would differ. */
static bool is_control(unsigned c) {
  return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
         c == 0xfeff || c == 0xfffe || c == 0xffff;
}

/* Position after a line break at i, or i if there is none. */
static size_t skip_break(const mno_source *source, size_t i) {
  if (i < source->length && source->text[i] == '\r')
    return i + 1 < source->length && source->text[i + 1] == '\n' ? i + 2 : i + 1;
  return i < source->length && source->text[i] == '\n' ? i + 1 : i;
}

size_t mno_source_skip(const mno_source *source) {
  return source->length >= 3 && memcmp(source->text, byte_order_mark, 3) == 0 ? 3 : 0;
}

mno_status mno_source_check(const mno_source *source, mno_error *err) {
  const mno_mark start = {1, 1};
  if (source->length > MNO_SOURCE_LIMIT)
    return mno_source_fail(source, (mno_mark){0, 0}, err, "the file has %zu bytes; a configuration has at most %d",
                           source->length, MNO_SOURCE_LIMIT);
  if (source->length >= 2 && (memcmp(source->text, "\xff\xfe", 2) == 0 || memcmp(source->text, "\xfe\xff", 2) == 0))
    return mno_source_fail(source, start, err, "the file is UTF-16; save it as UTF-8");
  mno_mark mark = start;
  for (size_t i = mno_source_skip(source); i < source->length;) {
    size_t next = skip_break(source, i);
    if (next > i) {
      mark.line++;
      mark.column = 1;
      i = next;
      continue;
    }
    unsigned character = 0;
    size_t size = decode(source->text + i, source->length - i, &character);
    if (size == 0)
      return mno_source_fail(source, mark, err, "byte 0x%02x is not UTF-8; save the file as UTF-8",
                             (unsigned char)source->text[i]);
    if (is_control(character)) return mno_source_fail(source, mark, err, "control character U+%04X; remove it", character);
    mark.column++;
    i += size;
  }
  return MNO_OK;
}

typedef struct writer {
  char *out;
  size_t size, used;
} writer;

static void put(writer *w, const char *bytes, size_t count) {
  if (w->used + count >= w->size) return;
  memcpy(w->out + w->used, bytes, count);
  w->used += count;
  w->out[w->used] = '\0';
}

/* One character as a terminal can show it; returns how many bytes it took. */
static size_t put_character(writer *w, const char *text, size_t length) {
  unsigned character = 0;
  size_t size = decode(text, length, &character);
  if (size == 0 || is_control(character))
    put(w, "?", 1);
  else if (character == '\t' || character == '\n' || character == '\r')
    put(w, " ", 1);
  else
    put(w, text, size);
  return size ? size : 1;
}

/* The line of a mark and a caret below it. */
static void show_line(writer *w, const mno_source *source, mno_mark mark) {
  enum { WIDTH = 110, BEFORE = 70 };
  size_t i = mno_source_skip(source);
  for (int line = 1; line < mark.line && i < source->length;) {
    size_t next = skip_break(source, i);
    line += next > i;
    i = next > i ? next : i + 1;
  }
  int from = mark.column > WIDTH - 10 ? mark.column - BEFORE : 1, column = 1;
  put(w, "\n", 1);
  if (from > 1) put(w, "...", 3);
  while (i < source->length && skip_break(source, i) == i && column < from + WIDTH) {
    writer nowhere = {0};
    i += put_character(column >= from ? w : &nowhere, source->text + i, source->length - i);
    column++;
  }
  if (i < source->length && skip_break(source, i) == i) put(w, "...", 3);
  put(w, "\n", 1);
  for (int c = from - (from > 1 ? 3 : 0); c < mark.column; c++) put(w, " ", 1);
  put(w, "^", 1);
}

mno_status mno_source_vfail(const mno_source *source, mno_mark mark, mno_error *err, const char *format, va_list args) {
  if (!err) return MNO_ERR_INPUT;
  enum { NAME = 1000, MESSAGE = 1800 };
  char message[MESSAGE], place[64] = "";
  vsnprintf(message, sizeof message, format, args);
  size_t name = strlen(source->name);
  if (mark.line > 0) snprintf(place, sizeof place, ":%d:%d", mark.line, mark.column);
  mno_fail(err, MNO_ERR_INPUT, "%s%s%s: %s", name > NAME ? "..." : "",
           name > NAME ? source->name + name - NAME + 3 : source->name, place, message);
  writer w = {err->message, sizeof err->message, strlen(err->message)};
  if (mark.line > 0) show_line(&w, source, mark);
  return MNO_ERR_INPUT;
}

mno_status mno_source_fail(const mno_source *source, mno_mark mark, mno_error *err, const char *format, ...) {
  va_list args;
  va_start(args, format);
  mno_status status = mno_source_vfail(source, mark, err, format, args);
  va_end(args);
  return status;
}

mno_status mno_fail_too_large(const mno_sweep *sweep, mno_mark mark, double bytes, const char *what, const char *remedy,
                              mno_error *err) {
  mno_memory available = mno_memory_free();
  return mno_sweep_fail(sweep, mark, err, "%s needs %.3g GiB; %.3g GiB are free%s: %s", what, bytes / 0x1p30,
                        (double)available.bytes / 0x1p30, available.bound, remedy);
}

const char *mno_quote(char buffer[MNO_QUOTE_SIZE], const char *text) {
  enum { SHOWN = 40 };
  writer w = {buffer, MNO_QUOTE_SIZE, 0};
  size_t length = strlen(text), i = 0;
  put(&w, "\"", 1);
  for (int count = 0; i < length && count < SHOWN; count++) i += put_character(&w, text + i, length - i);
  if (i < length) put(&w, "...", 3);
  put(&w, "\"", 1);
  return buffer;
}
