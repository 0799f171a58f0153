/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "cli/process.h"

#include "meanode/status.h"

#include <alloca.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

atomic_int mno_stop_requested;

/* The first signal asks for a clean end; a second interrupt ends at once (what was recorded is on disk). */
static void on_signal(int signal_number) {
  if (atomic_fetch_add(&mno_stop_requested, 1) > 0 && signal_number == SIGINT) _exit(mno_status_exit_code(MNO_INTERRUPTED));
}

/* Where one number limits processor time, its end comes without warning: ask for the warning a little earlier. */
static void warn_of_time_limit(void) {
  struct rlimit time;
  if (getrlimit(RLIMIT_CPU, &time) != 0 || time.rlim_max == RLIM_INFINITY || time.rlim_cur < time.rlim_max) return;
  rlim_t early = time.rlim_max / 20 < 1 ? 1 : time.rlim_max / 20;
  if (time.rlim_max <= early) return;
  time.rlim_cur = time.rlim_max - early;
  setrlimit(RLIMIT_CPU, &time);
}

void mno_catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal}, before;
  int signals[] = {SIGINT, SIGTERM, SIGUSR1, SIGXCPU};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  /* A terminal that closes; nohup ignores it. */
  if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL);
  warn_of_time_limit();
}

/* Grows the main thread's stack to a size now, where there is room: a stack that cannot grow later ends the process without
 * a word. */
static __attribute__((noinline)) void grow_stack(size_t size) {
  void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return;
  munmap(room, size);
  volatile char *stack = alloca(size);
  stack[0] = 0;
}

void mno_fit_into_limits(void) {
  enum { THREAD_STACK = 2 << 20, MAIN_STACK = 512 << 10 };
  struct rlimit limit;
  /* The same for every limit on the stack of the main thread, which is what threads get otherwise. */
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) == 0) {
    if (pthread_attr_setstacksize(&attributes, THREAD_STACK) == 0) pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
  }
  if (getrlimit(RLIMIT_STACK, &limit) == 0)
    grow_stack(limit.rlim_cur / 2 < MAIN_STACK ? (size_t)limit.rlim_cur / 2 : (size_t)MAIN_STACK);
  /* Every thread's own heap takes 64 MiB of address space. */
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) mallopt(M_ARENA_MAX, 1);
}
