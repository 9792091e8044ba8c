/* test_narrowing.c: nodes that hold a part, over links: what reaches them,
 * widening and narrowing while they run. */
#include "replication/peers.h"
#include "tests/replication/world.h"

enum { CORE, EDGE, OTHER };

static void subscribe(struct world *w, size_t i, const char *bucket,
                      const char *a, const char *b) {
    ecrdt_slice prefixes[2] = {ecrdt_str(a), ecrdt_str(b)};
    assert_true(ecrdt_subscribe(w->node[i].s, bucket, prefixes,
                                a ? b ? 2 : 1 : 0) >= 0);
}

static void expect(struct world *w, size_t i, const char *bucket,
                   const char *key, const char *want) {
    slice v;
    ecrdt_txn *t = assert_handle(ecrdt_read(w->node[i].s));
    assert_code(want != NULL,
                ecrdt_reg_get(t, bucket, slice_str(key), &v, NULL));
    if (want)
        assert_slice_equal(v, slice_str(want));
    ecrdt_abort(t);
}

static void same_prefix(struct world *w, size_t i, size_t j, const char *bucket,
                        const char *prefix) {
    uint8_t a[16], b[16], none[16] = {0};
    slice p = slice_str(prefix);
    assert_ok(ecrdt_digest_prefix(w->node[i].s, bucket, p, a));
    assert_ok(ecrdt_digest_prefix(w->node[j].s, bucket, p, b));
    assert_memory_equal(a, b, 16);
    assert_memory_not_equal(a, none, 16);
}

static uint64_t items(struct world *w, size_t i) {
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(w->node[i].s, &st));
    return st.items;
}

static bool leaving(struct world *w, size_t i) {
    bool any = false;
    struct subscription s = {0};
    ecrdt_txn *t = assert_handle(ecrdt_read(w->node[i].s));
    assert_ok(subscription_load(t, &s));
    for (size_t k = 0; k < s.n; k++)
        any = any || s.b[k].narrowing;
    ecrdt_abort(t);
    subscription_free(&s);
    return any;
}

static ecrdt_node origin(struct world *w, size_t i) {
    ecrdt_node id;
    assert_ok(ecrdt_node_id(w->node[i].s, &id));
    return id;
}

/* A core with keys under a/, b/ and c/, and edges beside it. */
static void begin(struct world *w, size_t n) {
    world_open(w, n);
    w->node[CORE].role = PEER_CORE;
    world_fill(w, CORE, "b", "a/", 300, 50);
    world_fill(w, CORE, "b", "b/", 300, 50);
    world_fill(w, CORE, "b", "c/", 300, 50);
    world_set(w, CORE, "other", "k", "v");
}

static void an_edge_gets_what_it_subscribes_to(void **state) {
    struct world w;
    (void)state;
    begin(&w, 2);
    subscribe(&w, EDGE, "b", "a/", "c/");
    assert_ok(ecrdt_unsubscribe(w.node[EDGE].s, NULL));
    world_connect(&w, EDGE, CORE);
    world_settle(&w, 5000);
    assert_int_equal(items(&w, EDGE), 600);
    same_prefix(&w, CORE, EDGE, "b", "a/");
    same_prefix(&w, CORE, EDGE, "b", "c/");
    assert_code(1, ecrdt_settled(w.node[EDGE].s, "b"));
    world_set(&w, CORE, "b", "b/live", "x");
    world_set(&w, CORE, "b", "a/live", "y");
    world_settle(&w, 1000);
    expect(&w, EDGE, "b", "b/live", NULL);
    expect(&w, EDGE, "b", "a/live", "y");
    expect(&w, EDGE, "other", "k", NULL);
    world_close(&w);
}

static void writes_outside_reach_the_core(void **state) {
    struct world w;
    (void)state;
    begin(&w, 2);
    subscribe(&w, EDGE, "b", "a/", NULL);
    assert_ok(ecrdt_unsubscribe(w.node[EDGE].s, NULL));
    world_connect(&w, EDGE, CORE);
    world_settle(&w, 5000);
    world_set(&w, EDGE, "b", "b/000001", "blind");
    world_set(&w, EDGE, "new", "k", "blind");
    world_settle(&w, 1000);
    expect(&w, CORE, "b", "b/000001", "blind");
    expect(&w, CORE, "new", "k", "blind");
    expect(&w, EDGE, "b", "b/000001", "blind");
    world_set(&w, CORE, "b", "b/000001", "core");
    world_settle(&w, 1000);
    expect(&w, EDGE, "b", "b/000001", "blind"); /* it does not follow */
    subscribe(&w, EDGE, "b", NULL, NULL);
    world_settle(&w, 5000);
    expect(&w, EDGE, "b", "b/000001", "core");
    world_assert_equal(&w, "b", CORE, EDGE);
    world_close(&w);
}

static void widening_brings_only_what_is_new(void **state) {
    struct world w;
    (void)state;
    begin(&w, 2);
    subscribe(&w, EDGE, "b", "a/", NULL);
    struct world_link *l = world_connect(&w, EDGE, CORE);
    world_settle(&w, 5000);
    const struct session_stats *st = &l->end[1].s->stats;
    uint64_t before = st->items_out;
    subscribe(&w, EDGE, "b", "a/", "c/");
    world_run(&w, 100);
    world_settle(&w, 5000);
    assert_int_equal(st->items_out - before, 300);
    same_prefix(&w, CORE, EDGE, "b", "c/");
    assert_int_equal(items(&w, EDGE), 601);
    world_close(&w);
}

static void narrowing_forgets_what_the_core_keeps(void **state) {
    struct world w;
    (void)state;
    begin(&w, 2);
    world_connect(&w, EDGE, CORE);
    world_settle(&w, 5000);
    world_set(&w, EDGE, "b", "c/mine", "x");
    world_settle(&w, 5000);
    ecrdt_node was = origin(&w, EDGE), is;
    subscribe(&w, EDGE, "b", "a/", NULL);
    assert_true(leaving(&w, EDGE));
    world_run(&w, 1000);
    world_settle(&w, 5000);
    assert_false(leaving(&w, EDGE));
    is = origin(&w, EDGE);
    assert_memory_not_equal(&was, &is, sizeof is);
    assert_int_equal(items(&w, EDGE), 301);
    same_prefix(&w, CORE, EDGE, "b", "a/");
    assert_ok(ecrdt_verify(w.node[EDGE].s, NULL, NULL));
    subscribe(&w, EDGE, "b", NULL, NULL); /* and all of it back */
    world_run(&w, 100);
    world_settle(&w, 5000);
    expect(&w, EDGE, "b", "c/mine", "x");
    world_assert_equal(&w, "b", CORE, EDGE);
    world_close(&w);
}

static void narrowing_waits_for_a_core(void **state) {
    struct world w;
    (void)state;
    begin(&w, 3);
    world_connect(&w, EDGE, OTHER); /* an edge like itself */
    struct world_link *l = world_connect(&w, EDGE, CORE);
    world_settle(&w, 5000);
    world_cut(&w, l);
    world_set(&w, EDGE, "b", "c/mine", "x");
    subscribe(&w, EDGE, "b", "a/", NULL);
    world_run(&w, 5000);
    assert_true(leaving(&w, EDGE));
    expect(&w, EDGE, "b", "c/mine", "x");
    assert_non_null(strstr(w.node[EDGE].g.narrowing.sentence,
                           "waits for a connected core"));
    world_connect(&w, EDGE, CORE);
    world_run(&w, 4000);
    assert_false(leaving(&w, EDGE));
    expect(&w, EDGE, "b", "c/mine", NULL);
    expect(&w, CORE, "b", "c/mine", "x");
    assert_string_equal(w.node[EDGE].g.narrowing.sentence, "");
    world_close(&w);
}

/* The core is further than the edge can know: it is asked, and says so. */
static void a_core_that_is_further_is_asked(void **state) {
    struct world w;
    (void)state;
    begin(&w, 3);
    struct world_link *l = world_connect(&w, EDGE, CORE);
    world_connect(&w, OTHER, CORE);
    world_set(&w, OTHER, "b", "b/1", "1");
    world_settle(&w, 5000);
    world_cut(&w, l);
    subscribe(&w, EDGE, "b", "a/", NULL);
    world_set(&w, OTHER, "b", "b/2", "2");
    world_settle(&w, 5000);
    l = world_connect(&w, EDGE, CORE);
    world_run(&w, 3000);
    assert_false(leaving(&w, EDGE));
    assert_in_range(l->end[0].s->place.number, 1, 4);
    expect(&w, EDGE, "b", "b/1", NULL);
    expect(&w, CORE, "b", "b/1", "1");
    world_close(&w);
}

/* Each bucket has a question of its own, one after the other. */
static void two_buckets_are_asked_about_in_turn(void **state) {
    struct world w;
    (void)state;
    begin(&w, 2);
    struct world_link *l = world_connect(&w, EDGE, CORE);
    world_settle(&w, 5000);
    world_cut(&w, l);
    assert_code(1, ecrdt_unsubscribe(w.node[EDGE].s, "b"));
    assert_code(1, ecrdt_unsubscribe(w.node[EDGE].s, "other"));
    world_set(&w, CORE, "b", "more", "x");
    world_set(&w, CORE, "other", "more", "x");
    l = world_connect(&w, EDGE, CORE);
    world_run(&w, 2000);
    assert_false(leaving(&w, EDGE));
    assert_int_equal(items(&w, EDGE), 0);
    assert_int_equal(l->end[0].s->place.number, 2);
    world_close(&w);
}

/* What was said holds until the keeper's clock falls, or what it holds. */
static void a_keeper_that_forgets_is_asked_again(void **state) {
    struct world w;
    (void)state;
    for (int how = 0; how < 2; how++) {
        begin(&w, 2);
        struct world_link *l = world_connect(&w, EDGE, CORE);
        world_settle(&w, 5000);
        struct mirror *m = mirrors_find(&l->end[0].s->mirrors, "b");
        struct placed some = {0};
        assert_ok(vv_raise(&some.heads, origin(&w, CORE).b, 1, 1));
        assert_ok(said_add(&m->placed, &some));
        world_set(&w, CORE, "b", "a/1", "x");
        world_settle(&w, 5000);
        assert_int_equal(m->placed.n, 1); /* further: it stays */
        if (how)
            subscribe(&w, CORE, "b", "a/", NULL);
        else
            assert_ok(ecrdt_forget(w.node[CORE].s, "b", slice_str("a/"), NULL));
        world_run(&w, 200);
        assert_int_equal(m->placed.n, 0);
        world_close(&w);
    }
}

/* Who waits for a keeper does so without the writer lock. */
static void waiting_takes_no_lock(void **state) {
    struct world w;
    (void)state;
    begin(&w, 2);
    struct world_link *l = world_connect(&w, EDGE, CORE);
    world_settle(&w, 5000);
    l->end[0].deaf = true; /* the acks do not come back */
    world_set(&w, EDGE, "b", "b/1", "x");
    world_run(&w, 100);
    subscribe(&w, EDGE, "b", "a/", NULL);
    world_run(&w, 10);
    l->end[0].deaf = false;
    l->end[1].deaf = true;
    world_set(&w, EDGE, "b", "b/1", "y");
    ecrdt_txn *t = assert_handle(ecrdt_write(w.node[EDGE].s));
    world_run(&w, 3000);
    ecrdt_abort(t);
    assert_true(leaving(&w, EDGE));
    world_close(&w);
}

/* A copy of the other store wrote on for the core, the other for the edge; both
 * are gone. The edge learns what the core lacks, and leaves it there first. */
static void a_core_on_another_branch_gets_the_range(void **state) {
    struct world w;
    (void)state;
    begin(&w, 3);
    struct world_link *a = world_connect(&w, OTHER, EDGE);
    struct world_link *b = world_connect(&w, OTHER, CORE);
    world_set(&w, OTHER, "b", "b/1", "before");
    world_settle(&w, 5000);
    world_cut(&w, a);
    world_cut(&w, b);
    world_stop(&w, OTHER);
    const char *twin = world_twin(&w, OTHER);
    world_start(&w, OTHER, path_join(w.node[OTHER].dir, "store"));
    a = world_connect(&w, OTHER, EDGE);
    world_set(&w, OTHER, "b", "b/2", "left");
    world_settle(&w, 5000);
    world_cut(&w, a);
    world_stop(&w, OTHER);
    world_start(&w, OTHER, twin);
    b = world_connect(&w, OTHER, CORE);
    world_set(&w, OTHER, "b", "b/3", "right");
    world_set(&w, OTHER, "b", "b/4", "right");
    world_settle(&w, 5000);
    world_cut(&w, b);
    assert_code(1, ecrdt_unsubscribe(w.node[EDGE].s, "b"));
    world_connect(&w, EDGE, CORE);
    world_run(&w, 3000);
    assert_false(leaving(&w, EDGE));
    expect(&w, CORE, "b", "b/2", "left");
    expect(&w, CORE, "b", "b/4", "right");
    expect(&w, EDGE, "b", "b/2", NULL);
    world_close(&w);
}

/* Each lets go of what the other holds: neither may rely on the other. */
static void two_cores_do_not_rely_on_each_other(void **state) {
    struct world w;
    (void)state;
    begin(&w, 2);
    w.node[EDGE].role = PEER_CORE;
    struct world_link *l = world_connect(&w, EDGE, CORE);
    world_settle(&w, 5000);
    l->end[0].deaf = l->end[1].deaf = true; /* the news is on its way */
    subscribe(&w, CORE, "b", "a/", NULL);
    subscribe(&w, EDGE, "b", "a/", NULL);
    world_run(&w, 1000);
    l->end[0].deaf = l->end[1].deaf = false;
    world_run(&w, 5000);
    assert_true(leaving(&w, CORE) && leaving(&w, EDGE));
    assert_int_equal(items(&w, CORE), 901);
    assert_int_equal(items(&w, EDGE), 901);
    world_close(&w);
}

/* Local writes do not keep a range from being forgotten. */
static void narrowing_ends_under_load(void **state) {
    struct world w;
    char value[16];
    (void)state;
    begin(&w, 2);
    world_fill(&w, CORE, "b", "d/", 3000, 10);
    world_connect(&w, EDGE, CORE);
    world_settle(&w, 20000);
    subscribe(&w, EDGE, "b", "a/", NULL);
    for (int i = 0; i < 400 && leaving(&w, EDGE); i++) {
        snprintf(value, sizeof value, "%d", i);
        world_set(&w, EDGE, "b", "a/busy", value);
        world_run(&w, 5);
    }
    assert_false(leaving(&w, EDGE));
    world_settle(&w, 5000);
    assert_int_equal(items(&w, EDGE), 302);
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(w.node[EDGE].s, &st));
    assert_int_equal(st.origins, 3); /* one new incarnation for the act */
    world_close(&w);
}

static void an_edge_forwards_only_what_it_holds(void **state) {
    struct world w;
    (void)state;
    begin(&w, 3);
    subscribe(&w, EDGE, "b", "a/", NULL);
    world_connect(&w, EDGE, CORE);
    world_connect(&w, OTHER, EDGE);
    world_settle(&w, 5000);
    same_prefix(&w, CORE, OTHER, "b", "a/");
    assert_int_equal(items(&w, OTHER), 301);
    assert_code(0, ecrdt_settled(w.node[OTHER].s, "b"));
    world_set(&w, OTHER, "b", "b/x", "1"); /* not held in the middle */
    world_set(&w, OTHER, "b", "a/x", "2");
    world_settle(&w, 5000);
    expect(&w, CORE, "b", "a/x", "2");
    expect(&w, CORE, "b", "b/x", NULL);
    world_connect(&w, OTHER, CORE);
    world_settle(&w, 5000);
    expect(&w, CORE, "b", "b/x", "1");
    world_assert_equal(&w, "b", CORE, OTHER);
    assert_code(1, ecrdt_settled(w.node[OTHER].s, "b"));
    world_close(&w);
}

/* The link is cut after each some bytes while the ranges change. */
static void changes_in_mid_sync_and_cut_links(void **state) {
    struct world w;
    static const char *const sets[][2] = {
        {"a/", NULL}, {"b/", "c/"}, {NULL, NULL}, {"c/", "a/"}};
    (void)state;
    begin(&w, 2);
    world_fill(&w, CORE, "b", "c/more", 3000, 100);
    for (int i = 0; i < 24; i++) {
        struct world_link *l = world_connect(&w, EDGE, CORE);
        l->end[0].budget = 2000 + (size_t)rng_below(&w.rng, 60000);
        const char *const *set = sets[rng_below(&w.rng, 4)];
        world_run(&w, rng_below(&w.rng, 30));
        subscribe(&w, EDGE, "b", set[0], set[1]);
        world_set(&w, EDGE, "b", i % 2 ? "a/e" : "c/e", "x");
        world_run(&w, rng_below(&w.rng, 300));
        world_cut(&w, l);
    }
    subscribe(&w, EDGE, "b", NULL, NULL);
    world_connect(&w, EDGE, CORE);
    world_settle(&w, 60000);
    world_assert_equal(&w, "b", CORE, EDGE);
    assert_ok(ecrdt_verify(w.node[EDGE].s, NULL, NULL));
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edge_gets_what_it_subscribes_to),
        cmocka_unit_test(writes_outside_reach_the_core),
        cmocka_unit_test(widening_brings_only_what_is_new),
        cmocka_unit_test(narrowing_forgets_what_the_core_keeps),
        cmocka_unit_test(narrowing_waits_for_a_core),
        cmocka_unit_test(a_core_that_is_further_is_asked),
        cmocka_unit_test(two_buckets_are_asked_about_in_turn),
        cmocka_unit_test(a_keeper_that_forgets_is_asked_again),
        cmocka_unit_test(waiting_takes_no_lock),
        cmocka_unit_test(a_core_on_another_branch_gets_the_range),
        cmocka_unit_test(two_cores_do_not_rely_on_each_other),
        cmocka_unit_test(narrowing_ends_under_load),
        cmocka_unit_test(an_edge_forwards_only_what_it_holds),
        cmocka_unit_test(changes_in_mid_sync_and_cut_links),
    };
    return TEST_RUN(tests);
}
