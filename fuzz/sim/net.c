/* net.c: events in the order of their time, and the table of loop.h on them. */
#include "fuzz/sim/net.h"
#include "fuzz/sim/senses.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include <stdio.h>

static const uint64_t never = UINT64_MAX;

/* When something is due; of two at one time the one asked for first. */
struct due {
    uint64_t at, order;
};

struct loop_handle {
    struct net_loop *l;
    struct loop_handle *next;
    bool is_watch;
    loop_fn fn;
    void *ctx;
    struct due due;
};

/* Bytes on their way to one end. */
struct piece {
    struct piece *next;
    struct buf b;
    struct due due;
    uint64_t id; /* of what it is the last of, 0 = more follows */
};

struct loop_conn {
    struct net_loop *l;
    struct loop_conn *next, *peer;
    unsigned other; /* the replica at the other end */
    const struct loop_conn_events *events;
    void *ctx;
    bool reading, dialing, opened, reset;
    struct piece *in;
    struct due dial, open, drained, end;
    uint64_t last_ms; /* when what was written last arrives */
    size_t unsent;
    const char *why;
};

struct loop_listener {
    struct net_loop *l;
    loop_accept fn;
    void *ctx;
};

struct net_loop {
    struct loop base;
    struct net *n;
    unsigned r;
    struct loop_handle *handles;
    struct loop_conn *conns;
    struct loop_listener *listener;
};

static struct net_loop *loop_of(struct loop *l) {
    return (struct net_loop *)(void *)l;
}

static struct due due_at(struct net *n, uint64_t at) {
    return (struct due){at, ++n->order};
}

static struct due due_never(void) {
    return (struct due){never, never};
}

/* ---- handles --------------------------------------------------------------
 */

static int handle_new(struct loop *l, bool is_watch, loop_fn fn, void *ctx,
                      struct loop_handle **out) {
    struct loop_handle *h = alloc_zeroed(1, sizeof *h);
    if (!h)
        return ECRDT_ENOMEM;
    h->l = loop_of(l);
    h->is_watch = is_watch;
    h->fn = fn;
    h->ctx = ctx;
    h->due = due_never();
    h->next = h->l->handles;
    h->l->handles = h;
    *out = h;
    return ECRDT_OK;
}

static int timer_new(struct loop *l, loop_fn fn, void *ctx,
                     struct loop_handle **out) {
    return handle_new(l, false, fn, ctx, out);
}

static int signal_new(struct loop *l, int signum, loop_fn fn, void *ctx,
                      struct loop_handle **out) {
    (void)signum;
    return handle_new(l, false, fn, ctx, out);
}

static int watch_new(struct loop *l, const char *path, loop_fn fn, void *ctx,
                     struct loop_handle **out) {
    (void)path;
    return handle_new(l, true, fn, ctx, out);
}

static void handle_free(struct loop_handle *h) {
    if (!h)
        return;
    struct loop_handle **at = &h->l->handles;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    alloc_free(h);
}

static void timer_set(struct loop_handle *h, uint64_t delay_ms) {
    struct net *n = h->l->n;
    bool far = delay_ms > never - n->now_ms;
    h->due = far ? due_never() : due_at(n, n->now_ms + delay_ms);
}

static void async_send(struct loop_handle *h) {
    timer_set(h, 0);
}

void net_wake(struct net *n, unsigned r) {
    for (struct loop_handle *h = n->loop[r] ? n->loop[r]->handles : NULL; h;
         h = h->next)
        if (h->is_watch && h->due.at == never)
            h->due = due_at(n, n->now_ms);
}

/* ---- connections ----------------------------------------------------------
 */

static struct loop_conn *conn_new(struct net_loop *l, unsigned other) {
    struct loop_conn *c = alloc_zeroed(1, sizeof *c);
    if (!c)
        return NULL;
    c->l = l;
    c->other = other;
    c->dial = c->open = c->drained = c->end = due_never();
    c->next = l->conns;
    l->conns = c;
    return c;
}

static void pieces_free(struct loop_conn *c) {
    while (c->in) {
        struct piece *p = c->in;
        c->in = p->next;
        buf_free(&p->b);
        alloc_free(p);
    }
}

static uint64_t delay(struct net *n, unsigned a, unsigned b) {
    const struct net_way *w = &n->way[a][b];
    return w->delay_lo + rng_below(&n->rng, w->delay_hi - w->delay_lo + 1);
}

/* Its end will hear so, behind what is on its way to it. */
static void end_later(struct loop_conn *c, uint64_t at, const char *why) {
    if (c->end.at != never)
        return;
    c->end = due_at(c->l->n, at);
    c->why = why;
}

static int net_connect(struct loop *l, const char *host, uint16_t port,
                       const struct loop_conn_events *events, void *ctx,
                       struct loop_conn **out) {
    struct net_loop *me = loop_of(l);
    unsigned to;
    (void)port;
    if (sscanf(host, "10.0.0.%u", &to) != 1 || to >= NET_NODES)
        return err_set(ECRDT_EINVAL, "no such host: %s", host);
    struct loop_conn *c = conn_new(me, to);
    if (!c)
        return ECRDT_ENOMEM;
    c->events = events;
    c->ctx = ctx;
    c->dialing = true;
    c->dial = due_at(me->n, me->n->now_ms + delay(me->n, me->r, to));
    *out = c;
    return ECRDT_OK;
}

static int net_listen(struct loop *l, const char *host, uint16_t port,
                      loop_accept fn, void *ctx, char *bound,
                      struct loop_listener **out) {
    struct net_loop *me = loop_of(l);
    struct loop_listener *ln = alloc_zeroed(1, sizeof *ln);
    if (!ln)
        return ECRDT_ENOMEM;
    *ln = (struct loop_listener){me, fn, ctx};
    me->listener = ln;
    snprintf(bound, LOOP_ADDRESS_MAX + 1, "%s:%u", host, port);
    *out = ln;
    return ECRDT_OK;
}

static void listener_close(struct loop_listener *ln) {
    ln->l->listener = NULL;
    alloc_free(ln);
}

static void conn_events(struct loop_conn *c,
                        const struct loop_conn_events *events, void *ctx) {
    c->events = events;
    c->ctx = ctx;
}

static void conn_read(struct loop_conn *c, bool on) {
    c->reading = on;
}

static int put_piece(struct loop_conn *c, slice bytes, uint64_t id) {
    struct net *n = c->l->n;
    const struct net_way *w = &n->way[c->l->r][c->other];
    struct piece *p = alloc_zeroed(1, sizeof *p), **at = &c->peer->in;
    if (!p)
        return ECRDT_ENOMEM;
    uint64_t ms = n->now_ms + delay(n, c->l->r, c->other);
    ms = ms < c->last_ms ? c->last_ms : ms;
    if (w->bytes_per_ms)
        ms += bytes.len / w->bytes_per_ms;
    c->last_ms = ms;
    buf_put(&p->b, bytes.data, bytes.len);
    p->due = due_at(n, ms);
    p->id = id;
    while (*at)
        at = &(*at)->next;
    *at = p;
    c->unsent += bytes.len;
    return p->b.err;
}

/* In pieces as a stream may come. */
static int conn_write(struct loop_conn *c, struct buf *b) {
    struct net *n = c->l->n;
    const uint8_t *p = b->data;
    size_t left = b->len;
    int rc = ECRDT_OK;
    if (!c->peer || c->end.at != never) {
        buf_clear(b); /* into a connection that is over: lost */
        return ECRDT_OK;
    }
    uint64_t id = n->left(n->ctx, c->l->r, c->other, c, left);
    n->n_bytes += left;
    while (left && rc == ECRDT_OK) {
        size_t most = left < LOOP_READ_BYTES ? left : LOOP_READ_BYTES;
        size_t some =
            rng_below(&n->rng, 8) ? most : 1 + (size_t)rng_below(&n->rng, most);
        left -= some;
        rc = put_piece(c, slice_of(p, some), left ? 0 : id);
        p += some;
    }
    buf_clear(b);
    return rc;
}

static size_t conn_unsent(const struct loop_conn *c) {
    return c ? c->unsent : 0;
}

static void conn_close(struct loop_conn *c) {
    if (!c)
        return;
    struct loop_conn **at = &c->l->conns;
    if (c->peer) {
        uint64_t fin = c->l->n->now_ms + delay(c->l->n, c->l->r, c->other);
        c->peer->peer = NULL;
        end_later(c->peer, fin < c->last_ms ? c->last_ms : fin,
                  "the peer closed the connection");
    }
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    pieces_free(c);
    alloc_free(c);
}

void net_cut(struct net *n, unsigned a, unsigned b) {
    for (int turn = 0; turn < 2; turn++) {
        unsigned r = turn ? a : b, other = turn ? b : a;
        for (struct loop_conn *c = n->loop[r] ? n->loop[r]->conns : NULL; c;
             c = c->next)
            if (c->other == other && !c->dialing) {
                pieces_free(c);
                c->peer = NULL;
                c->end = due_never();
                c->reset = true;
                end_later(c, n->now_ms, "connection reset by peer");
            }
    }
}

/* ---- the rest of the table ------------------------------------------------
 */

static uint64_t net_now_ms(struct loop *l) {
    return 1000 + loop_of(l)->n->now_ms;
}

static uint64_t net_wall_ms(struct loop *l) {
    (void)l;
    return senses_wall_ms();
}

static void net_random(struct loop *l, void *out, size_t n) {
    (void)l;
    senses_random(out, n);
}

/* It is run from outside, one event at a time. */
static int net_run(struct loop *l) {
    (void)l;
    return err_set(ECRDT_ENOTSUP, "a simulated loop is run by its network");
}

static void net_stop(struct loop *l) {
    (void)l;
}

static void net_close(struct loop *l) {
    struct net_loop *me = loop_of(l);
    INVARIANT(!me->handles && !me->conns && !me->listener);
    me->n->loop[me->r] = NULL;
    alloc_free(me);
}

static const struct loop_table table = {
    .connect = net_connect,
    .listen = net_listen,
    .listener_close = listener_close,
    .conn_events = conn_events,
    .conn_read = conn_read,
    .conn_write = conn_write,
    .conn_unsent = conn_unsent,
    .conn_close = conn_close,
    .timer_new = timer_new,
    .signal_new = signal_new,
    .watch_new = watch_new,
    .async_new = timer_new,
    .handle_free = handle_free,
    .timer_set = timer_set,
    .async_send = async_send,
    .now_ms = net_now_ms,
    .wall_ms = net_wall_ms,
    .random = net_random,
    .run = net_run,
    .stop = net_stop,
    .close = net_close,
};

struct loop *net_loop_open(struct net *n, unsigned r) {
    struct net_loop *l = alloc_zeroed(1, sizeof *l);
    if (!l)
        return NULL;
    l->base.t = &table;
    l->n = n;
    l->r = r;
    n->loop[r] = l;
    return &l->base;
}

/* ---- events ---------------------------------------------------------------
 */

struct next {
    struct due due;
    struct loop_handle *handle;
    struct loop_conn *conn;
    struct due *which; /* of conn's; NULL: its first piece */
};

static bool sooner(const struct due *a, const struct next *b) {
    return a->at < b->due.at || (a->at == b->due.at && a->order < b->due.order);
}

static void look_conn(struct net *n, struct loop_conn *c, struct next *best) {
    struct due *fixed[] = {&c->dial, &c->open, &c->drained};
    for (size_t i = 0; i < 3; i++)
        if (sooner(fixed[i], best))
            *best = (struct next){*fixed[i], NULL, c, fixed[i]};
    if (n->way[c->other][c->l->r].stalled && !c->reset)
        return; /* neither bytes nor their end come through */
    if (c->in && (!c->reading || !c->opened))
        return;
    struct due *d = c->in ? &c->in->due : &c->end;
    if (sooner(d, best))
        *best = (struct next){*d, NULL, c, c->in ? NULL : &c->end};
}

static struct next look(struct net *n) {
    struct next best = {.due = due_never()};
    for (unsigned r = 0; r < NET_NODES; r++) {
        if (!n->loop[r])
            continue;
        for (struct loop_handle *h = n->loop[r]->handles; h; h = h->next)
            if (sooner(&h->due, &best))
                best = (struct next){h->due, h, NULL, NULL};
        for (struct loop_conn *c = n->loop[r]->conns; c; c = c->next)
            look_conn(n, c, &best);
    }
    return best;
}

/* The call arrives: at a listener, at nobody, or nowhere. */
static void dialed(struct net *n, struct loop_conn *c) {
    unsigned r = c->l->r;
    char address[32];
    struct net_loop *to = n->loop[c->other];
    if (n->way[r][c->other].stalled || n->way[c->other][r].stalled)
        return; /* the dialer gives up by itself */
    if (!to || !to->listener) {
        end_later(c, n->now_ms + delay(n, c->other, r), "connection refused");
        return;
    }
    struct loop_conn *peer = conn_new(to, r);
    if (!peer)
        return;
    peer->peer = c;
    peer->opened = true;
    c->peer = peer;
    c->dialing = false;
    c->open = due_at(n, n->now_ms + delay(n, c->other, r));
    n->n_conns++;
    snprintf(address, sizeof address, "10.0.0.%u:%u", r, 40000 + r);
    n->enter(n->ctx, c->other);
    to->listener->fn(to->listener->ctx, peer, address);
}

static void deliver(struct net *n, struct loop_conn *c) {
    struct piece *p = c->in;
    c->in = p->next;
    if (c->peer) {
        c->peer->unsent -= p->b.len;
        if (!c->peer->unsent)
            c->peer->drained = due_at(n, n->now_ms);
    }
    if (p->id)
        n->arrived(n->ctx, p->id);
    c->events->data(c->ctx, buf_slice(&p->b));
    buf_free(&p->b);
    alloc_free(p);
}

static void conn_event(struct net *n, struct loop_conn *c, struct due *which) {
    if (!which) {
        deliver(n, c);
        return;
    }
    *which = due_never();
    if (which == &c->dial) {
        dialed(n, c);
    } else if (which == &c->open) {
        c->opened = true;
        c->events->opened(c->ctx);
    } else if (which == &c->drained) {
        c->events->drained(c->ctx);
    } else {
        bool fin = c->why && *c->why == 't';
        c->peer = NULL;
        c->events->ended(c->ctx, fin ? 0 : ECRDT_EIO, c->why);
    }
}

bool net_step(struct net *n, uint64_t until_ms) {
    struct next e = look(n);
    if (e.due.at > until_ms) {
        n->now_ms = until_ms > n->now_ms ? until_ms : n->now_ms;
        senses.now_ms = n->now_ms;
        return false;
    }
    n->now_ms = e.due.at > n->now_ms ? e.due.at : n->now_ms;
    senses.now_ms = n->now_ms;
    n->n_events++;
    unsigned r = e.handle ? e.handle->l->r : e.conn->l->r;
    n->enter(n->ctx, r);
    if (e.handle) {
        e.handle->due = due_never();
        e.handle->fn(e.handle->ctx);
    } else {
        bool calls = e.which == &e.conn->dial;
        unsigned other = e.conn->other;
        conn_event(n, e.conn, e.which);
        if (calls)
            r = other;
    }
    n->done(n->ctx, r);
    return true;
}
