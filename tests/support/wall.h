/* wall.h: a wall clock that the test sets: the program's own clock_gettime()
 * stands before the C library's. */
#ifndef TESTS_SUPPORT_WALL_H
#define TESTS_SUPPORT_WALL_H
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds since 1970. */
static uint64_t wall_now = UINT64_C(1900000000000);

int clock_gettime(clockid_t id, struct timespec *ts) {
    if (id != CLOCK_REALTIME)
        return (int)syscall(SYS_clock_gettime, id, ts);
    ts->tv_sec = (time_t)(wall_now / 1000);
    ts->tv_nsec = (long)(wall_now % 1000) * 1000000;
    return 0;
}
#endif
