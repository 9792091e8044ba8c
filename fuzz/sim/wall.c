/* wall.c: the program's own clock_gettime() stands before the C library's. */
#include "fuzz/sim/wall.h"
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool is_set;
static uint64_t now_ms;

void wall_set_ms(uint64_t ms) {
    is_set = true;
    now_ms = ms;
}

int clock_gettime(clockid_t id, struct timespec *ts) {
    if (id != CLOCK_REALTIME || !is_set)
        return (int)syscall(SYS_clock_gettime, id, ts);
    ts->tv_sec = (time_t)(now_ms / 1000);
    ts->tv_nsec = (long)(now_ms % 1000) * 1000000;
    return 0;
}
