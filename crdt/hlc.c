/* hlc.c: tick and merge of the hybrid logical clock. */
#include "crdt/hlc.h"

uint64_t hlc_tick(uint64_t last, uint64_t now_ms) {
    uint64_t now = hlc_make(now_ms, 0);
    if (hlc_ms(last) > now_ms + HLC_MAX_AHEAD_MS)
        return now;
    /* A full count carries into the milliseconds by itself. */
    return now > last ? now : last + 1;
}

uint64_t hlc_merge(uint64_t last, uint64_t remote, uint64_t now_ms) {
    if (remote <= last || hlc_ms(remote) > now_ms + HLC_MAX_AHEAD_MS)
        return last;
    return remote;
}
