/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a fuzz target on the files of a folder, where there is no libFuzzer to find new ones. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t length);

int main(int argc, char **argv) {
  DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
  if (!folder) {
    fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  int files = 0;
  for (const struct dirent *entry; (entry = readdir(folder));) {
    char *path = NULL;
    if (entry->d_name[0] == '.' || asprintf(&path, "%s/%s", argv[1], entry->d_name) < 0) continue;
    FILE *file = fopen(path, "rb");
    enum { LONGEST = 1 << 22 };
    unsigned char *bytes = malloc(LONGEST);
    size_t length = file && bytes ? fread(bytes, 1, LONGEST, file) : 0;
    unsigned char *exact = malloc(length ? length : 1); /* so that a sanitizer sees reads past the end */
    if (file && bytes && exact) {
      memcpy(exact, bytes, length);
      LLVMFuzzerTestOneInput(exact, length);
      files++;
    }
    if (file) fclose(file);
    free(exact);
    free(bytes);
    free(path);
  }
  closedir(folder);
  printf("%d files\n", files);
  return files == 0;
}
