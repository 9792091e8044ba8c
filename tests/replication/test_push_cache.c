/* test_push_cache.c: peers that lack the same get the same bytes, made once;
 * others get their own. */
#include "tests/replication/world.h"

static void build(struct push_cache *c, struct world *w, struct mirror *m,
                  int want, struct buf *bytes) {
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};
    const struct encoded *e;
    ecrdt_txn *t;
    assert_ok(replica_begin(w->node[0].s, false, 0, &t));
    assert_code(want, push_cache_build(c, t, m, &budget, &e));
    buf_clear(bytes);
    if (want)
        buf_put(bytes, e->bytes.data, e->bytes.len);
    ecrdt_abort(t);
}

static void look(struct world *w, struct view *v) {
    ecrdt_txn *t;
    clock_state_unref(v->state);
    v->state = clock_state_new();
    v->version++;
    strcpy(v->bucket, "b");
    assert_ok(replica_expose(w->node[0].s, &t));
    assert_ok(replica_clock(t, "b", &v->state->ranges, &v->state->floor));
    ecrdt_abort(t);
}

static void equal_peers_share(void **state) {
    struct world w;
    struct push_cache c = {0};
    struct view v = {0};
    struct mirrors peers[3] = {0};
    struct mirror *m[3];
    struct buf bytes[3] = {0};
    (void)state;
    world_open(&w, 1);
    struct ranges half = {0};
    world_fill(&w, 0, "b", "k", 5, 20);
    look(&w, &v);
    assert_ok(ranges_copy(&half, &v.state->ranges));
    world_fill(&w, 0, "b", "l", 5, 20);
    look(&w, &v);
    for (int i = 0; i < 3; i++) {
        assert_ok(mirrors_get(&peers[i], "b", &m[i]));
        m[i]->view = &v;
    }
    m[2]->peer = half;
    for (int i = 0; i < 3; i++)
        build(&c, &w, m[i], 1, &bytes[i]);
    assert_int_equal(c.builds, 2);
    assert_int_equal(c.reuses, 1);
    assert_slice_equal(buf_slice(&bytes[0]), buf_slice(&bytes[1]));
    assert_true(bytes[2].len < bytes[0].len);
    for (int i = 0; i < 3; i++) { /* all count as having it then */
        assert_true(ranges_eq(&m[i]->peer, &v.state->ranges));
        assert_true(ranges_eq(&m[i]->tail.pushed, &v.state->ranges));
        assert_int_equal(m[i]->tail.arrival, m[0]->tail.arrival);
        build(&c, &w, m[i], 0, &bytes[i]);
    }
    world_set(&w, 0, "b", "k", "v"); /* another clock: built anew */
    look(&w, &v);
    for (int i = 0; i < 3; i++)
        build(&c, &w, m[i], 1, &bytes[i]);
    assert_int_equal(c.builds, 3);
    assert_int_equal(c.reuses, 3);
    for (int i = 0; i < 3; i++) {
        mirrors_free(&peers[i]);
        buf_free(&bytes[i]);
    }
    clock_state_unref(v.state);
    push_cache_free(&c);
    world_close(&w);
}

/* A core with four edges in sync encodes each commit once. */
static void a_star_encodes_once(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 5);
    for (size_t i = 1; i < 5; i++)
        world_connect(&w, i, 0);
    world_settle(&w, 1000);
    struct push_cache *c = &w.node[0].g.push.cache;
    for (int i = 0; i < 20; i++) {
        world_set(&w, 0, "b", "k", i & 1 ? "v" : "w");
        world_settle(&w, 1000);
    }
    print_message("# 20 commits, 4 edges: %llu chunks built, %llu reused\n",
                  (unsigned long long)c->builds, (unsigned long long)c->reuses);
    assert_in_range(c->builds, 1, 25);
    assert_in_range(c->reuses, 55, 80);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_peers_share),
        cmocka_unit_test(a_star_encodes_once),
    };
    return TEST_RUN(tests);
}
