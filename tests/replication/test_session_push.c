/* test_session_push.c: what is told and sent, when, and how much of it. */
#include "tests/replication/world.h"

/* A round of node j's gossip, and the types of what its session said. */
static size_t said(struct world *w, struct puppet *p, uint8_t *types,
                   size_t max) {
    struct channel_event e;
    size_t n = 0;
    world_run(w, 12);
    while (puppet_next(w, p, &e) == 1 && n < max)
        types[n++] = e.type;
    return n;
}

static void clocks_come_first_then_chunks(void **state) {
    struct world w;
    struct puppet p;
    uint8_t t[8];
    (void)state;
    world_open(&w, 2);
    world_set(&w, 1, "a", "k", "v");
    world_set(&w, 1, "b", "k", "v");
    puppet_open(&w, &p, 0, 1);
    assert_int_equal(said(&w, &p, t, 8), 3);
    assert_int_equal(t[0], MESSAGE_CLOCK);
    assert_int_equal(t[1], MESSAGE_CLOCK);
    assert_int_equal(t[2], MESSAGE_CLOCKS_DONE);
    assert_int_equal(said(&w, &p, t, 8), 0); /* ours are not told yet */
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    assert_int_equal(said(&w, &p, t, 8), 2);
    assert_int_equal(t[0], MESSAGE_CHUNK);
    assert_int_equal(t[1], MESSAGE_CHUNK);
    world_set(&w, 1, "a", "k", "v2"); /* clock with the chunk, once */
    assert_int_equal(said(&w, &p, t, 8), 1);
    assert_int_equal(t[0], MESSAGE_CHUNK);
    assert_int_equal(said(&w, &p, t, 8), 0);
    puppet_close(&w, &p);
    world_close(&w);
}

/* The items of each chunk that comes, all acknowledged at once; the number
 * of chunks. */
static size_t take_all(struct world *w, struct puppet *p, uint8_t flags,
                       uint64_t ms) {
    struct channel_event e;
    struct ranges none = {0};
    struct vv floor = {0};
    size_t chunks = 0;
    assert_ok(ranges_init(&none));
    for (uint64_t end = w->now + ms; w->now < end;) {
        world_run(w, 1);
        while (puppet_next(w, p, &e) == 1) {
            struct buf b = {0};
            if (e.type != MESSAGE_CHUNK)
                continue;
            chunks++;
            message_clock_encode(&b, p->other->s->sent, flags, "b", &none,
                                 &floor);
            puppet_send(w, p, MESSAGE_CLOCK, buf_slice(&b));
            buf_free(&b);
        }
    }
    ranges_free(&none);
    return chunks;
}

/* A peer that says "wait" gets a trickle. */
static void a_held_bulk_trickles(void **state) {
    struct world w;
    struct puppet p;
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 1, "b", "k", 20000, 20);
    puppet_open(&w, &p, 0, 1);
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    take_all(&w, &p, CLOCK_WAIT, 20);
    uint64_t items = p.other->s->stats.items_out;
    size_t chunks = take_all(&w, &p, CLOCK_WAIT, 2000);
    items = p.other->s->stats.items_out - items;
    assert_in_range(chunks, 1, 2000 / SESSION_HELD_MS + 2);
    assert_true(items <= chunks * SESSION_HELD_ITEMS);
    puppet_close(&w, &p);
    world_close(&w);
}

static void bulk_starts_small(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 0, "b", "k", CHUNK_PUSH_ITEMS, 8);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 5000);
    assert_int_equal(l->end[0].s->stats.chunks_out, 1); /* atomic */
    world_fill(&w, 0, "b", "l", CHUNK_PUSH_ITEMS + 1, 8);
    world_settle(&w, 5000);
    assert_true(l->end[0].s->stats.chunks_out > 5);
    world_close(&w);
}

static void nothing_is_due_on_a_full_pipe(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 1000);
    struct session *s = l->end[0].s;
    assert_true(session_push_at(s, w.node[0].g.push.n) == UINT64_MAX);
    world_set(&w, 0, "b", "k", "v");
    l->end[1].deaf = true;
    buf_extend(session_out(s), SESSION_OUT_MAX + 1);
    world_run(&w, 20);
    assert_int_equal(session_out(s)->len, SESSION_OUT_MAX + 1);
    assert_true(session_push_at(s, w.node[0].g.push.n) == UINT64_MAX);
    session_out(s)->len = 0;
    world_run(&w, 20);
    assert_int_equal(s->stats.chunks_out, 1);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_come_first_then_chunks),
        cmocka_unit_test(a_held_bulk_trickles),
        cmocka_unit_test(bulk_starts_small),
        cmocka_unit_test(nothing_is_due_on_a_full_pipe),
    };
    return TEST_RUN(tests);
}
