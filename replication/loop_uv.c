/* loop_uv.c: the wall around libuv: the table of loop.h over real sockets and
 * real time. */
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "replication/loop.h"
#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum { BACKLOG = 128 };

struct uv_loop_box {
    struct loop base;
    uv_loop_t uv;
    bool threads; /* names may be looked up by libuv's threads */
    char read_room[LOOP_READ_BYTES];
};

static struct uv_loop_box *box_of(struct loop *l) {
    return (struct uv_loop_box *)l;
}

/* ECRDT_EIO with what was tried, on what and libuv's reason. */
static int uv_failed(int status, const char *what, const char *on) {
    return err_set(status == UV_ENOMEM ? ECRDT_ENOMEM : ECRDT_EIO, "%s %s: %s",
                   what, on, uv_strerror(status));
}

/* ---- addresses ----------------------------------------------------------- */

static void address_text(char *out, size_t size, const struct sockaddr *sa) {
    char host[64] = "?";
    int port = 0;
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        uv_ip6_name(in6, host, sizeof host);
        port = ntohs(in6->sin6_port);
        snprintf(out, size, "[%s]:%d", host, port);
        return;
    }
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)sa;
    if (sa->sa_family == AF_INET) {
        uv_ip4_name(in4, host, sizeof host);
        port = ntohs(in4->sin_port);
    }
    snprintf(out, size, "%s:%d", host, port);
}

/* ---- connections --------------------------------------------------------- */

struct loop_conn {
    uv_tcp_t tcp;
    struct uv_loop_box *l;
    const struct loop_conn_events *events;
    void *ctx;
    size_t unsent;
    struct addrinfo *found, *next; /* of a dial under way */
    bool tcp_open, resolving, connecting, closed, opened;
    uv_getaddrinfo_t resolve;
    uv_connect_t dial;
    char target[LOOP_ADDRESS_MAX + 1];
};

struct write_req {
    uv_write_t req;
    struct buf bytes;
    struct loop_conn *c;
};

/* Frees c once it is closed and no callback of libuv is outstanding. */
static void conn_unref(struct loop_conn *c) {
    if (!c->closed || c->tcp_open || c->resolving || c->connecting)
        return;
    uv_freeaddrinfo(c->found);
    alloc_free(c);
}

static void on_tcp_closed(uv_handle_t *h) {
    struct loop_conn *c = h->data;
    c->tcp_open = false;
    conn_unref(c);
}

static void uv_conn_close(struct loop_conn *c) {
    if (!c || c->closed)
        return;
    c->closed = true;
    if (c->resolving)
        uv_cancel((uv_req_t *)&c->resolve);
    if (c->tcp_open && !uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, on_tcp_closed);
    conn_unref(c);
}

static void conn_ended(struct loop_conn *c, int status, const char *what) {
    char why[512];
    if (c->closed)
        return;
    snprintf(why, sizeof why, "%s%s%s: %s", what, *c->target ? " " : "",
             c->target, uv_strerror(status));
    c->events->ended(c->ctx, status == UV_EOF ? 0 : ECRDT_EIO, why);
}

static int conn_new(struct uv_loop_box *l, struct loop_conn **out) {
    struct loop_conn *c = alloc_zeroed(1, sizeof *c);
    if (!c)
        return ECRDT_ENOMEM;
    c->l = l;
    c->tcp.data = c;
    *out = c;
    return 0;
}

static int conn_init_tcp(struct loop_conn *c) {
    int rc = uv_tcp_init(&c->l->uv, &c->tcp);
    c->tcp_open = rc == 0;
    if (!rc)
        uv_tcp_nodelay(&c->tcp, 1);
    return rc;
}

static void dial_or_end(struct loop_conn *c);

/* The failed attempt's socket is gone: on to the next address. */
static void on_retry_closed(uv_handle_t *h) {
    struct loop_conn *c = h->data;
    c->tcp_open = false;
    if (c->closed)
        conn_unref(c);
    else
        dial_or_end(c);
}

static void on_dialed(uv_connect_t *req, int status) {
    struct loop_conn *c = req->data;
    c->connecting = false;
    if (c->closed) {
        conn_unref(c);
        return;
    }
    if (!status) {
        c->opened = true;
        uv_tcp_nodelay(&c->tcp, 1);
        c->events->opened(c->ctx);
    } else if (c->next) {
        uv_close((uv_handle_t *)&c->tcp, on_retry_closed);
    } else {
        conn_ended(c, status, "cannot connect to");
    }
}

static int dial_next(struct loop_conn *c) {
    struct addrinfo *a = c->next;
    c->next = a->ai_next;
    c->dial.data = c;
    int rc = conn_init_tcp(c);
    if (!rc)
        rc = uv_tcp_connect(&c->dial, &c->tcp, a->ai_addr, on_dialed);
    c->connecting = !rc;
    return rc;
}

static void dial_or_end(struct loop_conn *c) {
    int rc = dial_next(c);
    if (rc)
        conn_ended(c, rc, "cannot connect to");
}

static void on_resolved(uv_getaddrinfo_t *req, int status,
                        struct addrinfo *found) {
    struct loop_conn *c = req->data;
    c->resolving = false;
    c->found = c->next = found;
    if (c->closed)
        conn_unref(c);
    else if (status)
        conn_ended(c, status, "cannot find the address of");
    else
        dial_or_end(c);
}

/* A numeric address needs no thread, and neither may be wanted: both are
 * looked up here, everything else by libuv's threads. */
static int resolve(struct loop_conn *c, const char *host, uint16_t port) {
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    snprintf(service, sizeof service, "%u", port);
    int rc =
        uv_getaddrinfo(&c->l->uv, &c->resolve, NULL, host, service, &hints);
    hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
    if (rc && !c->l->threads)
        rc =
            uv_getaddrinfo(&c->l->uv, &c->resolve, NULL, host, service, &hints);
    if (!rc) {
        c->found = c->next = c->resolve.addrinfo;
        return dial_next(c);
    }
    if (!c->l->threads)
        return rc;
    c->resolve.data = c;
    rc = uv_getaddrinfo(&c->l->uv, &c->resolve, on_resolved, host, service,
                        &hints);
    c->resolving = !rc;
    return rc;
}

static int uv_connect_host(struct loop *l, const char *host, uint16_t port,
                           const struct loop_conn_events *events, void *ctx,
                           struct loop_conn **out) {
    struct loop_conn *c;
    int rc = conn_new(box_of(l), &c);
    if (rc < 0)
        return rc;
    snprintf(c->target, sizeof c->target, "%s:%u", host, port);
    c->events = events;
    c->ctx = ctx;
    rc = resolve(c, host, port);
    if (rc) {
        rc = uv_failed(rc, "cannot connect to", c->target);
        uv_conn_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

static void uv_conn_events(struct loop_conn *c,
                           const struct loop_conn_events *events, void *ctx) {
    c->events = events;
    c->ctx = ctx;
}

static void on_room(uv_handle_t *h, size_t suggested, uv_buf_t *b) {
    struct loop_conn *c = h->data;
    (void)suggested;
    *b = uv_buf_init(c->l->read_room, sizeof c->l->read_room);
}

static void on_read(uv_stream_t *st, ssize_t n, const uv_buf_t *b) {
    struct loop_conn *c = st->data;
    if (c->closed || n == 0)
        return;
    if (n > 0) {
        c->events->data(c->ctx, slice_of(b->base, (size_t)n));
        return;
    }
    uv_read_stop(st);
    conn_ended(c, (int)n, "the connection ended");
}

static void uv_conn_read(struct loop_conn *c, bool on) {
    uv_stream_t *st = (uv_stream_t *)&c->tcp;
    if (on)
        uv_read_start(st, on_room, on_read);
    else
        uv_read_stop(st);
}

static void on_written(uv_write_t *req, int status) {
    struct write_req *w = req->data;
    struct loop_conn *c = w->c;
    c->unsent -= w->bytes.len;
    buf_free(&w->bytes);
    alloc_free(w);
    if (c->closed)
        return;
    if (status)
        conn_ended(c, status, "the connection broke");
    else if (!c->unsent)
        c->events->drained(c->ctx);
}

static int uv_conn_write(struct loop_conn *c, struct buf *b) {
    if (!b->len)
        return 0;
    struct write_req *w = alloc_zeroed(1, sizeof *w);
    if (!w)
        return ECRDT_ENOMEM;
    w->bytes = *b;
    w->c = c;
    w->req.data = w;
    *b = (struct buf){0};
    uv_buf_t v = {.base = (char *)w->bytes.data, .len = w->bytes.len};
    c->unsent += w->bytes.len;
    int rc = uv_write(&w->req, (uv_stream_t *)&c->tcp, &v, 1, on_written);
    if (!rc)
        return 0;
    c->unsent -= w->bytes.len;
    buf_free(&w->bytes);
    alloc_free(w);
    return uv_failed(rc, "cannot write to", "the connection");
}

static size_t uv_conn_unsent(const struct loop_conn *c) {
    return c->unsent;
}

/* ---- listeners ----------------------------------------------------------- */

struct loop_listener {
    uv_tcp_t tcp;
    struct uv_loop_box *l;
    loop_accept fn;
    void *ctx;
};

static void on_listener_closed(uv_handle_t *h) {
    alloc_free(h->data);
}

static void uv_listener_close(struct loop_listener *ln) {
    if (ln)
        uv_close((uv_handle_t *)&ln->tcp, on_listener_closed);
}

static void on_connection(uv_stream_t *st, int status) {
    struct loop_listener *ln = st->data;
    struct loop_conn *c;
    struct sockaddr_storage sa;
    int len = sizeof sa;
    if (status || conn_new(ln->l, &c) < 0)
        return;
    if (conn_init_tcp(c) || uv_accept(st, (uv_stream_t *)&c->tcp) ||
        uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&sa, &len)) {
        uv_conn_close(c);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    address_text(c->target, sizeof c->target, (struct sockaddr *)&sa);
    c->opened = true;
    ln->fn(ln->ctx, c, c->target);
}

/* The first address of host, found at once: names of listeners are local. */
static int resolve_local(struct uv_loop_box *l, const char *host, uint16_t port,
                         struct sockaddr_storage *out) {
    char service[8];
    uv_getaddrinfo_t req;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    snprintf(service, sizeof service, "%u", port);
    int rc = uv_getaddrinfo(&l->uv, &req, NULL, *host ? host : "::", service,
                            &hints);
    if (rc)
        return rc;
    memcpy(out, req.addrinfo->ai_addr, req.addrinfo->ai_addrlen);
    uv_freeaddrinfo(req.addrinfo);
    return 0;
}

static int uv_listen_on(struct loop *l, const char *host, uint16_t port,
                        loop_accept fn, void *ctx, char *bound,
                        struct loop_listener **out) {
    char where[LOOP_ADDRESS_MAX + 1];
    struct sockaddr_storage sa = {0};
    int len = sizeof sa;
    struct loop_listener *ln = alloc_zeroed(1, sizeof *ln);
    if (!ln)
        return ECRDT_ENOMEM;
    snprintf(where, sizeof where, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
             port);
    *ln = (struct loop_listener){.l = box_of(l), .fn = fn, .ctx = ctx};
    int rc = uv_tcp_init(&ln->l->uv, &ln->tcp);
    if (rc) {
        alloc_free(ln);
        return uv_failed(rc, "cannot listen on", where);
    }
    ln->tcp.data = ln;
    rc = resolve_local(ln->l, host, port, &sa);
    if (!rc)
        rc = uv_tcp_bind(&ln->tcp, (struct sockaddr *)&sa, 0);
    if (!rc)
        rc = uv_listen((uv_stream_t *)&ln->tcp, BACKLOG, on_connection);
    if (!rc)
        rc = uv_tcp_getsockname(&ln->tcp, (struct sockaddr *)&sa, &len);
    if (rc) {
        uv_listener_close(ln);
        return uv_failed(rc, "cannot listen on", where);
    }
    address_text(bound, LOOP_ADDRESS_MAX + 1, (struct sockaddr *)&sa);
    *out = ln;
    return 0;
}

/* ---- timers, signals, files, asyncs ---------------------------------------
 */

struct loop_handle {
    union uv_any_handle uv;
    loop_fn fn;
    void *ctx;
    int fd; /* of inotify, else -1 */
};

static int handle_new(loop_fn fn, void *ctx, struct loop_handle **out) {
    *out = alloc_zeroed(1, sizeof **out);
    if (!*out)
        return ECRDT_ENOMEM;
    **out = (struct loop_handle){.fn = fn, .ctx = ctx, .fd = -1};
    (*out)->uv.handle.data = *out;
    return 0;
}

static void on_handle_closed(uv_handle_t *uv) {
    struct loop_handle *h = uv->data;
    if (h->fd >= 0)
        close(h->fd);
    alloc_free(h);
}

static void uv_handle_free(struct loop_handle *h) {
    if (h)
        uv_close(&h->uv.handle, on_handle_closed);
}

static void on_timer(uv_timer_t *uv) {
    struct loop_handle *h = uv->data;
    h->fn(h->ctx);
}

static int uv_timer_new(struct loop *l, loop_fn fn, void *ctx,
                        struct loop_handle **out) {
    int rc = handle_new(fn, ctx, out);
    if (rc < 0)
        return rc;
    uv_timer_init(&box_of(l)->uv, &(*out)->uv.timer);
    return 0;
}

static void uv_timer_set(struct loop_handle *h, uint64_t delay_ms) {
    uv_update_time(h->uv.handle.loop);
    uv_timer_start(&h->uv.timer, on_timer, delay_ms, 0);
}

static void on_signal(uv_signal_t *uv, int signum) {
    struct loop_handle *h = uv->data;
    (void)signum;
    h->fn(h->ctx);
}

static int uv_signal_new(struct loop *l, int signum, loop_fn fn, void *ctx,
                         struct loop_handle **out) {
    int rc = handle_new(fn, ctx, out);
    if (rc < 0)
        return rc;
    uv_signal_init(&box_of(l)->uv, &(*out)->uv.signal);
    rc = uv_signal_start(&(*out)->uv.signal, on_signal, signum);
    if (!rc)
        return 0;
    uv_handle_free(*out);
    *out = NULL;
    return uv_failed(rc, "cannot catch signal", strsignal(signum));
}

static void on_async(uv_async_t *uv) {
    struct loop_handle *h = uv->data;
    h->fn(h->ctx);
}

static int uv_async_new(struct loop *l, loop_fn fn, void *ctx,
                        struct loop_handle **out) {
    int rc = handle_new(fn, ctx, out);
    if (rc < 0)
        return rc;
    rc = uv_async_init(&box_of(l)->uv, &(*out)->uv.async, on_async);
    if (!rc)
        return 0;
    alloc_free(*out);
    *out = NULL;
    return uv_failed(rc, "cannot make", "an async handle");
}

static void uv_async_wake(struct loop_handle *h) {
    uv_async_send(&h->uv.async);
}

static void on_watch(uv_poll_t *uv, int status, int events) {
    struct loop_handle *h = uv->data;
    char room[4096];
    (void)status, (void)events;
    while (read(h->fd, room, sizeof room) > 0)
        continue;
    h->fn(h->ctx);
}

static int uv_watch_new(struct loop *l, const char *path, loop_fn fn, void *ctx,
                        struct loop_handle **out) {
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY) < 0) {
        int rc = err_errno(errno, "cannot watch", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int rc = handle_new(fn, ctx, out);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    (*out)->fd = fd;
    uv_poll_init(&box_of(l)->uv, &(*out)->uv.poll, fd);
    uv_poll_start(&(*out)->uv.poll, UV_READABLE, on_watch);
    return 0;
}

/* ---- time, randomness, the loop itself ----------------------------------- */

static uint64_t uv_now_ms(struct loop *l) {
    (void)l;
    return uv_hrtime() / 1000000;
}

static uint64_t uv_wall_ms(struct loop *l) {
    struct timespec ts;
    (void)l;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void uv_random_bytes(struct loop *l, void *out, size_t n) {
    (void)l;
    crypto_random(out, n);
}

static int uv_loop_run(struct loop *l) {
    uv_run(&box_of(l)->uv, UV_RUN_DEFAULT);
    return 0;
}

static void uv_loop_stop(struct loop *l) {
    uv_stop(&box_of(l)->uv);
}

static void uv_loop_free(struct loop *l) {
    struct uv_loop_box *box = box_of(l);
    uv_run(&box->uv, UV_RUN_DEFAULT); /* the callbacks of closed handles */
    int rc = uv_loop_close(&box->uv);
    INVARIANT(rc == 0);
    alloc_free(box);
}

static const struct loop_table table = {
    .connect = uv_connect_host,
    .listen = uv_listen_on,
    .listener_close = uv_listener_close,
    .conn_events = uv_conn_events,
    .conn_read = uv_conn_read,
    .conn_write = uv_conn_write,
    .conn_unsent = uv_conn_unsent,
    .conn_close = uv_conn_close,
    .timer_new = uv_timer_new,
    .signal_new = uv_signal_new,
    .watch_new = uv_watch_new,
    .async_new = uv_async_new,
    .handle_free = uv_handle_free,
    .timer_set = uv_timer_set,
    .async_send = uv_async_wake,
    .now_ms = uv_now_ms,
    .wall_ms = uv_wall_ms,
    .random = uv_random_bytes,
    .run = uv_loop_run,
    .stop = uv_loop_stop,
    .close = uv_loop_free,
};

int loop_uv_open(struct loop **l, bool threads) {
    struct uv_loop_box *box = alloc_zeroed(1, sizeof *box);
    if (!box)
        return ECRDT_ENOMEM;
    int rc = uv_loop_init(&box->uv);
    if (rc) {
        alloc_free(box);
        return uv_failed(rc, "cannot make", "an event loop");
    }
    box->base.t = &table;
    box->threads = threads;
    *l = &box->base;
    return 0;
}
