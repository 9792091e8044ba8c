/* fuzz_converge.c: the input as operations, chunks lost, doubled, late and on
 * wrong beliefs, gc and pulls between three stores, compared with a textbook
 * CRDT after each step; at the end all are equal.
 * Covers: crdt/chunk_build.c crdt/chunk_apply.c crdt/door.c crdt/dotlog.c
 *         crdt/register.c crdt/orset.c crdt/counter.c crdt/gc.c */
#include "crdt/gc.h"
#include "fuzz/fuzz.h"
#include "tests/laws/chunks.h"

enum { N = 3, NET = 8, STEPS = 60 };

static struct world w;
static struct msg *net[NET];
static size_t on_way;
static struct ranges believed[N];

static void open_world(void) {
    universe_init(&w.u);
    memset(w.node, 0, sizeof w.node);
    w.n = N;
    w.next_value = 1;
    w.step = 0;
    on_way = 0;
    for (size_t i = 0; i < N; i++) {
        w.node[i].s = fuzz_store(i, NULL);
        world_me(&w, &w.node[i]);
    }
}

static void close_world(void) {
    while (on_way)
        free_msg(net[--on_way]);
    for (size_t i = 0; i < N; i++)
        ranges_free(&believed[i]);
    fuzz_reset();
}

static void look(size_t i, struct ranges *rs) {
    struct vv floor = {0};
    ecrdt_txn *t = world_begin(&w.node[i], false);
    ranges_free(rs);
    FUZZ_CHECK(replica_clock(t, world_bucket, rs, &floor) == 0);
    ecrdt_abort(t);
    vv_free(&floor);
}

/* One chunk of s for r, if r lacks anything by what is believed of it. */
static struct msg *build(size_t s, size_t r, struct ranges *peer) {
    struct chunk_budget budget = chunk_budget_random(&w.rng);
    struct chunk_built built;
    struct msg *m = calloc(1, sizeof *m);
    FUZZ_CHECK(m);
    ecrdt_txn *t = world_begin(&w.node[s], false);
    int rc =
        chunk_build(t, world_bucket, peer, &budget, NULL, &m->bytes, &built);
    ecrdt_abort(t);
    FUZZ_CHECK(rc == 0 || rc == 1);
    m->from = s;
    m->to = r;
    memcpy(m->ref, w.node[s].ref, sizeof m->ref);
    if (rc == 1)
        return m;
    free_msg(m);
    return NULL;
}

static void deliver(struct msg *m) {
    struct node *nd = &w.node[m->to];
    ecrdt_txn *t = world_begin(nd, true);
    apply_in(&w, t, m, nd->ref);
    FUZZ_CHECK(ecrdt_commit(t) == 0);
    world_check(&w, nd);
}

static void send_one(size_t s, size_t r, bool exact) {
    struct ranges peer = {0};
    if (exact)
        look(r, &believed[r]);
    FUZZ_CHECK(ranges_copy(&peer, &believed[r]) == 0);
    struct msg *m = build(s, r, &peer);
    ranges_free(&peer);
    if (m && on_way < NET)
        net[on_way++] = m;
    else
        free_msg(m);
}

static void deliver_one(bool stays) {
    if (!on_way)
        return;
    size_t i = rng_below(&w.rng, on_way);
    struct msg *m = net[i];
    deliver(m);
    if (stays)
        return;
    net[i] = net[--on_way];
    free_msg(m);
}

static void pull(size_t s, size_t r) {
    struct ranges peer = {0};
    struct msg *m;
    look(r, &peer);
    for (int n = 0; (m = build(s, r, &peer)); n++) {
        FUZZ_CHECK(n < 1000);
        deliver(m);
        free_msg(m);
    }
    ranges_free(&peer);
}

static void collect(struct node *nd) {
    struct gc_policy policy = {.retention_ms = 0};
    struct gc g;
    int rc = 1;
    FUZZ_CHECK(gc_begin(&g, nd->s, &policy) == 0);
    while (rc == 1)
        rc = gc_step(&g, 1000);
    FUZZ_CHECK(rc == 0);
    gc_end(&g);
    world_check(&w, nd);
}

static void step(uint8_t what, size_t a, size_t b) {
    switch (what % 8) {
    case 0:
    case 1:
        world_commit(&w, &w.node[a]);
        world_check(&w, &w.node[a]);
        break;
    case 2:
        world_pair(&w, &w.node[a]);
        break;
    case 3:
    case 4:
        send_one(a, b, what & 8);
        break;
    case 5:
        deliver_one(what & 8);
        break;
    case 6:
        pull(a, b);
        break;
    default:
        collect(&w.node[a]);
    }
}

static void settle(void) {
    uint8_t digest[N][16];
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < N; i++)
            pull((i + 1) % N, i), pull((i + 2) % N, i);
    for (size_t i = 0; i < N; i++) {
        world_verify(&w, &w.node[i]);
        FUZZ_CHECK(ecrdt_digest(w.node[i].s, world_bucket, digest[i]) == 0);
        FUZZ_CHECK(!memcmp(digest[i], digest[0], 16));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_in in = {data, data + size};
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    open_world();
    for (w.step = 1; in.p < in.end && w.step < STEPS; w.step++) {
        uint8_t what = fuzz_byte(&in), who = fuzz_byte(&in);
        size_t a = who % N, b = (a + 1 + who / N % (N - 1)) % N;
        w.rng.s = (uint64_t)fuzz_below(&in, 0x10000) * 2654435761 + 1;
        fuzz_now_ms += who >> 4;
        w.what = "a step";
        step(what, a, b);
    }
    settle();
    close_world();
    return 0;
}
