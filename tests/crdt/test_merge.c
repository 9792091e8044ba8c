/* test_merge.c: 17 and 10,000 concurrent events of one item: who keeps them,
 * who makes one of them, and that it ends. */
#include "crdt/items.h"
#include "crdt/merge.h"
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "tests/crdt/forge.h"

static void core_of(size_t i) {
    replica_core(kit(i), true);
}

static void origin_at(uint32_t n, uint8_t id[ORIGIN_SIZE]) {
    memset(id, 0, ORIGIN_SIZE);
    store32(id, n + 1);
}

/* Origins from to to - 1 have each set key, none seeing another: value n of
 * len bytes, the last one at the latest time. */
static void forge_many(struct chunk *c, const char *key, uint32_t from,
                       uint32_t to, size_t len) {
    uint8_t id[ORIGIN_SIZE];
    forge_begin(c);
    struct chunk_part *p = forge_part(c);
    for (uint32_t i = from; i < to; i++) {
        origin_at(i, id);
        assert_ok(vv_raise(&p->clk, id, 1, i + 1));
    }
    forge_item(c, forge_id(key));
    assert_ok(alloc_grow(&c->origins, &c->cap_origins, to - from, ORIGIN_SIZE));
    assert_ok(
        alloc_grow(&c->events, &c->cap_events, to - from, sizeof *c->events));
    c->n_origins = c->n_events = to - from;
    c->items[0].count = to - from;
    for (uint32_t i = from; i < to; i++) {
        origin_at(i, c->origins[i - from]);
        c->events[i - from] =
            (struct event){.origin = i - from,
                           .seq = 1,
                           .hlc = hlc_make(1000 + i, 0),
                           .kind = KIND_PUT,
                           .payload = kit_fill(len, (char)('a' + i % 26)).data,
                           .len = (uint32_t)len};
    }
}

static struct chunk_report give(size_t i, const char *key, uint32_t from,
                                uint32_t to, size_t len) {
    struct chunk c;
    forge_many(&c, key, from, to, len);
    return forge_apply(i, &c);
}

static void others_keep_them(void **state) {
    (void)state;
    give(0, "k", 0, 17, 3);
    assert_int_equal(kit_siblings(0, "k"), 17);
    assert_int_equal(kit_seq(0), 0);
    kit_sound(0);
}

static void a_core_keeps_sixteen(void **state) {
    (void)state;
    core_of(0);
    give(0, "k", 0, 16, 3);
    assert_int_equal(kit_siblings(0, "k"), 16);
    assert_int_equal(kit_seq(0), 0);
    give(0, "k", 16, 17, 3);
    assert_int_equal(kit_siblings(0, "k"), 1);
    assert_int_equal(kit_seq(0), 1);
    kit_sound(0);
}

/* The value and the time are the winner's, the event a marked one. */
static void it_stands_for_the_winner(void **state) {
    (void)state;
    core_of(0);
    give(0, "k", 0, 17, 3);
    slice v;
    ecrdt_stamp who;
    ecrdt_txn *t = kit_read(0);
    assert_code(1, ecrdt_reg_get(t, KIT_B, slice_str("k"), &v, &who));
    assert_slice_equal(v, kit_fill(3, 'a' + 16));
    assert_int_equal(who.wall_ms, 1016);
    ecrdt_abort(t);
    kit_pull(1, 0);
    assert_int_equal(kit_siblings(1, "k"), 1);
    kit_same_digest(0, 1);
    kit_set(1, "k", "later"); /* an ordinary event above it */
    kit_pull(0, 1);
    kit_expect(0, "k", "later");
}

/* Elements and counter entries too: nothing that is read changes. */
static void of_every_type(void **state) {
    (void)state;
    enum { N = 18 };
    static char elem[] = "e";
    core_of(0);
    for (uint32_t i = 0; i < N; i++) {
        struct chunk c;
        struct item_key set, entry;
        uint8_t id[ORIGIN_SIZE], owner[ORIGIN_SIZE], value[4 * VARINT_MAX];
        struct count n = {100 + i, 50, i, 0};
        origin_at(i, id);
        origin_at(999, owner);
        forge_begin(&c);
        struct chunk_part *p = forge_part(&c);
        assert_ok(vv_raise(&p->clk, id, 2, 7));
        item_key_make(&entry, 0, slice_str("c"), TAG_ENTRY);
        item_key_origin(&entry, owner);
        forge_item(&c, item_key_id(&entry));
        struct event *e = forge_event(&c, id, 1, "");
        e->kind = i == 3 ? KIND_COUNT | KIND_BYE : KIND_COUNT;
        e->payload = value;
        e->len = (uint32_t)count_encode(value, &n);
        item_key_make(&set, 0, slice_str("s"), TAG_ELEMENT);
        item_key_element(&set, slice_str(elem));
        forge_item(&c, item_key_id(&set));
        forge_event(&c, id, 2, "");
        forge_apply(0, &c);
    }
    assert_int_equal(kit_value(0, "c"), 100 + N - 1 - (N - 1) - 50);
    ecrdt_txn *t = kit_read(0);
    assert_code(1, ecrdt_set_has(t, KIT_B, slice_str("s"), slice_str(elem)));
    struct bucket *bk = kit_bucket(t);
    struct item_key k;
    uint8_t owner[ORIGIN_SIZE];
    origin_at(999, owner);
    item_key_make(&k, bk->id, slice_str("c"), TAG_ENTRY);
    item_key_origin(&k, owner);
    slice rec;
    struct item it = {0};
    struct items at;
    assert_ok(items_open(&at, t));
    assert_code(1, items_find(t, at.c, &k, &rec));
    items_close(&at);
    assert_ok(item_decode(&it, rec));
    assert_int_equal(it.n, 2); /* the merged one, and the 18th */
    assert_true(count_bye(&it));
    item_free(&it);
    ecrdt_abort(t);
    assert_int_equal(kit_seq(0), 2);
    kit_sound(0);
}

enum { CORES = 18 };

/* All build for all, then all apply: nobody sees what the others are at. */
static void lockstep(void) {
    static struct buf out[CORES][CORES];
    struct ranges peer = {0};
    for (size_t i = 0; i < CORES * CORES; i++) {
        kit_clock(i / CORES, &peer);
        if (i / CORES != i % CORES)
            kit_build(i % CORES, &peer, 2000, &out[i / CORES][i % CORES]);
    }
    ranges_free(&peer);
    for (size_t i = 0; i < CORES * CORES; i++) {
        struct buf *b = &out[i / CORES][i % CORES];
        if (b->len)
            kit_apply(i / CORES, buf_slice(b));
        buf_free(b);
    }
}

static uint64_t events(void) {
    uint64_t n = 0;
    for (size_t i = 0; i < CORES; i++)
        n += kit_seq(i);
    return n;
}

/* More cores than the limit: each makes an event, which are many again. All
 * but one leave it at that (mutant mergestorm). */
static void cores_in_lockstep_come_to_rest(void **state) {
    (void)state;
    for (size_t i = 0; i < CORES; i++) {
        core_of(i);
        give(i, "k", (uint32_t)i, (uint32_t)i + 1, 3);
    }
    for (int round = 0; round < 5; round++)
        lockstep();
    uint64_t made = events();
    assert_true(made > 0 && made <= 3 * CORES);
    lockstep();
    assert_int_equal(events(), made);
    for (size_t i = 0; i < CORES; i++) {
        assert_true(kit_siblings(i, "k") <= MERGE_SIBLINGS);
        kit_same_digest(0, i);
        kit_sound(i);
    }
}

/* 10,000 at once, of 1 KiB, fit one chunk. */
static void ten_thousand(void **state) {
    (void)state;
    enum { N = 10000 };
    give(0, "k", 0, N, 1024);
    assert_int_equal(kit_siblings(0, "k"), N);
    assert_int_equal(kit_seq(0), 0);
    kit_pull(1, 0); /* by our own build */
    assert_int_equal(kit_siblings(1, "k"), N);
    kit_same_digest(0, 1);
    core_of(2);
    kit_pull(2, 0);
    assert_int_equal(kit_siblings(2, "k"), 1);
    kit_pull(0, 2);
    assert_int_equal(kit_siblings(0, "k"), 1);
    kit_same_digest(0, 2);
    for (size_t i = 0; i < 3; i++)
        kit_sound(i);
}

/* One after the other at a core: it never holds more than 17. */
static void ten_thousand_arrive_at_a_core(void **state) {
    (void)state;
    enum { N = 10000 };
    struct buf all = {0};
    struct chunk_report r = {0};
    core_of(0);
    ecrdt_txn *t;
    assert_ok(replica_begin(kit(0), true, 2000, &t));
    for (uint32_t i = 0; i < N; i++) {
        struct chunk c;
        forge_many(&c, "k", i, i + 1, 1024);
        forge_end(&c, &all);
        assert_ok(chunk_apply(t, buf_slice(&all), &r));
        if (i % 100 == 99) {
            assert_ok(ecrdt_commit(t));
            assert_ok(replica_begin(kit(0), true, 2000, &t));
        }
    }
    assert_ok(ecrdt_commit(t));
    buf_free(&all);
    assert_int_equal(r.events, N);
    assert_true(kit_siblings(0, "k") <= MERGE_SIBLINGS);
    assert_true(kit_seq(0) <= N / 15);
    kit_sound(0);
}

/* What could not be sent in one chunk is merged by anybody. */
static void too_many_bytes_for_a_chunk(void **state) {
    (void)state;
    enum { N = MERGE_BYTES / ECRDT_MAX_VALUE };
    for (uint32_t i = 0; i < N; i += 8)
        give(0, "k", i, i + 8, ECRDT_MAX_VALUE);
    assert_int_equal(kit_siblings(0, "k"), N);
    assert_int_equal(kit_seq(0), 0);
    kit_pull(1, 0);
    kit_same_digest(0, 1);
    give(0, "k", N, N + 1, ECRDT_MAX_VALUE);
    assert_int_equal(kit_siblings(0, "k"), 1);
    assert_int_equal(kit_seq(0), 1);
    kit_pull(1, 0);
    kit_same_digest(0, 1);
    kit_sound(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(others_keep_them),
        kit_test(a_core_keeps_sixteen),
        kit_test(it_stands_for_the_winner),
        kit_test(of_every_type),
        kit_test(cores_in_lockstep_come_to_rest),
        kit_test(ten_thousand),
        kit_test(ten_thousand_arrive_at_a_core),
        kit_test(too_many_bytes_for_a_chunk),
    };
    return TEST_RUN(tests);
}
