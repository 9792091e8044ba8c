/* world.h: nodes with real stores, joined by pipes of bytes in memory, in
 * virtual time: what the tests of sessions and gossip play with. */
#ifndef TESTS_REPLICATION_WORLD_H
#define TESTS_REPLICATION_WORLD_H
#include "crdt/chunk_codec.h"
#include "crdt/guard.h"
#include "crdt/hlc.h"
#include "crdt/keys.h"
#include "crdt/type.h"
#include "lib/alloc.h"
#include "replication/gossip.h"
#include "tests/support/test.h"

enum { WORLD_NODES = 6, WORLD_LINKS = 10 };

struct world_node {
    char *dir;
    ecrdt_store *s;
    struct identity self;
    struct gossip g;
    uint8_t role;   /* enum peer_role */
    uint64_t woken; /* the commit that it was last told of */
};

struct world_end {
    size_t node;
    struct session *s;
    bool joined;   /* of its node's gossip */
    bool deaf;     /* takes no bytes from the pipe */
    size_t budget; /* bytes until it turns deaf; 0 = any number */
};

struct world_link {
    bool up;
    struct world_end end[2]; /* the first one dialed */
};

struct world {
    uint64_t now;
    struct rng rng;
    struct world_node node[WORLD_NODES];
    struct world_link link[WORLD_LINKS];
    size_t n_links;
    uint64_t moved;        /* bytes over all links, ever */
    struct talk_conf talk; /* of sessions that begin */
};

static inline void world_node(struct world *w, size_t i,
                              const ecrdt_options *opts) {
    struct world_node *n = &w->node[i];
    uint8_t seed[32];
    rng_bytes(&w->rng, seed, sizeof seed);
    n->dir = tmpdir_make();
    n->s = assert_handle(ecrdt_open(path_join(n->dir, "store"), opts));
    identity_init(&n->self, seed);
    gossip_init(&n->g, n->s);
}

/* n nodes at second 1000. */
static inline void world_open(struct world *w, size_t n) {
    *w = (struct world){.now = 1000000, .rng = rng_seed()};
    assert_ok(crypto_init());
    for (size_t i = 0; i < n; i++)
        world_node(w, i, NULL);
}

static inline int world_allow(void *ctx, const uint8_t pk[32]) {
    (void)ctx, (void)pk;
    return 1;
}

/* A session of node i towards the key of node j. */
static inline struct session *world_session(struct world *w, size_t i, size_t j,
                                            bool initiator) {
    struct world_node *n = &w->node[i];
    struct session *s;
    struct session_conf conf = {.channel = {.self = &n->self,
                                            .initiator = initiator,
                                            .allow = world_allow,
                                            .realm = "test"},
                                .talk = w->talk};
    memcpy(conf.channel.expect, w->node[j].self.pk, 32);
    rng_bytes(&w->rng, conf.channel.ephemeral, 32);
    assert_ok(
        hello_make(&conf.hello, n->s, "node", n->role, n->self.pk, n->self.sk));
    assert_ok(session_open(&conf, w->now, &s));
    return s;
}

/* Dials j from i. */
static inline struct world_link *world_connect(struct world *w, size_t i,
                                               size_t j) {
    struct world_link *l = NULL;
    for (size_t k = 0; k < w->n_links; k++)
        if (!w->link[k].up)
            l = &w->link[k];
    if (!l) {
        assert_true(w->n_links < WORLD_LINKS);
        l = &w->link[w->n_links++];
    }
    *l = (struct world_link){.up = true};
    l->end[0] =
        (struct world_end){.node = i, .s = world_session(w, i, j, true)};
    l->end[1] =
        (struct world_end){.node = j, .s = world_session(w, j, i, false)};
    return l;
}

/* The link breaks: both sessions go. */
static inline void world_cut(struct world *w, struct world_link *l) {
    for (int e = 0; e < 2; e++) {
        struct world_end *x = &l->end[e];
        if (x->joined)
            gossip_remove(&w->node[x->node].g, x->s);
        session_free(x->s);
    }
    l->up = false;
}

/* Moves some bytes from one end to the other, cut at a random place. */
static inline bool world_move(struct world *w, struct world_end *from,
                              struct world_end *to) {
    struct buf *out = session_out(from->s);
    if (!out->len || to->deaf || !session_wants_read(to->s))
        return false;
    size_t most = out->len < 65536 ? out->len : 65536;
    size_t n = 1 + (size_t)rng_below(&w->rng, most);
    if (to->budget && n >= to->budget)
        n = to->budget;
    struct buf bytes = {0};
    buf_put(&bytes, out->data, n);
    channel_wrote(from->s->channel, n);
    w->moved += n;
    if (to->budget && !(to->budget -= n))
        to->deaf = true; /* the caller cuts now */
    session_feed(to->s, buf_slice(&bytes), w->now);
    buf_free(&bytes);
    return true;
}

static inline void world_join(struct world *w, struct world_end *x) {
    if (x->joined || !channel_accepted(x->s->channel))
        return;
    assert_ok(gossip_add(&w->node[x->node].g, x->s));
    x->joined = true;
}

/* One turn: bytes move, nodes work. Did anything move? */
static inline bool world_turn(struct world *w) {
    bool moved = false;
    for (size_t i = 0; i < w->n_links; i++) {
        struct world_link *l = &w->link[i];
        if (!l->up)
            continue;
        moved |= world_move(w, &l->end[0], &l->end[1]);
        moved |= world_move(w, &l->end[1], &l->end[0]);
        world_join(w, &l->end[0]);
        world_join(w, &l->end[1]);
    }
    for (size_t i = 0; i < WORLD_NODES; i++)
        if (w->node[i].s) {
            uint64_t id = replica_txn_id(w->node[i].s);
            if (id != w->node[i].woken)
                gossip_wake(&w->node[i].g, w->now);
            w->node[i].woken = id;
            moved |= gossip_run(&w->node[i].g, w->now) == 0;
        }
    return moved;
}

/* Lets ms of virtual time pass; as many turns in each as it takes. */
static inline void world_run(struct world *w, uint64_t ms) {
    for (uint64_t end = w->now + ms; w->now < end; w->now++)
        for (int i = 0; i < 200 && world_turn(w); i++)
            continue;
}

static inline bool world_link_in_sync(const struct world *w,
                                      const struct world_link *l) {
    for (int e = 0; e < 2; e++) {
        const struct gossip *g = &w->node[l->end[e].node].g;
        if (!gossip_current(g) || !session_in_sync(l->end[e].s, g->push.n))
            return false;
    }
    return true;
}

static inline bool world_in_sync(const struct world *w) {
    for (size_t i = 0; i < w->n_links; i++)
        if (w->link[i].up && !world_link_in_sync(w, &w->link[i]))
            return false;
    return true;
}

/* Runs until all links are in sync, ms at most. */
static inline void world_settle(struct world *w, uint64_t ms) {
    for (uint64_t end = w->now + ms; w->now < end && !world_in_sync(w);)
        world_run(w, 1);
    assert_true(world_in_sync(w));
}

/* The nodes hold the same content of the bucket, and some. */
static inline void world_assert_equal(struct world *w, const char *bucket,
                                      size_t i, size_t j) {
    uint8_t a[16], b[16], none[16] = {0};
    assert_ok(ecrdt_digest(w->node[i].s, bucket, a));
    assert_ok(ecrdt_digest(w->node[j].s, bucket, b));
    assert_memory_equal(a, b, 16);
    assert_memory_not_equal(a, none, 16);
}

static inline void world_set(struct world *w, size_t i, const char *bucket,
                             const char *key, const char *value) {
    ecrdt_txn *t = assert_handle(ecrdt_auto(w->node[i].s));
    assert_ok(ecrdt_reg_set(t, bucket, ecrdt_str(key), ecrdt_str(value)));
    ecrdt_abort(t);
}

static inline bool world_has(struct world *w, size_t i, const char *bucket,
                             const char *key) {
    ecrdt_slice v;
    ecrdt_txn *t = assert_handle(ecrdt_auto(w->node[i].s));
    int rc = ecrdt_reg_get(t, bucket, ecrdt_str(key), &v, NULL);
    ecrdt_abort(t);
    assert_true(rc >= 0);
    return rc == 1;
}

/* n registers "PREFIXnnnnnn" of size bytes in commits of 500. */
static inline void world_fill(struct world *w, size_t i, const char *bucket,
                              const char *prefix, int n, size_t size) {
    uint8_t *value = calloc(1, size + 8);
    for (int k = 0; k < n;) {
        ecrdt_txn *t = assert_handle(ecrdt_write(w->node[i].s));
        for (int j = 0; j < 500 && k < n; j++, k++) {
            char key[64];
            snprintf(key, sizeof key, "%s%06d", prefix, k);
            memcpy(value, &k, sizeof k);
            assert_ok(ecrdt_reg_set(t, bucket, ecrdt_str(key),
                                    slice_of(value, size)));
        }
        assert_ok(ecrdt_commit(t));
    }
    free(value);
}

/* Origin number i: 16 bytes that look random. */
static inline void world_origin(uint8_t out[ORIGIN_SIZE], uint32_t i) {
    struct rng r = {.s = 0x9e3779b97f4a7c15u * (i + 1)};
    for (int k = 0; k < 4; k++)
        rng_u64(&r);
    rng_bytes(&r, out, ORIGIN_SIZE);
}

static int world_by_head(const void *a, const void *b) {
    return memcmp(a, b, ORIGIN_SIZE);
}

/* Gives node i a register of each of the origins from..to, as their event
 * seq; base as all of them had before. */
static inline void world_origins(struct world *w, size_t i, const char *bucket,
                                 uint32_t from, uint32_t to, uint64_t seq) {
    uint32_t n = to - from;
    struct chunk c = {.bucket = slice_str(bucket)};
    struct chunk_part *p = chunk_add_part(&c);
    struct chunk_report r = {0};
    struct buf out = {0};
    struct item_key *key = calloc(n, sizeof *key);
    struct event *event = calloc(n, sizeof *event);
    struct chunk_item *item = calloc(n, sizeof *item);
    p->clk.e = alloc_resize(NULL, n, sizeof *p->clk.e);
    c.origins = calloc(n, ORIGIN_SIZE);
    p->clk.n = p->clk.cap = c.n_origins = n;
    for (uint32_t k = 0; k < n; k++) {
        p->clk.e[k].seq = p->clk.e[k].h = seq;
        world_origin(p->clk.e[k].origin, from + k);
    }
    qsort(p->clk.e, n, sizeof *p->clk.e, world_by_head);
    for (uint32_t k = 0; k < n; k++) {
        char name[16];
        snprintf(name, sizeof name, "%08x", load32(p->clk.e[k].origin));
        memcpy(c.origins[k], p->clk.e[k].origin, ORIGIN_SIZE);
        item_key_make(&key[k], 0, slice_str(name), TAG_REGISTER);
        item[k] = (struct chunk_item){
            .id = item_key_id(&key[k]), .first = k, .count = 1};
        event[k] = (struct event){.origin = k,
                                  .seq = seq,
                                  .hlc = hlc_make(1000 + seq, 0),
                                  .kind = KIND_PUT,
                                  .payload = (const uint8_t *)"v",
                                  .len = 1};
    }
    p->count = n;
    c.items = item;
    c.events = event;
    c.n_items = c.n_events = n;
    chunk_encode(&out, &c);
    ecrdt_txn *t = assert_handle(ecrdt_write(w->node[i].s));
    assert_ok(chunk_apply(t, buf_slice(&out), &r));
    assert_ok(ecrdt_commit(t));
    assert_int_equal(r.refused + r.ahead, 0);
    free(c.origins);
    free(key);
    free(event);
    free(item);
    c.origins = NULL;
    c.events = NULL;
    c.items = NULL;
    chunk_free(&c);
    buf_free(&out);
}

/* Ends node i, which has no link, as its process does; and one on that store,
 * its own one or a copy. */
static inline void world_stop(struct world *w, size_t i) {
    gossip_free(&w->node[i].g);
    assert_ok(ecrdt_close(w->node[i].s));
    w->node[i].s = NULL;
}

static inline void world_start(struct world *w, size_t i, const char *store) {
    w->node[i].s = assert_handle(ecrdt_open(store, NULL));
    w->node[i].woken = 0;
    gossip_init(&w->node[i].g, w->node[i].s);
}

/* The path of a copy of node i's store, which is stopped, with its identity:
 * no guard sees it. */
static inline const char *world_twin(const struct world *w, size_t i) {
    struct guard g;
    char cmd[600];
    const char *dir = path_join(w->node[i].dir, "store");
    const char *twin = path_join(w->node[i].dir, "store.twin");
    snprintf(cmd, sizeof cmd, "cp -a %s %s", dir, twin);
    assert_int_equal(system(cmd), 0);
    assert_code(1, guard_load(twin, &g));
    guard_facts_read(twin, &g.facts);
    assert_ok(guard_save(twin, 0660, &g, false));
    return twin;
}

static inline void world_close(struct world *w) {
    for (size_t i = 0; i < w->n_links; i++)
        if (w->link[i].up)
            world_cut(w, &w->link[i]);
    for (size_t i = 0; i < WORLD_NODES; i++) {
        struct world_node *n = &w->node[i];
        if (!n->s)
            continue;
        gossip_free(&n->g);
        assert_ok(ecrdt_close(n->s));
        identity_free(&n->self);
        tmpdir_remove(n->dir);
    }
}

/* ---- a puppet: a channel whose messages the test writes and reads itself --
 */

struct puppet {
    struct channel *ch;
    struct world_end *other; /* the session it talks to */
    struct world_link *link;
    struct clock_state *heard; /* of its one bucket */
};

/* Becomes node i's side of a fresh link to node j, which has joined. */
static inline void puppet_open(struct world *w, struct puppet *p, size_t i,
                               size_t j) {
    struct channel_event e;
    p->heard = NULL;
    p->link = world_connect(w, i, j);
    p->link->up = false; /* world_run() keeps off its pipes */
    p->other = &p->link->end[1];
    p->ch = p->link->end[0].s->channel;
    for (int k = 0; k < 10; k++) {
        struct buf *out = channel_out(p->ch);
        session_feed(p->other->s, buf_slice(out), w->now);
        channel_wrote(p->ch, out->len);
        out = session_out(p->other->s);
        assert_ok(channel_feed(p->ch, buf_slice(out), w->now));
        channel_wrote(p->other->s->channel, out->len);
        while (!channel_accepted(p->ch) && channel_next(p->ch, &e) == 1)
            continue;
    }
    assert_true(channel_accepted(p->ch));
    assert_true(channel_accepted(p->other->s->channel));
    world_join(w, p->other);
}

static inline void puppet_send(struct world *w, struct puppet *p, uint8_t type,
                               slice body) {
    assert_ok(channel_send(p->ch, type, body, w->now));
    struct buf *out = channel_out(p->ch);
    session_feed(p->other->s, buf_slice(out), w->now);
    channel_wrote(p->ch, out->len);
}

static inline void puppet_say_fp(struct world *w, struct puppet *p,
                                 uint8_t type, const struct fp *m) {
    struct buf b = {0};
    fp_encode(&b, m, type == MESSAGE_FP);
    puppet_send(w, p, type, buf_slice(&b));
    buf_free(&b);
}

/* The next message of the session: 1, or 0 if it has nothing to say. */
static inline int puppet_next(struct world *w, struct puppet *p,
                              struct channel_event *e) {
    struct buf *out = session_out(p->other->s);
    if (out->len) {
        assert_ok(channel_feed(p->ch, buf_slice(out), w->now));
        channel_wrote(p->other->s->channel, out->len);
    }
    int rc = channel_next(p->ch, e);
    assert_true(rc >= 0);
    return rc;
}

/* Decodes a word of the session about its clock, which may ride on a chunk; 0
 * if e has none. */
static inline int puppet_clock(struct puppet *p, const struct channel_event *e,
                               struct clock *c) {
    struct chunk_message m = {0};
    struct unpack u;
    slice diff = e->body;
    *c = (struct clock){0};
    if (e->type == MESSAGE_CHUNK) {
        assert_ok(message_chunk_decode(e->body, &m));
        diff = m.word;
    }
    if (e->type == MESSAGE_CLOCK) {
        assert_ok(message_clock_decode(e->body, c));
    } else if (e->type == MESSAGE_CLOCK_DIFF || m.word.len) {
        assert_non_null(p->heard);
        assert_ok(message_diff_begin(diff, &u, c));
        assert_ok(message_diff_end(&u, p->heard, c));
    } else {
        return 0;
    }
    clock_state_unref(p->heard);
    p->heard = clock_state_ref(c->state);
    return 1;
}

static inline void puppet_close(struct world *w, struct puppet *p) {
    clock_state_unref(p->heard);
    world_cut(w, p->link);
}
#endif
