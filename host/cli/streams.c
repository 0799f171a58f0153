/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "cli/streams.h"

#include "meanode/status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
  int error;     /* errno of the first write to stdout that failed, or 0 */
  bool gone;     /* whoever read stdout has left */
  bool terminal; /* stdout is or was one */
} output;

/* Occupies a closed descriptor. Lower ones are open, so that open() returns it. */
static bool occupy(int fd) {
  if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) return true;
  /* Without /dev a folder does: nobody can write into that. */
  return open("/dev/null", O_RDWR) == fd || open("/", O_RDONLY | O_DIRECTORY) == fd;
}

/* Writes all of it, waiting where the descriptor is non-blocking; 0 or errno. */
static int write_all(int fd, const char *text, size_t size) {
  while (size) {
    ssize_t n = write(fd, text, size);
    if (n >= 0) {
      text += n;
      size -= (size_t)n;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

/* What follows a failure is dropped: a reader shall not take text with a hole for the whole. */
static ssize_t write_output(void *cookie, const char *text, size_t size) {
  (void)cookie;
  if (output.gone || output.error) return (ssize_t)size;
  int why = write_all(STDOUT_FILENO, text, size);
  if (why == EPIPE || why == ECONNRESET || (why == EIO && output.terminal))
    output.gone = true;
  else
    output.error = why;
  return (ssize_t)size;
}

/* A message that cannot be written anywhere is given up: the exit code says what matters. */
static ssize_t write_message(void *cookie, const char *text, size_t size) {
  (void)cookie;
  write_all(STDERR_FILENO, text, size);
  return (ssize_t)size;
}

int mno_streams_open(void) {
  for (int fd = 0; fd < 3; fd++)
    if (!occupy(fd)) return mno_status_exit_code(MNO_ERR_IO);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  output.terminal = isatty(STDOUT_FILENO) || errno == EIO; /* EIO: of one that hung up already */
  FILE *out = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_output}),
       *messages = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_message});
  if (!out || !messages) return mno_status_exit_code(MNO_ERR_MEMORY);
  setvbuf(out, NULL, output.terminal ? _IOLBF : _IOFBF, BUFSIZ);
  setvbuf(messages, NULL, _IONBF, 0);
  stdout = out;
  stderr = messages;
  return 0;
}

int mno_streams_close(const char *command, int code) {
  if (fflush(stdout) != 0 && !output.error) output.error = errno;
  /* Some file systems tell of a full disk only when the file is closed. The descriptor itself stays occupied. */
  int copy = output.error || output.gone ? -1 : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (copy >= 0 && close(copy) != 0 && errno != EINTR) output.error = errno;
  if (!output.error) return code;
  fprintf(stderr, "meanode%s%s: cannot write to standard output: %s; what stands there is not all\n", command ? " " : "",
          command ? command : "", strerror(output.error));
  bool done = code == mno_status_exit_code(MNO_OK) || code == mno_status_exit_code(MNO_DIVERGED);
  return done ? mno_status_exit_code(MNO_ERR_IO) : code;
}

bool mno_stderr_ready(void) {
  struct pollfd messages = {.fd = STDERR_FILENO, .events = POLLOUT};
  return poll(&messages, 1, 0) == 1 && messages.revents & POLLOUT;
}
