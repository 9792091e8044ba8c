/* test_gossip.c: several nodes at once: forwarding, fairness, slow peers,
 * gathering, one bulk at a time, and whatever else meshes do. */
#include "tests/replication/world.h"
#include "tests/support/sync.h"

static void events_go_through_a_core(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 3);
    world_connect(&w, 0, 1);
    world_connect(&w, 2, 1);
    world_settle(&w, 1000);
    world_set(&w, 0, "b", "k", "v");
    uint64_t t0 = w.now;
    ecrdt_slice v = {0};
    for (int got = 0; !got;) {
        world_run(&w, 1);
        ecrdt_txn *t = ecrdt_auto(w.node[2].s);
        got = ecrdt_reg_get(t, "b", ecrdt_str("k"), &v, NULL);
        assert_true(w.now - t0 < 100);
        ecrdt_abort(t);
    }
    print_message("# edge to edge in %llu ms of virtual time\n",
                  (unsigned long long)(w.now - t0));
    assert_true(w.now - t0 <= 2 * GOSSIP_GATHER_MS + 2);
    world_settle(&w, 1000);
    world_assert_equal(&w, "b", 0, 2);
    world_close(&w);
}

static void a_mesh_agrees(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 4);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = i + 1; j < 4; j++)
            world_connect(&w, i, j);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 4; i++) {
            char key[32];
            snprintf(key, sizeof key, "k%u", (unsigned)rng_below(&w.rng, 8));
            world_set(&w, i, "b", key, key);
        }
        world_run(&w, rng_below(&w.rng, 30));
    }
    world_settle(&w, 5000);
    uint64_t items = 0;
    for (size_t i = 0; i < w.n_links; i++)
        for (int e = 0; e < 2; e++)
            items += w.link[i].end[e].s->stats.items_out;
    print_message("# 80 writes at 4 meshed nodes, %llu items sent\n",
                  (unsigned long long)items);
    for (size_t i = 1; i < 4; i++)
        world_assert_equal(&w, "b", 0, i);
    world_close(&w);
}

/* Commits close together travel in one chunk, and none waits too long. */
static void commits_are_gathered(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 1000);
    uint64_t sent = l->end[0].s->sent;
    struct gossip *g = &w.node[0].g;
    world_set(&w, 0, "b", "a", "1");
    gossip_wake(g, w.now);
    assert_int_equal(g->wake_at_ms, w.now + GOSSIP_GATHER_MS);
    for (int i = 1; i < 30; i++) {
        world_set(&w, 0, "b", "a", "2");
        gossip_wake(g, w.now + (uint64_t)i);
        assert_true(g->wake_at_ms <= w.now + GOSSIP_GATHER_MAX_MS);
    }
    world_run(&w, 30);
    assert_int_equal(l->end[0].s->sent, sent + 1);
    world_close(&w);
}

/* A peer that does not read gets no more than its cap, others get all. */
static void a_slow_peer_blocks_nobody(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 3);
    struct world_link *slow = world_connect(&w, 0, 1);
    struct world_link *fast = world_connect(&w, 0, 2);
    world_settle(&w, 1000);
    slow->end[1].deaf = true;
    world_fill(&w, 0, "b", "a", 20000, 400);
    for (int i = 0; i < 60000 && !world_link_in_sync(&w, fast); i++)
        world_run(&w, 1);
    assert_true(world_link_in_sync(&w, fast));
    world_assert_equal(&w, "b", 0, 2);
    size_t held = session_out(slow->end[0].s)->len;
    print_message("# %zu bytes wait for the slow peer\n", held);
    assert_true(held < SESSION_OUT_MAX + CHUNK_PUSH_BYTES);
    slow->end[1].deaf = false;
    world_settle(&w, 60000);
    world_assert_equal(&w, "b", 0, 1);
    world_close(&w);
}

/* Two peers fill one that was away: both are heard, and no more travels twice
 * than a window full, when word that it is held comes late. */
static void one_bulk_at_a_time(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 3);
    world_set(&w, 2, "b", "its own", "v"); /* it has the bucket */
    world_fill(&w, 0, "b", "a", 10000, 1000);
    world_settle(&w, (world_connect(&w, 0, 1), 60000));
    world_cut(&w, &w.link[0]);
    world_fill(&w, 1, "b", "only1", 10, 30);
    struct world_link *a = world_connect(&w, 0, 2);
    struct world_link *b = world_connect(&w, 1, 2);
    bool held = false;
    for (int i = 0; i < 600000 && !world_in_sync(&w); i++) {
        w.now += !world_turn(&w) || i % 20 == 0;
        struct mirror *m = mirrors_find(&a->end[0].s->mirrors, "b");
        struct mirror *n = mirrors_find(&b->end[0].s->mirrors, "b");
        held |= (m && m->wait) || (n && n->wait);
        assert_true(w.node[2].g.apply.n_bulk <= 1);
    }
    world_assert_equal(&w, "b", 1, 2);
    world_assert_equal(&w, "b", 0, 2);
    uint64_t items =
        a->end[0].s->stats.items_out + b->end[0].s->stats.items_out;
    print_message("# two senders: %llu items for 10010\n",
                  (unsigned long long)items);
    assert_true(held);
    assert_int_equal(w.node[2].g.apply.n_bulk, 0);
    assert_true(items <
                10010 + SESSION_WINDOW_BYTES / 1000 + 10 * SESSION_HELD_ITEMS);
    world_close(&w);
}

/* Who comes while another fills the bucket is told to wait at once. */
static void a_newcomer_waits(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 3);
    world_fill(&w, 0, "b", "a", 20000, 30);
    world_settle(&w, (world_connect(&w, 0, 1), 60000));
    world_cut(&w, &w.link[0]);
    world_connect(&w, 0, 2);
    while (!w.node[2].g.apply.n_bulk)
        w.now += !world_turn(&w);
    struct world_link *late = world_connect(&w, 1, 2);
    late->end[1].budget = SIZE_MAX; /* a slower line */
    world_settle(&w, 60000);
    print_message("# the newcomer sent %llu items\n",
                  (unsigned long long)late->end[0].s->stats.items_out);
    assert_true(late->end[0].s->stats.items_out <= 4 * SESSION_HELD_ITEMS);
    world_assert_equal(&w, "b", 0, 2);
    world_close(&w);
}

/* The owner of a bulk goes away: the one that waited takes over. */
static void a_lost_bulk_is_taken_over(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 3);
    world_fill(&w, 0, "b", "a", 20000, 30);
    world_settle(&w, (world_connect(&w, 0, 1), 60000));
    world_cut(&w, &w.link[0]);
    struct world_link *a = world_connect(&w, 0, 2);
    struct world_link *b = world_connect(&w, 1, 2);
    a->end[1].budget = 200000;
    b->end[1].budget = 200000;
    while (!a->end[1].deaf && !b->end[1].deaf)
        world_run(&w, 1);
    world_cut(&w, a->end[1].deaf ? a : b);
    (a->up ? a : b)->end[1].budget = 0;
    (a->up ? a : b)->end[1].deaf = false;
    world_settle(&w, 60000);
    world_assert_equal(&w, "b", 0, 2);
    world_close(&w);
}

/* While a bulk runs, new events of the sender still arrive soon. */
static void writes_during_a_bulk_arrive(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 0, "b", "m", 20000, 30);
    world_connect(&w, 0, 1);
    for (int i = 0; i < 60000 && !world_in_sync(&w); i++) {
        if (i < 300) {
            char key[16];
            snprintf(key, sizeof key, "%c%d", i & 1 ? 'a' : 'z', i);
            world_set(&w, 0, "b", key, "x");
            world_set(&w, 1, "b", key, "y");
        }
        world_run(&w, 1);
    }
    world_assert_equal(&w, "b", 0, 1);
    assert_int_equal(ecrdt_settled(w.node[1].s, "b"), 1);
    world_close(&w);
}

static void random_cuts_and_writes_agree(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 4);
    for (int round = 0; round < 120; round++) {
        size_t i = (size_t)rng_below(&w.rng, 4), j = (i + 1) % 4;
        struct world_link *l = &w.link[rng_below(&w.rng, WORLD_LINKS)];
        switch (rng_below(&w.rng, 5)) {
        case 0:
            if (l->up)
                world_cut(&w, l);
            break;
        case 1:
            if (w.n_links < 6 || !w.link[0].up)
                world_connect(&w, i, j);
            break;
        case 2:
            world_fill(&w, i, "b", "x", (int)rng_below(&w.rng, 900), 40);
            break;
        default:
            world_set(&w, i, rng_below(&w.rng, 2) ? "b" : "c", "same", "v");
        }
        world_run(&w, rng_below(&w.rng, 12));
    }
    for (size_t k = 0; k < w.n_links; k++)
        if (w.link[k].up)
            world_cut(&w, &w.link[k]);
    world_set(&w, 0, "b", "last", "1");
    world_set(&w, 3, "c", "last", "1");
    for (size_t i = 0; i < 3; i++)
        world_connect(&w, i, i + 1);
    world_settle(&w, 60000);
    world_run(&w, 200);
    world_settle(&w, 60000);
    for (size_t i = 1; i < 4; i++) {
        world_assert_equal(&w, "b", 0, i);
        world_assert_equal(&w, "c", 0, i);
    }
    world_close(&w);
}

/* ---- durable before it leaves (PROTOCOL D1) ---- */

static struct world synced;

static void write_late(void) {
    world_set(&synced, 0, "b", "late", "v");
}

/* Runs until node 1 has the key. */
static void arrives(struct world *w, const char *key) {
    for (int got = 0; !got;) {
        ecrdt_slice v = {0};
        ecrdt_txn *t = ecrdt_auto(w->node[1].s);
        got = ecrdt_reg_get(t, "b", ecrdt_str(key), &v, NULL);
        ecrdt_abort(t);
        if (!got)
            w->now += !world_turn(w);
    }
}

/* What another process commits behind the sync does not leave with it. */
static void nothing_leaves_before_its_sync(void **state) {
    (void)state;
    ecrdt_options relaxed = ECRDT_OPTIONS_INIT;
    relaxed.flags = ECRDT_RELAXED;
    world_open(&synced, 0);
    world_node(&synced, 0, &relaxed);
    world_node(&synced, 1, NULL);
    world_connect(&synced, 0, 1);
    world_settle(&synced, 1000);
    sync_watch(path_join(synced.node[0].dir, "store"), write_late);
    world_set(&synced, 0, "b", "early", "v");
    arrives(&synced, "early");
    assert_null(sync_seen.write); /* it was synced, and then */
    arrives(&synced, "late");
    assert_true(sync_seen.synced);
    world_close(&synced);
}

/* Counters of all sessions at the time. */
static void count(const struct world *w, uint64_t *payload,
                  uint64_t *repeated) {
    *payload = *repeated = 0;
    for (size_t i = 0; i < w->n_links; i++)
        for (int e = 0; e < 2 && w->link[i].up; e++) {
            const struct session_stats *st = &w->link[i].end[e].s->stats;
            *payload += st->payload_in;
            *repeated += st->repeated_in;
        }
}

static void full_mesh(struct world *w, size_t n) {
    world_open(w, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            world_connect(w, i, j);
    world_settle(w, 1000);
}

enum { MESH_EVENTS = 2000, MESH_ROUNDS = 3 };

static void write_to_a_mesh(struct world *w) {
    for (int i = 0; i < MESH_EVENTS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        world_set(w, (size_t)i % 4, "b", key, "0123456789");
        world_run(w, rng_below(&w->rng, 6));
    }
    world_settle(w, 5000);
}

/* An event does not go back to whom it came from, nor to whom has it; on
 * average, for a mesh may take long to find its tree. */
static void a_mesh_does_not_repeat_itself(void **state) {
    uint64_t all = 0, twice = 0, payload, repeated;
    (void)state;
    for (int i = 0; i < MESH_ROUNDS; i++) {
        struct world w;
        full_mesh(&w, 4);
        write_to_a_mesh(&w);
        count(&w, &payload, &repeated);
        assert_int_equal(payload - repeated, MESH_EVENTS * 10 * 3);
        all += payload - repeated;
        twice += repeated;
        world_close(&w);
    }
    print_message("# %d events of 10 bytes, 4 nodes: %llu bytes, %llu more\n",
                  MESH_EVENTS * MESH_ROUNDS, (unsigned long long)all,
                  (unsigned long long)twice);
    assert_true(twice * 5 <= all);
}

/* A pruned link brings nothing, the other way round it does; when that way
 * is cut, the link is grafted. */
static void pruned_links_are_grafted(void **state) {
    struct world w;
    (void)state;
    full_mesh(&w, 3);
    struct world_link *via = &w.link[0], *direct = &w.link[1];
    world_set(&w, 0, "b", "k", "v");
    world_settle(&w, 1000);
    struct session *s = direct->end[0].s; /* of node 2, with node 0 */
    for (int i = 0; i < 6; i++)           /* this link alone */
        mirrors_find(&w.link[i / 2].end[i % 2].s->mirrors, "b")->pruned =
            i / 2 == 1;
    world_run(&w, 20);
    assert_true(mirrors_find(&direct->end[1].s->mirrors, "b")->lazy);
    uint64_t before = s->stats.chunks_in;
    world_set(&w, 0, "b", "far", "v");
    world_settle(&w, 1000);
    assert_int_equal(s->stats.chunks_in, before);
    world_cut(&w, via);
    world_set(&w, 0, "b", "farther", "v");
    world_run(&w, GOSSIP_GRAFT_MS / 2);
    assert_int_equal(s->stats.chunks_in, before);
    world_run(&w, 3 * GOSSIP_GRAFT_MS);
    assert_int_equal(s->stats.chunks_in, before + 1);
    world_settle(&w, 1000);
    world_assert_equal(&w, "b", 0, 1);
    world_assert_equal(&w, "b", 0, 2);
    world_close(&w);
}

/* The only link is never pruned, whatever comes twice over it. */
static void the_last_link_is_not_pruned(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 1000);
    for (int i = 0; i < 50; i++) { /* both write the same keys */
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        world_set(&w, 0, "b", key, "x");
        world_set(&w, 1, "b", key, "y");
        world_run(&w, 3);
    }
    world_settle(&w, 1000);
    for (int e = 0; e < 2; e++)
        assert_false(mirrors_find(&l->end[e].s->mirrors, "b")->pruned);
    world_close(&w);
}

/* A mirror that went wrong is found by the sum, within a minute or so. */
static void a_wrong_mirror_is_repaired(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    world_set(&w, 0, "b", "k", "v");
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 1000);
    struct mirror *m = mirrors_find(&l->end[1].s->mirrors, "b");
    struct clock_state *right = m->heard, *wrong = clock_state_new();
    assert_ok(ranges_copy(&wrong->ranges, &right->ranges));
    wrong->ranges.r[0].clk.e[0].h ^= 1;
    m->heard = wrong;
    world_run(&w, 10000);
    assert_ptr_equal(m->heard, wrong);
    for (int s = 0; s < 120 && !clock_state_eq(m->heard, right); s++)
        world_run(&w, 1000);
    assert_true(clock_state_eq(m->heard, right));
    assert_int_equal(l->end[1].s->state, SESSION_LIVE);
    clock_state_unref(right);
    world_close(&w);
}

/* One peer is far behind, the other in sync: what is new reaches the latter
 * within a few ms of virtual time in which the former takes a chunk or two,
 * and the former is not forgotten either. */
static void bulk_and_live_share(void **state) {
    struct world w;
    uint64_t worst = 0;
    (void)state;
    world_open(&w, 3);
    world_connect(&w, 0, 1);
    world_fill(&w, 0, "b", "m", 30000, 60);
    world_settle(&w, 60000);
    struct world_link *far = world_connect(&w, 0, 2);
    far->end[1].budget = SIZE_MAX;
    size_t live = 0, bulk = 0;
    for (; live < 60 && !world_in_sync(&w); live++) {
        char key[16];
        snprintf(key, sizeof key, "l%zu", live);
        world_set(&w, 0, "b", key, "x");
        uint64_t begin = w.now, chunks = far->end[0].s->stats.chunks_out;
        while (!world_has(&w, 1, "b", key)) {
            world_turn(&w);
            w.now++;
        }
        worst = w.now - begin > worst ? w.now - begin : worst;
        bulk += far->end[0].s->stats.chunks_out > chunks;
    }
    print_message("# live events: %llu turns at worst beside a bulk\n",
                  (unsigned long long)worst);
    assert_true(live > 5 && bulk > 5);
    assert_in_range(worst, 1, 60);
    world_settle(&w, 60000);
    world_assert_equal(&w, "b", 0, 2);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_go_through_a_core),
        cmocka_unit_test(a_mesh_agrees),
        cmocka_unit_test(commits_are_gathered),
        cmocka_unit_test(a_slow_peer_blocks_nobody),
        cmocka_unit_test(one_bulk_at_a_time),
        cmocka_unit_test(a_newcomer_waits),
        cmocka_unit_test(a_lost_bulk_is_taken_over),
        cmocka_unit_test(writes_during_a_bulk_arrive),
        cmocka_unit_test(random_cuts_and_writes_agree),
        cmocka_unit_test(nothing_leaves_before_its_sync),
        cmocka_unit_test(a_mesh_does_not_repeat_itself),
        cmocka_unit_test(pruned_links_are_grafted),
        cmocka_unit_test(the_last_link_is_not_pruned),
        cmocka_unit_test(a_wrong_mirror_is_repaired),
        cmocka_unit_test(bulk_and_live_share),
    };
    return TEST_RUN(tests);
}
