/* links.c: the links of a cluster, each through a line that obeys: commands on
 * standard input cut, hold, slow and open it again.
 *
 * links PORT:TARGET...      link N (from 1) listens on PORT, dials TARGET
 *     N open      as a good line
 *     N cut       ends its connections and refuses new ones
 *     N hold W    keeps back what goes up (1), down (2) or both (3) and shows
 *                 neither side that it does
 *     N slow MS   delays each byte */
#include "tests/net/line.h"

enum { LINKS_MAX = 32, LINES_MAX = 256, COMMAND_MAX = 4096 };

struct link {
    int fd;
    char port[8], target[8];
    bool cut;
    unsigned held; /* bits: 1 = up, 2 = down */
    uint64_t delay_us;
};

struct conn {
    struct line line;
    struct link *link; /* NULL = free */
};

static struct link links[LINKS_MAX];
static int n_links;
static struct conn conns[LINES_MAX];

static void conn_end(struct conn *c) {
    line_end(&c->line);
    c->link = NULL;
}

static void accept_on(struct link *k) {
    int near = accept(k->fd, NULL, NULL), far = -1;
    struct conn *c = conns;
    while (c < conns + LINES_MAX && c->link)
        c++;
    if (near >= 0 && !k->cut && c < conns + LINES_MAX)
        far = line_dial(k->target);
    if (far < 0) {
        close(near);
        return;
    }
    line_init(&c->line, near, far);
    c->link = k;
}

static void command(char *text) {
    char verb[16] = "";
    int n = 0, value = 0;
    if (sscanf(text, "%d %15s %d", &n, verb, &value) < 2 || n < 1 ||
        n > n_links) {
        fprintf(stderr, "links: no such command: %s\n", text);
        exit(2);
    }
    struct link *k = &links[n - 1];
    k->cut = !strcmp(verb, "cut");
    k->held = strcmp(verb, "hold") ? 0 : (unsigned)value;
    k->delay_us = strcmp(verb, "slow") ? 0 : (uint64_t)value * 1000;
    for (struct conn *c = conns; k->cut && c < conns + LINES_MAX; c++)
        if (c->link == k)
            conn_end(c);
}

/* Whole lines of standard input; the end of it ends the program. */
static void listen_to_commands(void) {
    static char text[COMMAND_MAX];
    static size_t len;
    ssize_t n = read(0, text + len, sizeof text - len - 1);
    if (n <= 0)
        exit(0);
    len += (size_t)n;
    text[len] = 0;
    char *line = text, *end;
    for (; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        command(line);
    }
    len -= (size_t)(line - text);
    memmove(text, line, len);
}

static bool held(const struct conn *c, int i) {
    return c->link->held >> i & 1;
}

/* What is to be polled for; a way that is held back is not looked at. */
static int prepare(struct pollfd *p) {
    int ms = 1000;
    p[0] = (struct pollfd){0, POLLIN, 0};
    for (int k = 0; k < n_links; k++)
        p[1 + k] = (struct pollfd){links[k].fd, POLLIN, 0};
    p += 1 + n_links;
    for (struct conn *c = conns; c < conns + LINES_MAX; c++)
        for (int i = 0; i < 2; i++, p++) {
            bool look = c->link && !held(c, i);
            *p = (struct pollfd){look ? c->line.w[i].in : -1, 0, 0};
            if (!look)
                continue;
            p->events = c->line.w[i].queued < QUEUE_MAX ? POLLIN : 0;
            ms = line_wait_ms(&c->line, i, ms);
        }
    return ms;
}

static void carry(struct conn *c, const struct pollfd *p) {
    for (int i = 0; i < 2 && c->link; i++) {
        uint64_t any = UINT64_MAX;
        c->line.delay_us = c->link->delay_us;
        if ((p[i].revents && !line_take(&c->line, i)) ||
            (!held(c, i) && !line_give(&c->line, i, &any)))
            conn_end(c);
    }
}

int main(int argc, char **argv) {
    static struct pollfd p[1 + LINKS_MAX + 2 * LINES_MAX];
    for (int i = 1; i < argc && i <= LINKS_MAX; i++) {
        struct link *k = &links[n_links++];
        if (sscanf(argv[i], "%7[0-9]:%7[0-9]", k->port, k->target) != 2)
            return 64;
        k->fd = listen_on(k->port);
    }
    for (;;) {
        nfds_t n = (nfds_t)(1 + n_links + 2 * LINES_MAX);
        if (poll(p, n, prepare(p)) < 0 && errno != EINTR)
            die("poll");
        for (int i = 0; i < LINES_MAX; i++)
            if (conns[i].link)
                carry(&conns[i], &p[1 + n_links + 2 * i]);
        for (int k = 0; k < n_links; k++)
            if (p[1 + k].revents)
                accept_on(&links[k]);
        if (p[0].revents)
            listen_to_commands();
    }
}
