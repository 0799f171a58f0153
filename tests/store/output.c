/* SPDX-License-Identifier: BSD-3-Clause */
/* The output as a file of its user: which file a name means, what of it is kept, and what happens to it during a run. */
#define _GNU_SOURCE
#include "sample.h"

#include "store/lock.h"
#include "store/output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>

static char folder[200];

static int new_folder(void **state) {
  snprintf(folder, sizeof folder, "/tmp/meanode_output_XXXXXX");
  return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int end_folder(void **state) {
  char command[512];
  snprintf(command, sizeof command, "rm -rf %s %s.moved", folder, folder);
  return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void touch(const char *path, mode_t mode) {
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  assert_true(fd >= 0);
  assert_int_equal(fchmod(fd, mode), 0);
  close(fd);
}

static bool is_empty(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && about.st_size == 0;
}

/* Names, from the folder in which the test works. */
static void test_find(void **state) {
  mkdir("real", 0777);
  mkdir("real/deep", 0777);
  touch("real/file.h5", 0644);
  touch("plain.h5", 0644);
  assert_int_equal(mkfifo("pipe", 0600), 0);
  const struct {
    const char *target, *link;
  } links[] = {{"plain.h5", "to_file"},      {"real/new.h5", "to_new"}, {"to_new", "to_to_new"},
               {"../real/up.h5", "real/up"}, {"real", "folder"},        {"nowhere/x.h5", "to_none"},
               {"loop2", "loop1"},           {"loop1", "loop2"},        {"deep/chain", "real/chain"},
               {"real/chain", "chain"},      {"pipe", "to_pipe"},       {"../end.h5", "real/deep/chain"}};
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) assert_int_equal(symlink(links[i].target, links[i].link), 0);
  char long_name[300], longer[300], real[300];
  snprintf(long_name, sizeof long_name, "%0243d", 0);
  snprintf(longer, sizeof longer, "%0244d", 0);
  snprintf(real, sizeof real, "%s/real/new.h5", folder);
  const struct {
    const char *given;
    mno_status status;
    const char *path; /* or what the message says */
  } name[] = {{"plain.h5", MNO_OK, "plain.h5"},
              {"./plain.h5", MNO_OK, "./plain.h5"},
              {"new.h5", MNO_OK, "new.h5"},
              {"no ending", MNO_OK, "no ending"},
              {"-x", MNO_OK, "-x"},
              {"line\nbreak", MNO_OK, "line\nbreak"},
              {"\xff.h5", MNO_OK, "\xff.h5"},
              {"to_file", MNO_OK, "plain.h5"},
              {"./to_file", MNO_OK, "./plain.h5"},
              {"to_new", MNO_OK, "real/new.h5"},
              {"to_to_new", MNO_OK, "real/new.h5"},
              {"real/up", MNO_OK, "real/../real/up.h5"},
              {"chain", MNO_OK, "real/deep/../end.h5"},
              {"folder/new.h5", MNO_OK, real},
              {"./folder/new.h5", MNO_OK, real},
              {real, MNO_OK, real},
              {long_name, MNO_OK, long_name},
              {longer, MNO_ERR_IO, "too long"},
              {"", MNO_ERR_USAGE, "empty"},
              {"-", MNO_ERR_USAGE, "standard output"},
              {"a.journal", MNO_ERR_USAGE, ".journal"},
              {"a.lock", MNO_ERR_USAGE, ".lock"},
              {"a.new", MNO_ERR_USAGE, ".new"},
              {"real", MNO_ERR_IO, "folder"},
              {"real/", MNO_ERR_IO, "folder"},
              {"new.h5/", MNO_ERR_IO, "end in /"},
              {"plain.h5/", MNO_ERR_IO, "end in /"},
              {"plain.h5/x", MNO_ERR_IO, "Not a directory"},
              {"folder", MNO_ERR_IO, "folder"},
              {"nowhere/x.h5", MNO_ERR_IO, "the folder nowhere"},
              {"to_none", MNO_ERR_IO, "a link to nowhere/x.h5"},
              {"loop1", MNO_ERR_IO, "symbolic links"},
              {"pipe", MNO_ERR_IO, "not a regular file"},
              {"to_pipe", MNO_ERR_IO, "not a regular file"},
              {"/dev/null", MNO_ERR_IO, "not a regular file"},
              {".", MNO_ERR_IO, "folder"}};
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    mno_output output;
    mno_error err = {0};
    if (mno_output_find(name[i].given, &output, &err) != name[i].status) fail_msg("\"%s\": %s", name[i].given, err.message);
    if (name[i].status == MNO_OK) {
      assert_string_equal(output.path, name[i].path);
      assert_non_null(strstr(output.shown, name[i].given));
      char *followed = mno_output_follow(name[i].given);
      assert_string_equal(followed, output.path);
      free(followed);
    } else if (!strstr(err.message, name[i].path)) {
      fail_msg("\"%s\": %s", name[i].given, err.message);
    }
    mno_output_free(&output);
  }
}

/* The file aside is no wider than the one that it will replace, never goes through a link, and gets all that one has. */
static void test_match(void **state) {
  static const mode_t modes[] = {0600, 0640, 0644, 0660, 0666, 0604, 0755, 0200};
  umask(022);
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    struct stat about;
    unlink("old");
    touch("old", modes[i]);
    bool extended = setxattr("old", "user.note", "kept", 4, 0) == 0;
    int fd = mno_output_aside("aside", "old");
    assert_true(fd >= 0 && fstat(fd, &about) == 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(mno_output_match(fd, "old"), 0);
    assert_int_equal(fstat(fd, &about), 0);
    assert_int_equal(about.st_mode & 0777, modes[i]);
    char value[8];
    if (extended) assert_int_equal(fgetxattr(fd, "user.note", value, sizeof value), 4);
    close(fd);
  }
  touch("victim", 0644);
  unlink("aside");
  assert_int_equal(symlink("victim", "aside"), 0);
  int fd = mno_output_aside("aside", NULL);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "x", 1), 1);
  close(fd);
  assert_true(is_empty("victim"));
  struct stat about;
  assert_int_equal(stat("aside", &about), 0);
  assert_int_equal(about.st_mode & 0777, 0644);
}

/* A closed store says what is left. In each: what happens to the files of a run, and what the message must say. */
static void rename_folder(void) {
  char moved[256];
  snprintf(moved, sizeof moved, "%s.moved", folder);
  assert_int_equal(rename(folder, moved), 0);
}
static void remove_all(void) { assert_int_equal(unlink("a.h5") | unlink("a.h5.journal") | unlink("a.h5.lock"), 0); }
static void remove_folder(void) {
  remove_all();
  unlink("a.h5.new");
  assert_int_equal(rmdir(folder), 0);
}
static void move_journal(void) { assert_int_equal(rename("a.h5.journal", "elsewhere"), 0); }
static void replace_file(void) {
  touch("other", 0644);
  assert_int_equal(rename("other", "a.h5"), 0);
}
static void write_into_file(void) {
  int fd = open("a.h5", O_WRONLY);
  assert_int_equal(pwrite(fd, "x", 1, 700), 1);
  close(fd);
}
static void touch_file(void) { assert_int_equal(utimensat(AT_FDCWD, "a.h5", NULL, 0), 0); }
static void remove_lock(void) { assert_int_equal(unlink("a.h5.lock"), 0); }
static void replace_lock(void) {
  remove_lock();
  touch("a.h5.lock", 0644);
}
static void make_private(void) { assert_int_equal(chmod("a.h5", 0600), 0); }

static void test_during_a_run(void **state) {
  const struct {
    const char *name;
    void (*act)(void);
    const char *says, *says_too; /* NULL: the run ends well */
  } event[] = {{"renamed folder", rename_folder, ".moved/a.h5.journal", "what was finished is in"},
               {"removed folder", remove_folder, "removed", "is lost"},
               {"removed files", remove_all, "journal was removed", "what was finished is in"},
               {"moved journal", move_journal, "journal was removed, renamed", "what was finished is in"},
               {"replaced file", replace_file, "left as it is", "--resume goes on"},
               {"changed file", write_into_file, "left as it is", "--resume goes on"},
               {"touched file", touch_file, NULL, NULL},
               {"private file", make_private, NULL, NULL},
               {"removed lock", remove_lock, NULL, NULL},
               {"replaced lock", replace_lock, NULL, NULL}};
  sample s = sample_new(sample_text, MNO_F64);
  for (size_t i = 0; i < sizeof event / sizeof *event; i++) {
    new_folder(NULL);
    char path[256];
    snprintf(path, sizeof path, "%s/a.h5", folder);
    mno_error err = {0};
    mno_store *store = sample_open(path, s.plan, MNO_CREATE);
    sample_put_limits(store, s.plan);
    sample_put(store, s.plan, 0, 5);
    assert_ok(mno_store_wait(store, &err));
    event[i].act();
    mno_status status = mno_store_close(store, &err);
    if (event[i].says) {
      assert_int_equal(status, MNO_ERR_IO);
      if (!strstr(err.message, event[i].says) || !strstr(err.message, event[i].says_too))
        fail_msg("%s: %s", event[i].name, err.message);
    } else {
      if (status != MNO_OK) fail_msg("%s: %s", event[i].name, err.message);
      sample_check(path, s.plan, 5);
      assert_false(sample_exists(path, ".journal"));
    }
    struct stat about;
    if (event[i].act == make_private) assert_true(stat(path, &about) == 0 && (about.st_mode & 0777) == 0600);
    if (event[i].act == replace_file) assert_true(is_empty("a.h5"));
    if (event[i].act == replace_lock) assert_true(sample_exists(path, ".lock")); /* not ours to remove */
    end_folder(NULL);
  }
  sample_free(&s);
}

/* A file that is made private during a run: so is its journal from the next version on. */
static void test_private_journal(void **state) {
  sample s = sample_new(sample_text, MNO_F64);
  mno_error err = {0};
  struct stat about = {.st_mode = 0};
  umask(022);
  mno_store *store = sample_open("a.h5", s.plan, MNO_CREATE);
  assert_true(stat("a.h5.journal", &about) == 0 && (about.st_mode & 0777) == 0644);
  make_private();
  sample_put(store, s.plan, 0, 5);
  for (int i = 0; i < 6000 && (about.st_mode & 0777) != 0600; i++) {
    usleep(10000);
    assert_int_equal(stat("a.h5.journal", &about), 0);
  }
  assert_int_equal(about.st_mode & 0777, 0600);
  assert_ok(mno_store_close(store, &err));
  sample_free(&s);
}

/* A link that is turned elsewhere during the run: the run stays with the file that it began. */
static void test_turned_link(void **state) {
  sample s = sample_new(sample_text, MNO_F64);
  mno_error err = {0};
  for (int of_folder = 0; of_folder < 2; of_folder++) {
    const char *given = of_folder ? "now/a.h5" : "link.h5";
    mkdir("one", 0777);
    mkdir("two", 0777);
    assert_int_equal(of_folder ? symlink("one", "now") : symlink("one/a.h5", "link.h5"), 0);
    mno_store *store = sample_open(given, s.plan, MNO_CREATE), *second;
    assert_true(sample_exists("one/a.h5", ".lock"));
    assert_int_equal(mno_store_open("one/a.h5", s.plan, NULL, MNO_RESUME, &second, &err),
                     MNO_ERR_IO); /* one file, one run */
    mno_result_state now;
    sample_put(store, s.plan, 0, 3);
    assert_ok(mno_store_wait(store, &err));
    assert_ok(mno_result_inspect(given, &now, &err));
    assert_true(now.running && now.done == 3);
    assert_int_equal(unlink(of_folder ? "now" : "link.h5"), 0);
    assert_int_equal(of_folder ? symlink("two", "now") : symlink("two/a.h5", "link.h5"), 0);
    sample_put(store, s.plan, 3, 6);
    sample_close(store);
    sample_check("one/a.h5", s.plan, 6);
    assert_false(sample_exists("two/a.h5", ""));
    unlink("one/a.h5");
  }
  sample_free(&s);
}

/* A run that begins anew leaves the old file until it ends: failing or killed, nothing of the old is lost; resumed, it is
 * the new run that goes on, even of the same configuration. */
static void test_force(void **state) {
  sample s = sample_new(sample_text, MNO_F64);
  mno_error err = {0};
  mno_result_state now;
  mno_store *store = sample_open("a.h5", s.plan, MNO_CREATE);
  sample_put_limits(store, s.plan);
  sample_put(store, s.plan, 0, 24);
  sample_close(store);
  assert_int_equal(chmod("a.h5", 0640), 0);

  store = sample_open("a.h5", s.plan, MNO_FORCE);
  sample_put(store, s.plan, 0, 3);
  assert_ok(mno_store_wait(store, &err));
  sample_check("a.h5", s.plan, 24);
  assert_ok(mno_result_inspect("a.h5", &now, &err));
  assert_int_equal(now.done + now.diverged, 3);
  assert_non_null(strstr(now.note, "--force"));
  struct stat about;
  assert_true(stat("a.h5.journal", &about) == 0 && (about.st_mode & 0777) == 0640);
  assert_true(stat("a.h5.lock", &about) == 0 && (about.st_mode & 0777) == 0640);
  sample_close(store);
  sample_check("a.h5", s.plan, 3);

  /* A failure: the message says how to go on, and that goes on with the new run. */
  store = sample_open("c.h5", s.plan, MNO_CREATE);
  sample_put(store, s.plan, 0, 24);
  sample_close(store);
  store = sample_open("c.h5", s.plan, MNO_FORCE);
  sample_put(store, s.plan, 0, 5);
  assert_int_equal(mkdir("c.h5.new", 0777), 0);
  assert_int_equal(mno_store_close(store, &err), MNO_ERR_IO);
  assert_non_null(strstr(err.message, "--resume instead of --force"));
  sample_check("c.h5", s.plan, 24);
  assert_int_equal(rmdir("c.h5.new"), 0);
  store = sample_open("c.h5", s.plan, MNO_RESUME);
  sample_put(store, s.plan, 5, 7);
  sample_close(store);
  sample_check("c.h5", s.plan, 7);

  /* As after a kill: the old file whole, the journal of the new run. */
  store = sample_open("b.h5", s.plan, MNO_CREATE);
  sample_put(store, s.plan, 0, 24);
  sample_close(store);
  assert_int_equal(system("cp b.h5 whole.h5"), 0);
  store = sample_open("b.h5", s.plan, MNO_FORCE);
  sample_put(store, s.plan, 0, 3);
  assert_ok(mno_store_wait(store, &err));
  assert_int_equal(link("b.h5.journal", "kept.journal"), 0);
  sample_close(store);
  assert_int_equal(rename("whole.h5", "b.h5") | rename("kept.journal", "b.h5.journal"), 0);
  char more[sizeof sample_text + 16];
  const char *at = strstr(sample_text, "eta_u: 1");
  snprintf(more, sizeof more, "%.*seta_u: 2%s", (int)(at - sample_text), sample_text, at + 8);
  sample other = sample_new(more, MNO_F64);
  assert_int_equal(mno_store_open("b.h5", other.plan, NULL, MNO_RESUME, &store, &err), MNO_ERR_INPUT);
  assert_non_null(strstr(err.message, "still the whole file"));
  store = sample_open("b.h5", s.plan, MNO_RESUME);
  for (size_t row = 0; row < 24; row++) assert_int_equal(mno_store_has(store, row), row < 3);
  sample_close(store);
  sample_check("b.h5", s.plan, 3);
  sample_free(&other);
  sample_free(&s);
}

/* Replacing follows the will of the owner, not that of the folder. */
static void test_protected(void **state) {
  sample s = sample_new(sample_text, MNO_F64);
  mno_error err = {0};
  mno_store *store = sample_open("a.h5", s.plan, MNO_CREATE);
  sample_close(store);
  static const mno_open_mode modes[] = {MNO_RESUME, MNO_FORCE};
  for (size_t i = 0; i < 2; i++) {
    chmod("a.h5", 0444);
    assert_int_equal(mno_store_open("a.h5", s.plan, NULL, modes[i], &store, &err), MNO_ERR_IO);
    assert_non_null(strstr(err.message, "write-protected (mode 444)"));
    chmod("a.h5", 0644);
    unlink("hard.h5");
    assert_int_equal(link("a.h5", "hard.h5"), 0);
    store = sample_open("a.h5", s.plan, modes[i]);
    assert_non_null(strstr(mno_store_note(store), "hard link"));
    sample_put(store, s.plan, 0, 2);
    sample_close(store);
    sample_check("a.h5", s.plan, 2);
    if (i == 0) sample_check("hard.h5", s.plan, 0);
  }
  assert_int_equal(symlink("victim", "a.h5.lock"), 0);
  assert_int_equal(mno_store_open("a.h5", s.plan, NULL, MNO_RESUME, &store, &err), MNO_ERR_IO);
  assert_non_null(strstr(err.message, "link"));
  assert_int_not_equal(access("victim", F_OK), 0);
  sample_free(&s);
}

/* A lock that was removed is taken again at the next look, unless another run was faster. */
static void test_removed_lock(void **state) {
  mno_error err = {0};
  mno_lock *lock, *other;
  touch("a.h5", 0640);
  assert_ok(mno_lock_take("a.h5", "a.h5", &lock, &err));
  remove_lock();
  assert_ok(mno_lock_check(lock, &err));
  struct stat about;
  assert_true(stat("a.h5.lock", &about) == 0 && (about.st_mode & 0777) == 0640);
  assert_int_equal(mno_lock_take("a.h5", "a.h5", &other, &err), MNO_ERR_IO);
  remove_lock();
  assert_ok(mno_lock_take("a.h5", "a.h5", &other, &err));
  assert_int_equal(mno_lock_check(lock, &err), MNO_ERR_IO);
  assert_non_null(strstr(err.message, "another run"));
  mno_lock_release(lock);
  assert_true(stat("a.h5.lock", &about) == 0);
  mno_lock_release(other);
  assert_int_not_equal(stat("a.h5.lock", &about), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_find, new_folder, end_folder),
      cmocka_unit_test_setup_teardown(test_match, new_folder, end_folder),
      cmocka_unit_test(test_during_a_run),
      cmocka_unit_test_setup_teardown(test_private_journal, new_folder, end_folder),
      cmocka_unit_test_setup_teardown(test_turned_link, new_folder, end_folder),
      cmocka_unit_test_setup_teardown(test_force, new_folder, end_folder),
      cmocka_unit_test_setup_teardown(test_removed_lock, new_folder, end_folder),
      cmocka_unit_test_setup_teardown(test_protected, new_folder, end_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
