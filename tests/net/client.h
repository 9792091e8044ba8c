/* client.h: the far end of a link for net_helper.c: dials a relay and says
 * what it likes over a channel. */
#ifndef TESTS_NET_CLIENT_H
#define TESTS_NET_CLIENT_H
#include "edgecrdt_sync.h"
#include "lib/crypto.h"
#include "replication/link/channel.h"
#include "replication/message.h"
#include "replication/peers.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static _Noreturn void die(const char *what) {
    fprintf(stderr, "net_helper: %s: %s\n", what, ecrdt_errmsg());
    exit(2);
}

static ecrdt_store *open_store(const char *path) {
    ecrdt_store *s = ecrdt_open(path, NULL);
    if (!s)
        die("open");
    return s;
}

static int dial(const char *port) {
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, "127.0.0.1", &sa.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        perror("net_helper: connect");
        exit(2);
    }
    return fd;
}

static bool send_all(int fd, const void *p, size_t n) {
    for (size_t at = 0; at < n;) {
        ssize_t k = send(fd, (const char *)p + at, n - at, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        at += (size_t)k;
    }
    return true;
}

struct client {
    int fd;
    struct identity self;
    struct channel *ch;
    ecrdt_store *store;
};

static bool flush_out(struct client *c) {
    struct buf *out = channel_out(c->ch);
    size_t n = out->len;
    bool ok = send_all(c->fd, out->data, n);
    channel_wrote(c->ch, n);
    return ok;
}

/* Reads once; false at the end of the stream. */
static bool read_in(struct client *c) {
    uint8_t room[65536];
    ssize_t n = recv(c->fd, room, sizeof room, 0);
    return n > 0 &&
           channel_feed(c->ch, slice_of(room, (size_t)n), now_us() / 1000) == 0;
}

/* Dials as the node of KEY_FILE and gets as far as an accepted channel. */
static void client_open(struct client *c, char **a) {
    struct channel_conf conf = {.initiator = true, .realm = "default"};
    struct channel_event e;
    struct hello h;
    struct buf hello = {0};
    c->store = open_store(a[0]);
    if (identity_load(&c->self, a[1]) < 0 ||
        identity_parse(conf.expect, ecrdt_str(a[2])) < 0 ||
        hello_make(&h, c->store, "client", PEER_EDGE, c->self.pk, c->self.sk) <
            0)
        die("client");
    hello_encode(&hello, &h);
    conf.hello = buf_slice(&hello);
    conf.self = &c->self;
    conf.max_message = MESSAGE_MAX;
    crypto_random(conf.ephemeral, sizeof conf.ephemeral);
    if (channel_open(&c->ch, &conf) < 0)
        die("channel");
    c->fd = dial(a[3]);
    while (!channel_ready(c->ch) || !channel_accepted(c->ch)) {
        if (!flush_out(c) || !read_in(c))
            die("handshake");
        while (!channel_accepted(c->ch) && channel_next(c->ch, &e) == 1)
            continue;
    }
    flush_out(c);
    buf_free(&hello);
}

/* Until the other side ends the link: 0 and its BYE if it sent one. */
static int await_bye(struct client *c) {
    struct timeval tv = {8, 0};
    struct channel_event e;
    struct bye bye;
    bool said = false;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    do {
        while (channel_next(c->ch, &e) == 1)
            if (e.kind == CHANNEL_MESSAGE && e.type == MESSAGE_BYE &&
                !message_bye_decode(e.body, &bye)) {
                printf("bye code=%u %s\n", bye.code, bye.sentence);
                said = true;
            }
        errno = 0;
    } while (read_in(c));
    return errno == EAGAIN || !said;
}

static int client_close(struct client *c, int result) {
    channel_close(c->ch);
    identity_free(&c->self);
    close(c->fd);
    return ecrdt_close(c->store) < 0 ? 2 : result;
}
#endif
