/* line.h: a bad line between two sockets: what one side sends reaches the
 * other later and at a bounded rate. It counts bytes and dependent turns: what
 * a side sends is one deeper than all that it was given before. */
#ifndef TESTS_NET_LINE_H
#define TESTS_NET_LINE_H
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK = 16384,
    DEPTHS = 64,
    QUEUE_MAX = 64 << 20,
    FULL_US = 2000 /* the other side reads too slowly: look again then */
};

struct block {
    struct block *next;
    uint64_t due_us;
    unsigned depth;
    size_t n, at;
    uint8_t bytes[BLOCK];
};

/* One direction: from the socket in to the socket out. */
struct way {
    int in, out;
    struct block *first, **last;
    uint64_t free_us; /* when the line is free again */
    uint64_t bytes;   /* delivered */
    size_t queued;
};

/* w[0]: from the side that dials to the other; w[1]: back. */
struct line {
    struct way w[2];
    unsigned given[2]; /* by side: the greatest depth it was given */
    uint64_t by_depth[DEPTHS];
    uint64_t delay_us, rate; /* rate: bytes a second, 0 = any */
};

static inline _Noreturn void die(const char *what) {
    perror(what);
    exit(2);
}

static inline uint64_t now_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static inline struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, "127.0.0.1", &sa.sin_addr);
    return sa;
}

static inline int listen_on(const char *port) {
    struct sockaddr_in sa = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 8) < 0)
        die("listen");
    return fd;
}

/* A socket that is connected to the port, or -1. */
static inline int line_dial(const char *port) {
    struct sockaddr_in sa = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* near: the side that dialed us. The line owns both sockets. */
static inline void line_init(struct line *l, int near, int far) {
    int one = 1;
    setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    memset(l, 0, sizeof *l);
    for (int i = 0; i < 2; i++) {
        l->w[i].in = i ? far : near;
        l->w[i].out = i ? near : far;
        l->w[i].last = &l->w[i].first;
    }
}

/* Reads what side i has sent into the queue; false at the end of the stream.
 * It may depend on all that the side was given. */
static inline bool line_take(struct line *l, int i) {
    struct way *w = &l->w[i];
    struct block *b = calloc(1, sizeof *b);
    if (!b)
        die("line");
    ssize_t n = read(w->in, b->bytes, BLOCK);
    if (n <= 0) {
        free(b);
        return false;
    }
    uint64_t now = now_us();
    uint64_t begin = now > w->free_us ? now : w->free_us;
    b->n = (size_t)n;
    b->depth = l->given[i] + 1;
    w->free_us = begin + (l->rate ? b->n * 1000000 / l->rate : 0);
    b->due_us = w->free_us + l->delay_us;
    w->queued += b->n;
    *w->last = b;
    w->last = &b->next;
    return true;
}

/* Delivers what side i has sent and what is due, at most room bytes; false if
 * the socket is gone. */
static inline bool line_give(struct line *l, int i, uint64_t *room) {
    struct way *w = &l->w[i];
    unsigned *given = &l->given[1 - i];
    while (w->first && w->first->due_us <= now_us() && *room) {
        struct block *b = w->first;
        size_t n = b->n - b->at < *room ? b->n - b->at : (size_t)*room;
        ssize_t k =
            send(w->out, b->bytes + b->at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0 && errno == EAGAIN) {
            b->due_us = now_us() + FULL_US;
            return true;
        }
        if (k <= 0)
            return false;
        b->at += (size_t)k;
        w->bytes += (uint64_t)k;
        w->queued -= (size_t)k;
        *room -= (uint64_t)k;
        l->by_depth[b->depth < DEPTHS ? b->depth : DEPTHS - 1] += (uint64_t)k;
        if (b->depth > *given)
            *given = b->depth;
        if (b->at < b->n)
            continue;
        w->first = b->next;
        if (!w->first)
            w->last = &w->first;
        free(b);
    }
    return true;
}

/* Milliseconds until something of side i is due, ms at most. */
static inline int line_wait_ms(const struct line *l, int i, int ms) {
    if (!l->w[i].first)
        return ms;
    uint64_t now = now_us(), due = l->w[i].first->due_us;
    int left = due <= now ? 0 : (int)((due - now) / 1000) + 1;
    return left < ms ? left : ms;
}

static inline void line_end(struct line *l) {
    for (int i = 0; i < 2; i++) {
        close(l->w[i].in);
        while (l->w[i].first) {
            struct block *b = l->w[i].first;
            l->w[i].first = b->next;
            free(b);
        }
    }
}
#endif
