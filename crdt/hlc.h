/* hlc.h: hybrid logical clock, 48 bits of milliseconds and 16 bits of count,
 * as a pure function of state and time (Kulkarni et al. 2014; PROTOCOL 11). */
#ifndef CRDT_HLC_H
#define CRDT_HLC_H
#include <stdint.h>

enum { HLC_MAX_AHEAD_MS = 60000 };

static inline uint64_t hlc_make(uint64_t wall_ms, uint32_t count) {
    return wall_ms << 16 | (count & 0xffff);
}
static inline uint64_t hlc_ms(uint64_t hlc) {
    return hlc >> 16;
}
static inline uint32_t hlc_count(uint64_t hlc) {
    return (uint32_t)(hlc & 0xffff);
}

/* The time of a local event: past last and not before now, but a last more
 * than 60 s ahead (a clock that was wrong and came back) does not bind. */
uint64_t hlc_tick(uint64_t last, uint64_t now_ms);

/* What last becomes when an event with time remote arrives: remote counts
 * only up to 60 s ahead of now. */
uint64_t hlc_merge(uint64_t last, uint64_t remote, uint64_t now_ms);
#endif
