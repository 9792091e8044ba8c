/* net.h: a network of replicas in virtual time, as a second table of loop.h:
 * timers, listeners and connections of all of them in one order of events. */
#ifndef FUZZ_SIM_NET_H
#define FUZZ_SIM_NET_H
#include "replication/loop.h"
#include "tests/support/support.h"

enum { NET_NODES = 10, NET_PORT = 7433 };

/* One way from a replica to another. */
struct net_way {
    uint32_t delay_lo, delay_hi; /* ms */
    uint32_t bytes_per_ms;       /* 0 = any number */
    bool stalled;                /* nothing arrives until it is lifted */
};

struct net_loop;

struct net {
    uint64_t now_ms;
    uint64_t order; /* of events at one time: as they were asked for */
    struct rng rng;
    struct net_way way[NET_NODES][NET_NODES];
    struct net_loop *loop[NET_NODES]; /* NULL: the replica does not run */
    uint64_t n_events, n_bytes, n_conns;
    /* Who runs now; called before each event, and done() behind it. */
    void (*enter)(void *ctx, unsigned r);
    void (*done)(void *ctx, unsigned r);
    /* Bytes leave from a to b: the number that arrived() gets with the last
     * of them. conn is the sender's. */
    uint64_t (*left)(void *ctx, unsigned a, unsigned b,
                     const struct loop_conn *conn, size_t n);
    void (*arrived)(void *ctx, uint64_t id);
    void *ctx;
};

/* A loop for replica r, to be ended by its table's close(): NULL without
 * memory. */
struct loop *net_loop_open(struct net *n, unsigned r);

/* Replica r's watched files were written to. */
void net_wake(struct net *n, unsigned r);

/* All connections between a and b break, and both ends hear of it. Bytes on
 * their way are lost. */
void net_cut(struct net *n, unsigned a, unsigned b);

/* Runs one event at or before until_ms: true. Else the time becomes until_ms:
 * false. */
bool net_step(struct net *n, uint64_t until_ms);
#endif
