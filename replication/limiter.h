/* limiter.h: token buckets per address, so that one stranger cannot keep the
 * node busy with handshakes. */
#ifndef REPLICATION_LIMITER_H
#define REPLICATION_LIMITER_H
#include <stdbool.h>
#include <stdint.h>

enum {
    LIMITER_RATE = 20,      /* handshakes per second and address */
    LIMITER_BURST = 40,     /* at once */
    LIMITER_ADDRESSES = 256 /* remembered; the oldest gives way */
};

struct limiter_entry {
    char host[64];
    uint64_t at_ms;       /* when tokens were counted; 0 = unused */
    uint64_t millitokens; /* a handshake costs 1000 */
};

/* Zero-initialise. */
struct limiter {
    struct limiter_entry e[LIMITER_ADDRESSES];
};

/* May "host:port" begin another handshake now? Counts it if so. */
bool limiter_take(struct limiter *l, const char *address, uint64_t now_ms);
#endif
