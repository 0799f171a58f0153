/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "core/probe.h"

#include "core/file.h"
#include "core/h5.h"
#include "core/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds of processor time: HDF5 can run in circles in a damaged file. */
static rlim_t patience(const char *path) {
  struct stat about;
  return 2 + (stat(path, &about) == 0 ? (rlim_t)(about.st_size >> 26) : 0);
}

static bool inside;

void mno_probe_expect(size_t bytes) {
  struct rlimit limit;
  if (!inside || getrlimit(RLIMIT_CPU, &limit) != 0) return;
  limit.rlim_cur += bytes >> 24;
  setrlimit(RLIMIT_CPU, &limit);
}

static _Noreturn void child(mno_attempt *attempt, const void *context, const char *path, int out) {
  inside = true;
  int nowhere = open("/dev/null", O_RDWR);
  if (nowhere >= 0) dup2(nowhere, 2); /* reports of a crash are no news for the user */
  for (int s = 1; s < 32; s++) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  struct rlimit time;
  if (getrlimit(RLIMIT_CPU, &time) == 0 && time.rlim_cur > patience(path)) { /* RLIM_INFINITY is the largest */
    time.rlim_cur = patience(path);
    setrlimit(RLIMIT_CPU, &time);
  }
  mno_error error = {0};
  mno_status status = attempt(context, &error);
  error.status = status;
  mno_write_all(out, &error, sizeof error);
  _exit(0);
}

/* What the child says; false: nothing, since it died. A child that was made while another thread held a lock that every
 * thread needs, as some allocators have them, sleeps for ever: *stuck, if that is asked for. */
static bool listen_to(pid_t pid, int end, mno_error *answer, bool *stuck) {
  enum { LOOK = 1000 /* ms */, LOOKS = 4 };
  char *to = (char *)answer;
  mno_process before = {0}, now;
  int same = 0;
  for (size_t left = sizeof *answer; left;) {
    int ready = poll(&(struct pollfd){.fd = end, .events = POLLIN}, 1, stuck ? LOOK : -1);
    if (ready == 0) {
      bool asleep = mno_process_look(pid, &now) && now.state == 'S';
      same = asleep && before.state == 'S' && now.ticks == before.ticks ? same + 1 : 0;
      before = asleep ? now : (mno_process){0};
      if (same < LOOKS) continue;
      *stuck = true;
      return false;
    }
    ssize_t n = ready > 0 ? read(end, to, left) : -1;
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    to += n;
    left -= (size_t)n;
  }
  return true;
}

static mno_status try_once(mno_attempt *attempt, const void *context, const char *path, bool *stuck, mno_error *err) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return mno_fail(err, MNO_ERR_INTERNAL, "cannot make a pipe: %s", strerror(errno));
  pid_t pid = mno_h5_fork();
  if (pid < 0) {
    int why = errno;
    close(ends[0]);
    close(ends[1]);
    return mno_fail(err, MNO_ERR_INTERNAL, "cannot start a process to check %s: %s", path, strerror(why));
  }
  if (pid == 0) child(attempt, context, path, ends[1]);
  close(ends[1]);
  mno_error answer = {0};
  bool said = listen_to(pid, ends[0], &answer, stuck);
  close(ends[0]);
  if (stuck && *stuck) kill(pid, SIGKILL);
  int how;
  while (waitpid(pid, &how, 0) < 0 && errno == EINTR) continue;
  if (!said) return mno_fail(err, MNO_ERR_INPUT, "%s is damaged: the HDF5 library cannot read it", path);
  if (answer.status == MNO_OK) return MNO_OK;
  return mno_fail(err, answer.status, "%.4000s", answer.message);
}

mno_status mno_probe(mno_attempt *attempt, const void *context, const char *path, mno_error *err) {
  for (int i = 0; i < 3; i++) {
    bool stuck = false;
    mno_status status = try_once(attempt, context, path, &stuck, err);
    if (!stuck) return status;
  }
  return try_once(attempt, context, path, NULL, err); /* a disk may let it sleep as well */
}
