/* net_helper.c: what the network tests do to stores and links from their
 * shell scripts: one verb a run. */
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/guard.h"
#include "tests/net/client.h"

/* ---- stores ---- */

/* keygen FILE: makes a node key and prints its public form. */
static int keygen(char **a) {
    uint8_t seed[32];
    struct identity id;
    char text[IDENTITY_TEXT];
    crypto_random(seed, sizeof seed);
    if (identity_create(a[0], seed) < 0 || identity_load(&id, a[0]) < 0)
        die("keygen");
    puts(identity_text(text, id.pk));
    return 0;
}

/* init STORE full|relaxed|ephemeral */
static int init(char **a) {
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = *a[1] == 'r'   ? ECRDT_RELAXED
              : *a[1] == 'e' ? ECRDT_EPHEMERAL
                             : ECRDT_FULL;
    ecrdt_store *s = ecrdt_open(a[0], &o);
    if (!s)
        die("init");
    return ecrdt_close(s) < 0;
}

/* set STORE BUCKET KEY VALUE */
static int set(char **a) {
    ecrdt_store *s = open_store(a[0]);
    ecrdt_txn *t = ecrdt_auto(s);
    if (ecrdt_reg_set(t, a[1], ecrdt_str(a[2]), ecrdt_str(a[3])) < 0)
        die("set");
    ecrdt_abort(t);
    return ecrdt_close(s) < 0;
}

/* fill STORE BUCKET PREFIX N VALUE_BYTES BATCH: N registers. */
static int fill(char **a) {
    ecrdt_store *s = open_store(a[0]);
    long n = atol(a[3]), batch = atol(a[5]);
    size_t size = (size_t)atol(a[4]);
    uint8_t *value = malloc(size + 1);
    char key[128];
    crypto_random(value, size);
    for (long i = 0; i < n;) {
        ecrdt_txn *t = ecrdt_write(s);
        for (long j = 0; j < batch && i < n; j++, i++) {
            snprintf(key, sizeof key, "%s%07ld", a[2], i);
            if (size >= 8)
                memcpy(value, &i, sizeof i);
            if (ecrdt_reg_set(t, a[1], ecrdt_str(key), slice_of(value, size)) <
                0)
                die("fill");
        }
        if (ecrdt_commit(t) < 0)
            die("fill: commit");
    }
    free(value);
    return ecrdt_close(s) < 0;
}

static bool has(ecrdt_store *s, const char *bucket, const char *key,
                const char *want) {
    ecrdt_txn *t = ecrdt_auto(s);
    ecrdt_slice v;
    int rc = ecrdt_reg_get(t, bucket, ecrdt_str(key), &v, NULL);
    if (rc < 0)
        die("get");
    bool ok = rc == 1 && slice_eq(v, ecrdt_str(want));
    ecrdt_abort(t);
    return ok;
}

/* wait STORE BUCKET KEY VALUE TIMEOUT_MS: until the register reads so. */
static int wait_value(char **a) {
    ecrdt_store *s = open_store(a[0]);
    uint64_t end = now_us() + strtoull(a[4], NULL, 10) * 1000;
    bool ok;
    while (!(ok = has(s, a[1], a[2], a[3])) && now_us() < end)
        usleep(1000);
    if (!ok)
        fprintf(stderr, "net_helper: %s/%s never read %s\n", a[1], a[2], a[3]);
    return ecrdt_close(s) < 0 || !ok;
}

static void print_digest(ecrdt_store *s, const char *bucket) {
    uint8_t d[16];
    if (ecrdt_digest(s, bucket, d) < 0)
        die("digest");
    for (size_t i = 0; i < sizeof d; i++)
        printf("%02x", d[i]);
    puts("");
}

/* digest STORE BUCKET */
static int digest(char **a) {
    ecrdt_store *s = open_store(a[0]);
    print_digest(s, a[1]);
    return ecrdt_close(s) < 0;
}

/* same BUCKET TIMEOUT_MS STORE...: until all digests are equal, not zero. */
static int same(char **a) {
    static const uint8_t none[16];
    ecrdt_store *s[16];
    size_t n = 0;
    bool ok = false;
    uint64_t end = now_us() + strtoull(a[1], NULL, 10) * 1000;
    for (; a[2 + n] && n < 16; n++)
        s[n] = open_store(a[2 + n]);
    for (; !ok && now_us() < end; usleep(5000)) {
        uint8_t first[16], d[16];
        if (ecrdt_digest(s[0], a[0], first) < 0)
            die("digest");
        ok = memcmp(first, none, 16) != 0;
        for (size_t i = 1; i < n && ok; i++) {
            if (ecrdt_digest(s[i], a[0], d) < 0)
                die("digest");
            ok = !memcmp(first, d, 16);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!ok)
            print_digest(s[i], a[0]);
        ecrdt_close(s[i]);
    }
    return !ok;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *what, uint64_t *us, size_t n) {
    qsort(us, n, sizeof *us, by_value);
    printf("%s n=%zu p50_us=%llu p99_us=%llu max_us=%llu\n", what, n,
           (unsigned long long)us[n / 2],
           (unsigned long long)us[n - 1 - n / 100],
           (unsigned long long)us[n - 1]);
}

/* load STORE BUCKET PREFIX SECONDS PER_SECOND: single writes, their times. */
static int load(char **a) {
    ecrdt_store *s = open_store(a[0]);
    uint64_t end = now_us() + strtoull(a[3], NULL, 10) * 1000000;
    uint64_t gap = 1000000 / strtoull(a[4], NULL, 10);
    size_t n = 0, cap = 1000000;
    uint64_t *us = calloc(cap, sizeof *us);
    for (uint64_t next = now_us(); next < end && n < cap; next += gap) {
        char key[128];
        uint64_t t0 = now_us();
        if (t0 < next) {
            usleep((useconds_t)(next - t0));
            t0 = now_us();
        }
        ecrdt_txn *t = ecrdt_write(s);
        snprintf(key, sizeof key, "%s%07zu", a[2], n);
        ecrdt_reg_set(t, a[1], ecrdt_str(key), ecrdt_str(key));
        if (ecrdt_commit(t) < 0)
            die("load");
        us[n++] = now_us() - t0;
    }
    print_times("commit", us, n);
    free(us);
    return ecrdt_close(s) < 0;
}

/* latency FROM TO BUCKET N: commit at FROM until readable at TO. */
static int latency(char **a) {
    ecrdt_store *from = open_store(a[0]), *to = open_store(a[1]);
    size_t n = (size_t)atol(a[3]);
    uint64_t *us = calloc(n, sizeof *us);
    for (size_t i = 0; i < n; i++) {
        char value[64];
        snprintf(value, sizeof value, "%zu-%ld", i, (long)getpid());
        ecrdt_txn *t = ecrdt_auto(from);
        if (ecrdt_reg_set(t, a[2], ecrdt_str("latency"), ecrdt_str(value)) < 0)
            die("latency");
        ecrdt_abort(t);
        uint64_t t0 = now_us();
        while (!has(to, a[2], "latency", value))
            if (now_us() - t0 > 10000000) {
                fprintf(stderr, "net_helper: %s never arrived\n", value);
                return 1;
            } else {
                usleep(200);
            }
        us[i] = now_us() - t0;
        usleep(20000);
    }
    print_times("latency", us, n);
    free(us);
    return (ecrdt_close(from) < 0) | (ecrdt_close(to) < 0);
}

/* receipts STORE BUCKET N: commit until durable at a core, and known. */
static int receipts(char **a) {
    ecrdt_store *s = open_store(a[0]);
    size_t n = (size_t)atol(a[2]);
    uint64_t *us = calloc(n, sizeof *us);
    for (size_t i = 0; i < n; i++) {
        ecrdt_receipt r;
        uint64_t t0 = now_us();
        ecrdt_txn *t = ecrdt_write(s);
        if (ecrdt_reg_set(t, a[1], ecrdt_str("receipts"), ecrdt_str("v")) < 0 ||
            ecrdt_receipt_of(t, a[1], &r) < 0 || ecrdt_commit(t) < 0 ||
            ecrdt_wait(s, &r, ECRDT_AT_CORE, 10000) != 1)
            die("receipts");
        us[i] = now_us() - t0;
        usleep(10000);
    }
    print_times("receipts", us, n);
    free(us);
    return ecrdt_close(s) < 0;
}

/* tamper STORE BUCKET KEY lose|alter: what damage behind the library's back
 * does to a register's record, with a good checksum. */
static int tamper(char **a) {
    ecrdt_store *s = open_store(a[0]);
    struct item_key k;
    struct bucket *bk;
    struct buf rec = {0};
    ecrdt_txn *t;
    slice v;
    if (replica_begin(s, true, 5000, &t) < 0 ||
        door_item(t, a[1], false, TAG_REGISTER, ecrdt_str(a[2]),
                  slice_of(NULL, 0), &bk, &k) != 1 ||
        db_cursor_find(t->items, item_key_db(&k), &v) != 1)
        die("tamper");
    buf_put(&rec, v.data, v.len);
    rec.data[rec.len - 1] ^= 1;
    int rc = *a[3] == 'l'
                 ? db_cursor_del(t->items)
                 : db_cursor_put(t->items, item_key_db(&k), &rec, true);
    buf_free(&rec);
    if (rc < 0 || ecrdt_commit(t) < 0)
        die("tamper");
    return ecrdt_close(s) < 0;
}

/* differ STORE BUCKET PREFIX N STEP VALUE: writes to N keys of fill, each STEP
 * apart from the one before, in one commit; then raises the store's floor over
 * all that it holds, as if tombs were dropped. */
static int differ(char **a) {
    ecrdt_store *s = open_store(a[0]);
    struct bucket *bk;
    ecrdt_txn *t;
    int rc = replica_begin(s, true, 5000, &t);
    for (long i = 0; rc >= 0 && i < atol(a[3]); i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%07ld", a[2],
                 i * atol(a[4]) + (long)strlen(a[5]) * atol(a[4]) / 4);
        rc = ecrdt_reg_set(t, a[1], ecrdt_str(key), ecrdt_str(a[5]));
    }
    if (rc < 0 || ecrdt_commit(t) < 0 || replica_begin(s, true, 5000, &t) < 0 ||
        txn_bucket(t, a[1], false, &bk) != 1 || clocks_load(t, bk) < 0 ||
        clocks_raise_all(t, bk, CLOCK_FLOOR, &bk->rs.r[0].clk) < 0 ||
        ecrdt_commit(t) < 0)
        die("differ");
    return ecrdt_close(s) < 0;
}

/* hold STORE: takes the writer lock, says so, and never gives it back. */
static int hold(char **a) {
    ecrdt_store *s = open_store(a[0]);
    if (!ecrdt_write(s))
        die("hold");
    puts("held");
    fflush(stdout);
    for (;;)
        pause();
}

static int print_peer(void *ctx, slice name, slice value) {
    struct peer_record r;
    struct relay_record self;
    (void)ctx;
    if (slice_eq(name, ecrdt_str(PEERS_SELF))) {
        if (relay_record_decode(value, &self) < 0)
            die("self");
        printf("self name=%s running=%d links=%llu refused_keys=%llu "
               "malformed=%llu listen=%s status=%s\n",
               self.name, self.running, (unsigned long long)self.links,
               (unsigned long long)self.refused_keys,
               (unsigned long long)self.malformed,
               self.n_listen ? self.listen[0] : "", self.status);
        return 0;
    }
    if (peers_record_decode(value, &r) < 0)
        die("peer");
    printf("peer name=%s state=%s here=%llu there=%llu chunks_in=%llu "
           "chunks_out=%llu bytes_in=%llu bytes_out=%llu links=%llu "
           "payload=%llu repeated=%llu error=%s\n",
           r.name, peer_state_name(r.state), (unsigned long long)r.missing_here,
           (unsigned long long)r.missing_there, (unsigned long long)r.chunks_in,
           (unsigned long long)r.chunks_out, (unsigned long long)r.bytes_in,
           (unsigned long long)r.bytes_out, (unsigned long long)r.links,
           (unsigned long long)r.payload_in, (unsigned long long)r.repeated_in,
           r.error);
    return 0;
}

/* peers STORE: the relay's records. */
static int peers(char **a) {
    ecrdt_store *s = open_store(a[0]);
    ecrdt_txn *t = ecrdt_read(s);
    if (replica_each_peer(t, print_peer, NULL) < 0)
        die("peers");
    ecrdt_abort(t);
    return ecrdt_close(s) < 0;
}

/* sync STORE KEY_FILE TIMEOUT_MS PEER...: ecrdt_sync_once() */
static int sync_with(char **a) {
    ecrdt_store *s = open_store(a[0]);
    ecrdt_sync_conf c = ECRDT_SYNC_CONF_INIT;
    ecrdt_sync_report r = {.size = sizeof r};
    c.key_file = a[1];
    c.peers = (const char *const *)(a + 3);
    while (a[3 + c.npeers])
        c.npeers++;
    int rc = ecrdt_sync_once(s, &c, atoi(a[2]), &r);
    printf(
        "rc=%d reached=%u synced=%u applied=%llu sent=%llu in=%llu "
        "out=%llu%s%s\n",
        rc, r.peers_reached, r.peers_synced,
        (unsigned long long)r.items_applied, (unsigned long long)r.items_sent,
        (unsigned long long)r.bytes_received, (unsigned long long)r.bytes_sent,
        rc == 1 ? "" : " ", rc == 1 ? "" : ecrdt_errmsg());
    ecrdt_close(s);
    return rc != 1;
}

/* ---- links ---- */

/* garbage PORT BYTES: random bytes instead of a hello; 0 if it hangs up. */
static int garbage(char **a) {
    int fd = dial(a[0]);
    size_t n = (size_t)atol(a[1]);
    uint8_t *p = malloc(n + 1);
    char room[4096];
    struct timeval tv = {8, 0};
    crypto_random(p, n);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    send_all(fd, p, n);
    free(p);
    for (;;) {
        ssize_t k = recv(fd, room, sizeof room, 0);
        if (k == 0 || (k < 0 && errno == ECONNRESET))
            return 0;
        if (k < 0)
            return 1;
    }
}

/* Tells clocks of ever more origins, each with absurd counts, until the other
 * side had enough. */
static void invent_origins(struct client *c) {
    struct clock_state *said = clock_state_new();
    bool up = channel_send(c->ch, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0), 1) ==
              ECRDT_OK;
    for (uint64_t n = 0; up && n < 4000000;) {
        struct clock_state *next = clock_state_new();
        struct buf b = {0};
        if (ranges_copy(&next->ranges, &said->ranges) < 0 ||
            ranges_init(&next->ranges) < 0)
            die("invent");
        for (int i = 0; i < 50000; i++) {
            uint8_t o[ORIGIN_SIZE] = {0};
            store64(o, ++n);
            if (vv_raise(&next->ranges.r[0].clk, o, INT64_MAX, 1) < 0)
                die("invent");
        }
        message_diff_encode(&b, 0, 0, "b", said, next, false);
        up = channel_send(c->ch, MESSAGE_CLOCK_DIFF, buf_slice(&b), 1) ==
                 ECRDT_OK &&
             flush_out(c);
        clock_state_unref(said);
        said = next;
        buf_free(&b);
    }
    clock_state_unref(said);
}

/* hostile STORE KEY_FILE PEER_KEY PORT MODE: misbehaves after a good
 * handshake; 0 if the peer says BYE and hangs up. */
static int hostile(char **a) {
    struct client c = {0};
    const char *mode = a[4];
    uint8_t junk[256];
    crypto_random(junk, sizeof junk);
    client_open(&c, a);
    if (!strcmp(mode, "raw")) { /* no record at all */
        for (int i = 0; i < 300; i++)
            send_all(c.fd, junk, sizeof junk);
        struct timeval tv = {8, 0};
        setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
        while (recv(c.fd, junk, sizeof junk, 0) > 0)
            continue;
        return client_close(&c, errno == EAGAIN);
    }
    if (!strcmp(mode, "type"))
        channel_send(c.ch, 200, slice_of(junk, 10), 1);
    if (!strcmp(mode, "clock"))
        channel_send(c.ch, MESSAGE_CLOCK, slice_of(junk, sizeof junk), 1);
    if (!strcmp(mode, "early"))
        channel_send(c.ch, MESSAGE_CHUNK, slice_of(junk, sizeof junk), 1);
    if (!strcmp(mode, "chunk")) {
        struct buf b = {0};
        channel_send(c.ch, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0), 1);
        message_chunk_encode(&b, "b", false, slice_of(NULL, 0),
                             slice_of(junk, sizeof junk));
        channel_send(c.ch, MESSAGE_CHUNK, buf_slice(&b), 1);
        buf_free(&b);
    }
    if (!strcmp(mode, "huge")) {
        static uint8_t big[MESSAGE_CLOCK_MAX + 1];
        channel_send(c.ch, MESSAGE_CLOCK, slice_of(big, sizeof big), 1);
    }
    if (!strcmp(mode, "origins"))
        invent_origins(&c);
    flush_out(&c);
    return client_close(&c, await_bye(&c));
}

/* deaf STORE KEY_FILE PEER_KEY PORT SECONDS: says that it has nothing, then
 * never reads. */
static int deaf(char **a) {
    struct client c = {0};
    client_open(&c, a);
    channel_send(c.ch, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0), 1);
    flush_out(&c);
    puts("deaf");
    fflush(stdout);
    sleep((unsigned)atoi(a[4]));
    return client_close(&c, 0);
}

/* half PORT SECONDS: connects and says nothing; 0 if it is hung up on. */
static int half(char **a) {
    int fd = dial(a[0]);
    char room[4096];
    struct timeval tv = {atoi(a[1]), 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    ssize_t n;
    while ((n = recv(fd, room, sizeof room, 0)) > 0)
        continue;
    return n < 0 && errno == EAGAIN;
}

/* twin STORE: lets a copied folder look as if it were the original: all that
 * its guard could tell it by agrees. */
static int twin(char **a) {
    struct guard g;
    if (guard_load(a[0], &g) != 1)
        die("guard");
    guard_facts_read(a[0], &g.facts);
    return guard_save(a[0], 0660, &g, true) < 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*fn)(char **a);
        int args;
    } verbs[] = {{"keygen", keygen, 1},     {"init", init, 2},
                 {"set", set, 4},           {"fill", fill, 6},
                 {"wait", wait_value, 5},   {"digest", digest, 2},
                 {"same", same, 4},         {"load", load, 5},
                 {"latency", latency, 4},   {"hold", hold, 1},
                 {"tamper", tamper, 4},     {"differ", differ, 6},
                 {"peers", peers, 1},       {"sync", sync_with, 4},
                 {"garbage", garbage, 2},   {"hostile", hostile, 5},
                 {"deaf", deaf, 5},         {"half", half, 2},
                 {"receipts", receipts, 3}, {"twin", twin, 1}};
    if (crypto_init() < 0)
        die("crypto");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (argc >= 2 + verbs[i].args && !strcmp(argv[1], verbs[i].name))
            return verbs[i].fn(argv + 2);
    fprintf(stderr, "net_helper: bad verb or too few arguments\n");
    return 64;
}
