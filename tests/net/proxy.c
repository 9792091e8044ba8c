/* proxy.c: a bad line between two nodes, for one connection at a time: delay,
 * a cap on the rate, cuts at random bytes. It counts bytes and dependent
 * turns (line.h).
 *
 * proxy PORT TARGET DELAY_MS BYTES_PER_S CUTS CUT_WITHIN FILE
 * CUTS connections end after a random number of bytes to the dialing side, at
 * most CUT_WITHIN. FILE gets a line for each connection as it ends:
 * conn=N up=BYTES down=BYTES depth=BYTES,BYTES,... (by depth, 1 first). */
#include "tests/net/line.h"
#include <sys/random.h>

static volatile sig_atomic_t stopped;

static void on_signal(int sig) {
    (void)sig;
    stopped = 1;
}

static uint64_t random_below(uint64_t bound) {
    uint64_t v;
    if (getrandom(&v, sizeof v, 0) != sizeof v)
        die("getrandom");
    return v % bound;
}

/* Carries one connection until it ends, or for cut bytes down. */
static void carry(struct line *l, uint64_t cut) {
    uint64_t any = UINT64_MAX;
    while (!stopped) {
        struct pollfd p[2];
        for (int i = 0; i < 2; i++)
            p[i] = (struct pollfd){l->w[i].in,
                                   l->w[i].queued < QUEUE_MAX ? POLLIN : 0, 0};
        poll(p, 2, line_wait_ms(l, 0, line_wait_ms(l, 1, 1000)));
        for (int i = 0; i < 2; i++)
            if (p[i].revents && !line_take(l, i))
                return;
        if (!line_give(l, 0, &any) || !line_give(l, 1, &cut) || !cut)
            return;
    }
}

static void report(const char *path, int n, const struct line *l) {
    FILE *f = fopen(path, "a");
    if (!f)
        die(path);
    fprintf(f, "conn=%d up=%llu down=%llu depth=", n,
            (unsigned long long)l->w[0].bytes,
            (unsigned long long)l->w[1].bytes);
    for (int i = 1; i < DEPTHS; i++)
        fprintf(f, "%s%llu", i > 1 ? "," : "",
                (unsigned long long)l->by_depth[i]);
    fputc('\n', f);
    fclose(f);
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "proxy: 7 arguments\n");
        return 64;
    }
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGTERM, &sa, NULL);
    long cuts = atol(argv[5]);
    int fd = listen_on(argv[1]);
    for (int n = 1; !stopped; n++) {
        int near = accept(fd, NULL, NULL);
        int far = near < 0 ? -1 : line_dial(argv[2]);
        if (far < 0) {
            close(near);
            continue;
        }
        struct line l;
        line_init(&l, near, far);
        l.delay_us = (uint64_t)atol(argv[3]) * 1000;
        l.rate = (uint64_t)atol(argv[4]);
        uint64_t within = (uint64_t)atol(argv[6]);
        carry(&l, cuts-- > 0 ? 1 + random_below(within) : UINT64_MAX);
        report(argv[7], n, &l);
        line_end(&l);
    }
    return 0;
}
