/* loop.h: all that a node needs of the world outside its process, as one
 * table: connections, timers, signals, a watched file, time, randomness.
 * loop_uv.c fills it with libuv; a simulator fills it with virtual time. */
#ifndef REPLICATION_LOOP_H
#define REPLICATION_LOOP_H
#include "lib/buf.h"

enum {
    LOOP_ADDRESS_MAX = 280, /* bytes of "host:port" or "[v6]:port" */
    LOOP_READ_BYTES = 65536 /* the most one data() call brings */
};

struct loop;
struct loop_conn;
struct loop_listener;
struct loop_handle; /* a timer, a signal, a watched file or an async */

/* What happens to a connection. None is called after close(), or from within
 * a call of the table. */
struct loop_conn_events {
    void (*opened)(void *ctx); /* dialed connections only; writing may begin */
    void (*data)(void *ctx, slice bytes);
    void (*drained)(void *ctx); /* all that was written has left */
    /* The end: a failed dial, end of stream or an error. error is 0 for an
     * end of stream; the sentence is borrowed. close() is still to be
     * called. */
    void (*ended)(void *ctx, int error, const char *sentence);
};

/* A new connection, not yet reading; the callee keeps or closes it. The
 * address is numeric, "host:port". */
typedef void (*loop_accept)(void *ctx, struct loop_conn *c,
                            const char *address);
typedef void (*loop_fn)(void *ctx);

/* Functions that give an int return 0 or a negative code with a sentence. */
struct loop_table {
    /* Resolves host and dials its addresses, one after the other; the result
     * comes as opened() or ended(). TCP_NODELAY. */
    int (*connect)(struct loop *l, const char *host, uint16_t port,
                   const struct loop_conn_events *events, void *ctx,
                   struct loop_conn **c);
    /* host is numeric or a name ("" = all addresses); bound when it returns.
     * Port 0 takes a free one; bound (LOOP_ADDRESS_MAX + 1 bytes) gets the
     * address in use. */
    int (*listen)(struct loop *l, const char *host, uint16_t port,
                  loop_accept fn, void *ctx, char *bound,
                  struct loop_listener **out);
    void (*listener_close)(struct loop_listener *ln);

    /* Sets who hears of an accepted connection. */
    void (*conn_events)(struct loop_conn *c,
                        const struct loop_conn_events *events, void *ctx);
    void (*conn_read)(struct loop_conn *c, bool on);
    /* Takes over b's bytes, all of them; b is empty afterwards. */
    int (*conn_write)(struct loop_conn *c, struct buf *b);
    size_t (*conn_unsent)(const struct loop_conn *c);
    void (*conn_close)(struct loop_conn *c);

    /* Four ways to have fn called in the loop; each ends by handle_free(),
     * after which fn is not called again. NULL is fine there. */
    int (*timer_new)(struct loop *l, loop_fn fn, void *ctx,
                     struct loop_handle **timer);
    int (*signal_new)(struct loop *l, int signum, loop_fn fn, void *ctx,
                      struct loop_handle **signal);
    /* After path was written to. */
    int (*watch_new)(struct loop *l, const char *path, loop_fn fn, void *ctx,
                     struct loop_handle **watch);
    /* After async_send(), which any thread may call. */
    int (*async_new)(struct loop *l, loop_fn fn, void *ctx,
                     struct loop_handle **async);
    void (*handle_free)(struct loop_handle *h);
    /* Once, delay_ms from now; replaces what was set before. */
    void (*timer_set)(struct loop_handle *timer, uint64_t delay_ms);
    void (*async_send)(struct loop_handle *async);

    uint64_t (*now_ms)(struct loop *l);  /* never goes back */
    uint64_t (*wall_ms)(struct loop *l); /* since 1970 */
    void (*random)(struct loop *l, void *out, size_t n);

    /* Runs until stop(). */
    int (*run)(struct loop *l);
    void (*stop)(struct loop *l);
    /* Everything made on it must be freed or closed before. */
    void (*close)(struct loop *l);
};

/* Each implementation's struct loop begins with this. */
struct loop {
    const struct loop_table *t;
};

/* A loop on libuv; ended by t->close(). Without threads a name is looked up
 * while connect() waits. 0 or a negative code. */
int loop_uv_open(struct loop **l, bool threads);
#endif
