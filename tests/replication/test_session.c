/* test_session.c: conversations over pipes of bytes: random splits, lost
 * links, repeats, and everything a peer must not do. */
#include "tests/replication/world.h"

static void two_nodes_agree(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 0, "b", "a", 50, 20);
    world_fill(&w, 1, "b", "b", 50, 20);
    world_fill(&w, 1, "only-there", "c", 3, 20);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 5000);
    world_assert_equal(&w, "b", 0, 1);
    world_assert_equal(&w, "only-there", 0, 1);
    assert_string_equal(l->end[1].s->peer.name, "node");
    assert_memory_equal(l->end[1].s->peer_key, w.node[0].self.pk, 32);
    ecrdt_node id;
    uint8_t origin[16];
    assert_ok(ecrdt_node_id(w.node[0].s, &id));
    hello_origin(&l->end[1].s->peer, origin);
    assert_memory_equal(origin, id.b, 16);
    world_set(&w, 0, "b", "later", "x");
    world_set(&w, 1, "new", "later", "y");
    world_run(&w, 20);
    assert_true(world_in_sync(&w));
    world_assert_equal(&w, "b", 0, 1);
    world_assert_equal(&w, "new", 0, 1);
    world_close(&w);
}

static void nothing_is_sent_twice(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 0, "b", "a", 3000, 20);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 20000);
    assert_int_equal(l->end[0].s->stats.items_out, 3000);
    assert_int_equal(l->end[1].s->stats.items_in, 3000);
    assert_int_equal(l->end[1].s->stats.items_out, 0);
    assert_int_equal(l->end[1].s->stats.ahead_parts, 0);
    uint64_t sent = l->end[0].s->sent;
    world_run(&w, 10000); /* idle: no chunk, no clock */
    assert_int_equal(l->end[0].s->sent, sent);
    assert_int_equal(l->end[1].s->sent, 0);
    world_close(&w);
}

/* A link that is lost after any number of bytes goes on where it was. */
static void cut_links_resume(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 3);
    world_fill(&w, 0, "b", "a", 20000, 60);
    world_cut(&w, (world_connect(&w, 0, 2), world_settle(&w, 60000), w.link));
    uint64_t clean = w.moved, cuts = 0;
    for (bool done = false; !done; cuts++) {
        struct world_link *l = world_connect(&w, 0, 1);
        struct world_end *to = &l->end[1];
        to->budget = 1 + (size_t)rng_below(&w.rng, 600000);
        while (!to->deaf && !world_in_sync(&w))
            world_run(&w, 1);
        done = !to->deaf;
        world_cut(&w, l);
    }
    world_assert_equal(&w, "b", 0, 1);
    world_assert_equal(&w, "b", 2, 1);
    uint64_t again = w.moved - clean;
    print_message("# %llu cuts, %llu bytes instead of %llu\n",
                  (unsigned long long)cuts, (unsigned long long)again,
                  (unsigned long long)clean);
    assert_true(cuts > 2);
    /* A cut loses the message it was in, the handshake and the clocks. */
    assert_true(again < clean + clean / 20 + cuts * 40000);
    world_close(&w);
}

static void encode_chunk(struct world *w, size_t i, const char *bucket,
                         struct ranges *peer, struct buf *body) {
    ecrdt_txn *t;
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};
    struct chunk_built built;
    struct buf chunk = {0};
    assert_ok(ranges_init(peer));
    assert_ok(replica_expose(w->node[i].s, &t));
    assert_code(1, chunk_build(t, bucket, peer, &budget, NULL, &chunk, &built));
    ecrdt_abort(t);
    message_chunk_encode(body, bucket, false, slice_of(NULL, 0),
                         buf_slice(&chunk));
    buf_free(&chunk);
}

/* The node's next CLOCK of bucket "b"; its CLOCKS_DONE may come before. */
static void next_clock(struct world *w, struct puppet *p, struct clock *c) {
    struct channel_event e;
    do {
        world_run(w, MIRROR_TELL_MS);
        assert_code(1, puppet_next(w, p, &e));
    } while (!puppet_clock(p, &e, c));
    assert_string_equal(c->bucket, "b");
}

static void repeated_chunks_are_harmless(void **state) {
    struct world w;
    struct puppet p;
    struct clock c;
    struct buf body = {0};
    struct ranges peer = {0};
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 0, "b", "a", 10, 20);
    puppet_open(&w, &p, 0, 1);
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    encode_chunk(&w, 0, "b", &peer, &body);
    for (uint64_t i = 1; i <= 3; i++) {
        puppet_send(&w, &p, MESSAGE_CHUNK, buf_slice(&body));
        next_clock(&w, &p, &c);
        assert_int_equal(c.acked, i);
        assert_int_equal(c.flags, 0);
        assert_true(ranges_eq(&c.state->ranges, &peer));
        clock_free(&c);
    }
    assert_int_equal(p.other->s->stats.items_in, 10);
    world_assert_equal(&w, "b", 0, 1);
    buf_free(&body);
    ranges_free(&peer);
    puppet_close(&w, &p);
    world_close(&w);
}

/* A chunk built on what the receiver lacks is answered with a clock that
 * makes the sender forget what it believed. */
static void ahead_chunks_are_reset(void **state) {
    struct world w;
    struct puppet p;
    struct clock c;
    struct buf first = {0}, second = {0};
    struct ranges peer = {0};
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 0, "b", "a", 10, 20);
    encode_chunk(&w, 0, "b", &peer, &first);
    world_fill(&w, 0, "b", "b", 10, 20);
    encode_chunk(&w, 0, "b", &peer, &second);
    puppet_open(&w, &p, 0, 1);
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    puppet_send(&w, &p, MESSAGE_CHUNK, buf_slice(&second));
    next_clock(&w, &p, &c);
    assert_int_equal(c.flags, CLOCK_RESET);
    assert_int_equal(c.acked, 1);
    clock_free(&c);
    puppet_send(&w, &p, MESSAGE_CHUNK, buf_slice(&first));
    next_clock(&w, &p, &c);
    assert_int_equal(c.flags, 0);
    clock_free(&c);
    puppet_send(&w, &p, MESSAGE_CHUNK, buf_slice(&second));
    next_clock(&w, &p, &c);
    assert_int_equal(c.acked, 3);
    clock_free(&c);
    world_assert_equal(&w, "b", 0, 1);
    buf_free(&first);
    buf_free(&second);
    ranges_free(&peer);
    puppet_close(&w, &p);
    world_close(&w);
}

/* Sends one message after CLOCKS_DONE; the session must say BYE with code. */
static void assert_refused(uint8_t type, slice body, bool live, uint8_t code) {
    struct world w;
    struct puppet p;
    struct channel_event e;
    struct bye bye = {0};
    world_open(&w, 2);
    puppet_open(&w, &p, 0, 1);
    if (live)
        puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    puppet_send(&w, &p, type, body);
    world_run(&w, 20);
    while (puppet_next(&w, &p, &e) == 1)
        if (e.type == MESSAGE_BYE)
            assert_ok(message_bye_decode(e.body, &bye));
    assert_int_equal(bye.code, code);
    assert_true(strlen(bye.sentence) > 10);
    assert_true(p.other->s->state >= SESSION_CLOSING);
    world_run(&w, SESSION_LINGER_MS + 10);
    assert_int_equal(p.other->s->state, SESSION_CLOSED);
    puppet_close(&w, &p);
    world_close(&w);
}

static void broken_rules_end_the_link(void **state) {
    uint8_t junk[300];
    struct buf b = {0};
    struct ranges none = {0};
    struct vv floor = {0};
    (void)state;
    memset(junk, 0xc1, sizeof junk);
    assert_refused(0, slice_of(junk, 3), true, BYE_PROTOCOL);
    assert_refused(250, slice_of(junk, 3), true, BYE_PROTOCOL);
    assert_refused(MESSAGE_CLOCK, slice_of(junk, 300), true, BYE_PROTOCOL);
    assert_refused(MESSAGE_CLOCK, slice_of(junk, 0), true, BYE_PROTOCOL);
    assert_refused(MESSAGE_CHUNK, slice_of(junk, 300), true, BYE_PROTOCOL);
    assert_refused(MESSAGE_BYE, slice_of(junk, 30), true, BYE_PROTOCOL);
    assert_refused(MESSAGE_KEEPALIVE, slice_of(junk, 30), true, BYE_LIMIT);
    assert_refused(MESSAGE_CLOCKS_DONE, slice_of(NULL, 0), true,
                   BYE_PROTOCOL); /* twice */
    message_chunk_encode(&b, "b", false, slice_of(NULL, 0), slice_of(junk, 4));
    assert_refused(MESSAGE_CHUNK, buf_slice(&b), false,
                   BYE_PROTOCOL); /* early */
    assert_refused(MESSAGE_CHUNK, buf_slice(&b), true, BYE_PROTOCOL);
    buf_clear(&b);
    assert_ok(ranges_init(&none));
    message_clock_encode(&b, 1, 0, "b", &none, &floor); /* acks the unsent */
    assert_refused(MESSAGE_CLOCK, buf_slice(&b), true, BYE_PROTOCOL);
    ranges_free(&none);
    buf_free(&b);
}

static void too_many_buckets_are_refused(void **state) {
    struct world w;
    struct puppet p;
    struct buf b = {0};
    struct ranges none = {0};
    struct vv floor = {0};
    (void)state;
    world_open(&w, 2);
    puppet_open(&w, &p, 0, 1);
    assert_ok(ranges_init(&none));
    for (int i = 0; i <= ECRDT_MAX_BUCKETS; i++) {
        char name[16];
        snprintf(name, sizeof name, "b%d", i);
        buf_clear(&b);
        message_clock_encode(&b, 0, 0, name, &none, &floor);
        assert_int_equal(p.other->s->state, SESSION_SYNCING);
        puppet_send(&w, &p, MESSAGE_CLOCK, buf_slice(&b));
    }
    assert_int_equal(p.other->s->state, SESSION_CLOSING);
    ranges_free(&none);
    buf_free(&b);
    puppet_close(&w, &p);
    world_close(&w);
}

/* A peer that acks nothing gets a window's worth and no more. */
static void the_window_bounds_what_is_sent(void **state) {
    struct world w;
    struct puppet p;
    struct channel_event e;
    size_t bytes = 0, chunks = 0;
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 1, "b", "a", 40000, 200);
    puppet_open(&w, &p, 0, 1);
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    for (int i = 0; i < 50; i++) {
        world_run(&w, 5);
        while (puppet_next(&w, &p, &e) == 1)
            if (e.type == MESSAGE_CHUNK) {
                bytes += e.body.len;
                chunks++;
            }
    }
    assert_true(chunks > 1);
    assert_true(chunks <= SESSION_FLIGHT_MAX);
    assert_true(bytes < SESSION_WINDOW_BYTES + CHUNK_PUSH_BYTES);
    assert_int_equal(p.other->s->sent, chunks);
    puppet_close(&w, &p);
    world_close(&w);
}

/* Acks without progress: the same chunk is not sent in a loop. */
static void fruitless_chunks_back_off(void **state) {
    struct world w;
    struct puppet p;
    struct channel_event e;
    struct ranges none = {0};
    struct vv floor = {0};
    uint64_t chunks = 0;
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 1, "b", "a", 5, 20);
    puppet_open(&w, &p, 0, 1);
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    assert_ok(ranges_init(&none));
    for (int ms = 0; ms < 10000; ms += 5) {
        world_run(&w, 5);
        while (puppet_next(&w, &p, &e) == 1) {
            struct buf b = {0};
            if (e.type != MESSAGE_CHUNK)
                continue;
            message_clock_encode(&b, ++chunks, 0, "b", &none, &floor);
            puppet_send(&w, &p, MESSAGE_CLOCK, buf_slice(&b));
            buf_free(&b);
        }
    }
    print_message("# %llu chunks in 10 s\n", (unsigned long long)chunks);
    assert_in_range(chunks, 3, 12);
    ranges_free(&none);
    puppet_close(&w, &p);
    world_close(&w);
}

static void silence_is_noticed(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 1000);
    world_run(&w, 60000); /* keepalives keep it up */
    assert_int_equal(l->end[0].s->state, SESSION_LIVE);
    l->end[0].deaf = l->end[1].deaf = true;
    world_run(&w, SESSION_DEAD_MS - 16000);
    assert_int_equal(l->end[0].s->state, SESSION_LIVE);
    world_run(&w, 20000);
    assert_int_equal(l->end[0].s->state, SESSION_CLOSED);
    assert_int_equal(l->end[0].s->bye, BYE_SILENT);
    world_close(&w);
}

static void handshakes_have_a_deadline(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    struct session *s = world_session(&w, 0, 1, true);
    session_tick(s, w.now + SESSION_HANDSHAKE_MS - 1);
    assert_int_equal(s->state, SESSION_HANDSHAKE);
    session_tick(s, w.now + SESSION_HANDSHAKE_MS);
    assert_int_equal(s->state, SESSION_CLOSED);
    assert_int_equal(s->error, ECRDT_ETIMEOUT);
    session_free(s);
    world_close(&w);
}

static void a_bye_is_read_and_told(void **state) {
    struct world w;
    (void)state;
    world_open(&w, 2);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 1000);
    session_bye(l->end[0].s, BYE_STOP, w.now, "the test is over");
    session_bye(l->end[0].s, BYE_LIMIT, w.now, "again");
    world_run(&w, 20);
    assert_int_equal(l->end[1].s->state, SESSION_CLOSED);
    assert_int_equal(l->end[1].s->bye, BYE_STOP);
    assert_true(l->end[1].s->bye_received);
    assert_int_equal(l->end[1].s->error, 0);
    assert_string_equal(l->end[1].s->sentence, "the test is over");
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_nodes_agree),
        cmocka_unit_test(nothing_is_sent_twice),
        cmocka_unit_test(cut_links_resume),
        cmocka_unit_test(repeated_chunks_are_harmless),
        cmocka_unit_test(ahead_chunks_are_reset),
        cmocka_unit_test(broken_rules_end_the_link),
        cmocka_unit_test(too_many_buckets_are_refused),
        cmocka_unit_test(the_window_bounds_what_is_sent),
        cmocka_unit_test(fruitless_chunks_back_off),
        cmocka_unit_test(silence_is_noticed),
        cmocka_unit_test(handshakes_have_a_deadline),
        cmocka_unit_test(a_bye_is_read_and_told),
    };
    return TEST_RUN(tests);
}
