/* proxy.c: a bad line between two nodes, for one connection at a time: delay,
 * a cap on the rate, cuts at random bytes. It counts bytes and dependent
 * turns: what a side sends is one deeper than all that it was given before.
 *
 * proxy PORT TARGET DELAY_MS BYTES_PER_S CUTS CUT_WITHIN FILE
 * CUTS connections end after a random number of bytes to the dialing side, at
 * most CUT_WITHIN. FILE gets a line for each connection as it ends:
 * conn=N up=BYTES down=BYTES depth=BYTES,BYTES,... (by depth, 1 first). */
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
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 16384, DEPTHS = 64, QUEUE_MAX = 64 << 20 };

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

static uint64_t delay_us, rate;
static volatile sig_atomic_t stopped;
static unsigned given[2]; /* by side: the greatest depth it was given */
static uint64_t by_depth[DEPTHS];

static void on_signal(int sig) {
    (void)sig;
    stopped = 1;
}

static _Noreturn void die(const char *what) {
    perror(what);
    exit(2);
}

static uint64_t now_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t random_below(uint64_t bound) {
    uint64_t v;
    if (getrandom(&v, sizeof v, 0) != sizeof v)
        die("getrandom");
    return v % bound;
}

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, "127.0.0.1", &sa.sin_addr);
    return sa;
}

static int listen_on(const char *port) {
    struct sockaddr_in sa = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 8) < 0)
        die("proxy: listen");
    return fd;
}

static int dial(const char *port) {
    struct sockaddr_in sa = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Reads what is there into the queue; false at the end of the stream. What
 * side sends may depend on all that it was given. */
static bool take(struct way *w, int side) {
    struct block *b = calloc(1, sizeof *b);
    if (!b)
        die("proxy");
    ssize_t n = read(w->in, b->bytes, BLOCK);
    if (n <= 0) {
        free(b);
        return false;
    }
    uint64_t now = now_us();
    uint64_t begin = now > w->free_us ? now : w->free_us;
    b->n = (size_t)n;
    b->depth = given[side] + 1;
    w->free_us = begin + (rate ? b->n * 1000000 / rate : 0);
    b->due_us = w->free_us + delay_us;
    w->queued += b->n;
    *w->last = b;
    w->last = &b->next;
    return true;
}

/* Delivers what is due, at most room bytes; false if the socket is gone. */
static bool give(struct way *w, int side, uint64_t *room) {
    while (w->first && w->first->due_us <= now_us() && *room) {
        struct block *b = w->first;
        size_t n = b->n - b->at < *room ? b->n - b->at : (size_t)*room;
        ssize_t k = send(w->out, b->bytes + b->at, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        b->at += (size_t)k;
        w->bytes += (uint64_t)k;
        w->queued -= (size_t)k;
        *room -= (uint64_t)k;
        unsigned d = b->depth < DEPTHS ? b->depth : DEPTHS - 1;
        by_depth[d] += (uint64_t)k;
        if (b->depth > given[side])
            given[side] = b->depth;
        if (b->at < b->n)
            continue;
        w->first = b->next;
        if (!w->first)
            w->last = &w->first;
        free(b);
    }
    return true;
}

static int wait_ms(const struct way *w) {
    uint64_t now = now_us();
    int ms = 1000;
    for (int i = 0; i < 2; i++)
        if (w[i].first) {
            uint64_t due = w[i].first->due_us;
            int left = due <= now ? 0 : (int)((due - now) / 1000) + 1;
            ms = left < ms ? left : ms;
        }
    return ms;
}

/* Carries one connection until it ends, or for cut bytes down. */
static void carry(struct way w[2], uint64_t cut) {
    uint64_t any = UINT64_MAX;
    while (!stopped) {
        struct pollfd p[2];
        for (int i = 0; i < 2; i++)
            p[i] = (struct pollfd){w[i].in,
                                   w[i].queued < QUEUE_MAX ? POLLIN : 0, 0};
        poll(p, 2, wait_ms(w));
        for (int i = 0; i < 2; i++)
            if (p[i].revents && !take(&w[i], i))
                return;
        if (!give(&w[0], 1, &any) || !give(&w[1], 0, &cut) || !cut)
            return;
    }
}

static void report(const char *path, int n, const struct way w[2]) {
    FILE *f = fopen(path, "a");
    if (!f)
        die(path);
    fprintf(f, "conn=%d up=%llu down=%llu depth=", n,
            (unsigned long long)w[0].bytes, (unsigned long long)w[1].bytes);
    for (int i = 1; i < DEPTHS; i++)
        fprintf(f, "%s%llu", i > 1 ? "," : "", (unsigned long long)by_depth[i]);
    fputc('\n', f);
    fclose(f);
}

static void end(struct way w[2]) {
    for (int i = 0; i < 2; i++) {
        close(w[i].in);
        while (w[i].first) {
            struct block *b = w[i].first;
            w[i].first = b->next;
            free(b);
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "proxy: 7 arguments\n");
        return 64;
    }
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGTERM, &sa, NULL);
    delay_us = (uint64_t)atol(argv[3]) * 1000;
    rate = (uint64_t)atol(argv[4]);
    long cuts = atol(argv[5]);
    int fd = listen_on(argv[1]), one = 1;
    for (int n = 1; !stopped; n++) {
        int near = accept(fd, NULL, NULL);
        int far = near < 0 ? -1 : dial(argv[2]);
        if (far < 0) {
            close(near);
            continue;
        }
        setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct way w[2] = {{.in = near, .out = far}, {.in = far, .out = near}};
        w[0].last = &w[0].first;
        w[1].last = &w[1].first;
        memset(given, 0, sizeof given);
        memset(by_depth, 0, sizeof by_depth);
        uint64_t within = (uint64_t)atol(argv[6]);
        carry(w, cuts-- > 0 ? 1 + random_below(within) : UINT64_MAX);
        report(argv[7], n, w);
        end(w);
    }
    return 0;
}
