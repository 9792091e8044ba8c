/* test_apply.c: a held writer lock, a full store and malformed chunks hold up
 * nothing else. */
#include "tests/replication/world.h"
#include <pthread.h>

struct holder {
    ecrdt_store *s;
    pthread_t thread;
    pthread_barrier_t barrier;
};

static void *hold(void *arg) {
    struct holder *h = arg;
    ecrdt_txn *t = ecrdt_write(h->s);
    pthread_barrier_wait(&h->barrier); /* held */
    pthread_barrier_wait(&h->barrier); /* let go */
    ecrdt_abort(t);
    return t;
}

static void take_lock(struct holder *h, ecrdt_store *s) {
    h->s = s;
    pthread_barrier_init(&h->barrier, NULL, 2);
    pthread_create(&h->thread, NULL, hold, h);
    pthread_barrier_wait(&h->barrier);
}

static void release_lock(struct holder *h) {
    void *held;
    pthread_barrier_wait(&h->barrier);
    pthread_join(h->thread, &held);
    assert_non_null(held);
    pthread_barrier_destroy(&h->barrier);
}

/* Node 1's lock is held: chunks wait, its own events still go out. */
static void a_held_lock_is_waited_out(void **state) {
    struct world w;
    struct holder h;
    (void)state;
    world_open(&w, 3);
    struct world_link *l = world_connect(&w, 0, 1);
    world_connect(&w, 1, 2);
    world_settle(&w, 1000);
    world_set(&w, 1, "b", "own", "x");
    take_lock(&h, w.node[1].s);
    world_set(&w, 0, "b", "k", "v");
    uint64_t begin = now_ms();
    world_run(&w, 1000);
    assert_true(now_ms() - begin < 900); /* it did not block on the lock */
    assert_non_null(l->end[1].s->inbox);
    assert_true(w.node[1].g.apply.busy > 3);
    ecrdt_txn *t = ecrdt_auto(w.node[2].s);
    ecrdt_slice v;
    assert_code(1, ecrdt_reg_get(t, "b", ecrdt_str("own"), &v, NULL));
    ecrdt_abort(t);
    release_lock(&h);
    world_settle(&w, APPLY_BUSY_MAX_MS + 100);
    world_assert_equal(&w, "b", 0, 2);
    assert_int_equal(w.node[1].g.apply.busy, 0);
    world_close(&w);
}

/* While nothing is applied, what a peer may pile up is bounded. */
static void the_inbox_is_bounded(void **state) {
    struct world w;
    struct holder h;
    size_t most = 0;
    (void)state;
    world_open(&w, 2);
    struct world_link *l = world_connect(&w, 0, 1);
    world_settle(&w, 1000);
    take_lock(&h, w.node[1].s);
    world_fill(&w, 0, "b", "k", 100000, 200);
    for (int i = 0; i < 300; i++) {
        world_run(&w, 1);
        most =
            l->end[1].s->inbox_bytes > most ? l->end[1].s->inbox_bytes : most;
    }
    print_message("# inbox: %zu bytes\n", most);
    assert_true(most <= SESSION_WINDOW_BYTES + CHUNK_PUSH_BYTES);
    assert_true(most < SESSION_INBOX_MAX); /* so acks are still read */
    release_lock(&h);
    world_settle(&w, 60000);
    world_assert_equal(&w, "b", 0, 1);
    world_close(&w);
}

static void a_full_store_stops_pulling_only(void **state) {
    struct world w;
    ecrdt_options small = ECRDT_OPTIONS_INIT;
    (void)state;
    world_open(&w, 1);
    small.max_bytes = 2 << 20;
    world_node(&w, 1, &small);
    struct world_link *l = world_connect(&w, 0, 1);
    world_set(&w, 0, "b", "k", "v");
    world_settle(&w, 1000);
    world_fill(&w, 0, "b", "k", 20000, 300);
    world_run(&w, 3000);
    struct apply *a = &w.node[1].g.apply;
    assert_int_equal(a->error, ECRDT_EFULL);
    assert_true(strlen(a->sentence) > 10);
    assert_in_range(a->stalls, 2, 8); /* it backs off */
    assert_int_equal(l->end[1].s->state, SESSION_LIVE);
    assert_true(l->end[1].s->inbox_bytes < SESSION_INBOX_MAX);
    world_run(&w, 2000);
    assert_int_equal(l->end[0].s->state, SESSION_LIVE);
    world_close(&w);
}

/* One peer's damaged chunk ends its link; the other's chunks are applied. */
static void bad_chunks_hurt_their_sender_only(void **state) {
    struct world w;
    struct puppet p;
    struct holder h;
    struct buf b = {0};
    (void)state;
    world_open(&w, 3);
    struct world_link *good = world_connect(&w, 2, 1);
    world_settle(&w, 1000);
    puppet_open(&w, &p, 0, 1);
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    take_lock(&h, w.node[1].s); /* so that both share a transaction */
    world_set(&w, 2, "b", "k", "v");
    message_chunk_encode(&b, "b", false, slice_of(NULL, 0),
                         slice_str("0123456789"));
    puppet_send(&w, &p, MESSAGE_CHUNK, buf_slice(&b));
    world_run(&w, 30);
    release_lock(&h);
    world_run(&w, 300);
    assert_int_equal(p.other->s->bye, BYE_PROTOCOL);
    assert_int_equal(good->end[0].s->state, SESSION_LIVE);
    world_assert_equal(&w, "b", 2, 1);
    buf_free(&b);
    puppet_close(&w, &p);
    world_close(&w);
}

/* What node 0 has of the bucket beyond peer, as a CHUNK of the puppet. */
static void send_beyond(struct world *w, struct puppet *p,
                        struct ranges *peer) {
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, CHUNK_PUSH_ITEMS};
    struct chunk_built built;
    struct buf chunk = {0}, b = {0};
    ecrdt_txn *t;
    assert_ok(replica_expose(w->node[0].s, &t));
    assert_code(1, chunk_build(t, "b", peer, &budget, NULL, &chunk, &built));
    ecrdt_abort(t);
    message_chunk_encode(&b, "b", false, slice_of(NULL, 0), buf_slice(&chunk));
    puppet_send(w, p, MESSAGE_CHUNK, buf_slice(&b));
    buf_free(&chunk);
    buf_free(&b);
    ranges_free(peer);
}

/* When the inbox has room again the next message is read: a bad one ends the
 * session while chunks of it are still to be told as consumed. */
static void what_is_read_next_may_end_the_session(void **state) {
    static uint8_t zeros[SESSION_INBOX_MAX];
    struct world w;
    struct puppet p;
    struct ranges none = {0};
    (void)state;
    world_open(&w, 2);
    world_fill(&w, 0, "b", "k", 1, 100000);
    puppet_open(&w, &p, 0, 1);
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    send_beyond(&w, &p, &none);
    send_beyond(&w, &p, &none);
    struct session *s = p.other->s;
    struct buf b = {0};
    message_chunk_encode(&b, "b", false, slice_of(NULL, 0),
                         slice_of(zeros, SESSION_INBOX_MAX - s->inbox_bytes));
    puppet_send(&w, &p, MESSAGE_CHUNK, buf_slice(&b));
    assert_false(session_wants_read(s));
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0)); /* again */
    world_run(&w, 50);
    assert_int_equal(s->bye, BYE_PROTOCOL);
    assert_true(world_has(&w, 1, "b", "k000000"));
    buf_free(&b);
    ranges_free(&none);
    puppet_close(&w, &p);
    world_close(&w);
}

/* A chunk that builds on what is not here is put aside, not waited for. */
static void what_does_not_fit_makes_room(void **state) {
    struct world w;
    struct puppet p;
    struct ranges first = {0}, none = {0};
    struct vv floor = {0};
    ecrdt_txn *t;
    (void)state;
    world_open(&w, 2);
    world_set(&w, 0, "b", "first", "1");
    assert_ok(replica_expose(w.node[0].s, &t));
    assert_ok(replica_clock(t, "b", &first, &floor));
    ecrdt_abort(t);
    vv_free(&floor);
    world_set(&w, 0, "b", "second", "2");
    puppet_open(&w, &p, 0, 1);
    puppet_send(&w, &p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    send_beyond(&w, &p, &first);
    send_beyond(&w, &p, &none);
    world_run(&w, 300);
    assert_int_equal(p.other->s->stats.ahead_parts, 1);
    assert_null(p.other->s->inbox);
    assert_true(world_has(&w, 1, "b", "second"));
    puppet_close(&w, &p);
    world_close(&w);
}

static void many_small_chunks_share_a_transaction(void **state) {
    struct world w;
    struct holder h;
    (void)state;
    world_open(&w, 2);
    world_connect(&w, 0, 1);
    world_settle(&w, 1000);
    take_lock(&h, w.node[1].s);
    for (int i = 0; i < 10; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        world_set(&w, 0, "b", key, "v");
        world_run(&w, 15);
    }
    uint64_t before = replica_txn_id(w.node[1].s);
    release_lock(&h);
    world_settle(&w, 500);
    assert_in_range(replica_txn_id(w.node[1].s) - before, 1, 2);
    world_assert_equal(&w, "b", 0, 1);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_held_lock_is_waited_out),
        cmocka_unit_test(the_inbox_is_bounded),
        cmocka_unit_test(a_full_store_stops_pulling_only),
        cmocka_unit_test(bad_chunks_hurt_their_sender_only),
        cmocka_unit_test(what_is_read_next_may_end_the_session),
        cmocka_unit_test(what_does_not_fit_makes_room),
        cmocka_unit_test(many_small_chunks_share_a_transaction),
    };
    return TEST_RUN(tests);
}
