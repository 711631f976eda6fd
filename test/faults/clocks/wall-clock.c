// Preloaded into a process: its wall clock is this machine's plus the milliseconds in a file (WALL_CLOCK_FILE, one 64-bit
// number). The monotonic clocks are not affected. It allocates no memory and calls the kernel directly, since an allocator may
// read the time before other parts of the process work.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *aheadMs;

__attribute__((constructor)) static void openFile(void) {
  const char *path = getenv("WALL_CLOCK_FILE");
  int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) aheadMs = mapped;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  long result = syscall(SYS_clock_gettime, clock, at);
  if (result != 0 || aheadMs == NULL) return (int)result;
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return 0;
  int64_t nanos = at->tv_nsec + (*aheadMs % 1000) * 1000000;
  at->tv_sec += *aheadMs / 1000;
  if (nanos < 0) {
    nanos += 1000000000;
    at->tv_sec -= 1;
  } else if (nanos >= 1000000000) {
    nanos -= 1000000000;
    at->tv_sec += 1;
  }
  at->tv_nsec = nanos;
  return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  (void)zone;
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}
