/* limiter.c: a handshake costs a token; tokens come back with time. */
#include "replication/limiter.h"
#include <string.h>

enum { TOKEN = 1000 };

/* "1.2.3.4:5" and "[v6]:5" without the port. */
static void host_of(char out[64], const char *address) {
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : strlen(address);
    n = n < 63 ? n : 63;
    memcpy(out, address, n);
    out[n] = 0;
}

static struct limiter_entry *find(struct limiter *l, const char *host) {
    struct limiter_entry *oldest = &l->e[0];
    for (struct limiter_entry *e = l->e; e < l->e + LIMITER_ADDRESSES; e++) {
        if (e->at_ms && !strcmp(e->host, host))
            return e;
        if (e->at_ms < oldest->at_ms)
            oldest = e;
    }
    *oldest = (struct limiter_entry){.millitokens = LIMITER_BURST * TOKEN};
    memcpy(oldest->host, host, strlen(host) + 1);
    return oldest;
}

bool limiter_take(struct limiter *l, const char *address, uint64_t now_ms) {
    char host[64];
    host_of(host, address);
    struct limiter_entry *e = find(l, host);
    if (e->at_ms && now_ms > e->at_ms)
        e->millitokens += (now_ms - e->at_ms) * LIMITER_RATE;
    if (e->millitokens > LIMITER_BURST * TOKEN)
        e->millitokens = LIMITER_BURST * TOKEN;
    e->at_ms = now_ms ? now_ms : 1;
    if (e->millitokens < TOKEN)
        return false;
    e->millitokens -= TOKEN;
    return true;
}
