/* SPDX-License-Identifier: BSD-3-Clause */
/* What the environment says of an MPI launcher; needs no MPI. */
#include "mpi/mpi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int first_number(const char *const *names, size_t count, int otherwise) {
  for (size_t i = 0; i < count; i++) {
    const char *text = getenv(names[i]);
    if (text) return atoi(text);
  }
  return otherwise;
}

bool mno_mpi_launched(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"};
  return first_number(names, sizeof names / sizeof *names, 1) > 1;
}

int mno_mpi_rank(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"};
  return mno_mpi_launched() ? first_number(names, sizeof names / sizeof *names, 0) : 0;
}

void mno_mpi_cards(const char *list, int rank, int ranks, char *own, size_t size) {
  int cards = *list != 0;
  for (const char *at = list; *at; at++) cards += *at == ',';
  size_t used = 0;
  own[0] = 0;
  for (int i = 0; i < cards; i++) {
    size_t length = strcspn(list, ",");
    bool mine = ranks <= cards ? i % ranks == rank : i == rank % cards;
    if (mine && used + length + 2 <= size)
      used += (size_t)snprintf(own + used, size - used, "%s%.*s", used ? "," : "", (int)length, list);
    list += length + (list[length] == ',');
  }
}
