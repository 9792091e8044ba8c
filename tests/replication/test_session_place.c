/* test_session_place.c: a question about heads and its answer on a link. */
#include "replication/session_place.h"
#include "tests/replication/world.h"

static struct world w;
static const uint8_t o1[ORIGIN_SIZE] = {1};

/* Node 1 with an item, the puppet in place of node 0. */
static void open_puppet(struct puppet *p) {
    world_open(&w, 2);
    world_set(&w, 1, "b", "k", "v");
    puppet_open(&w, p, 0, 1);
    world_run(&w, 12);
    puppet_send(&w, p, MESSAGE_CLOCKS_DONE, slice_of(NULL, 0));
    assert_int_equal(p->other->s->state, SESSION_LIVE);
}

/* A question of ours in the session's hands: about the head of o1. */
static void ask_place(struct puppet *p) {
    struct placed ask = {0};
    struct buf b = {0};
    struct mirror *m;
    assert_ok(session_mirror(p->other->s, "b", &m));
    assert_ok(vv_raise(&ask.heads, o1, 1, 1));
    item_id_set(&ask.lo, slice_str("a"));
    item_id_set(&ask.hi, slice_str("c"));
    assert_ok(session_ask_place(p->other->s, m, &ask, &b, w.now));
    assert_int_equal(ask.heads.n, 0); /* moved */
    buf_free(&b);
}

/* [lo, hi) lies off, by the answer to that number. */
static void say_placed(struct puppet *p, uint64_t number, const char *lo,
                       const char *hi) {
    struct fp m = {.bucket = slice_str("b"), .gen = number};
    struct item_id from = {0}, to = {0};
    struct vv none = {0};
    uint32_t no;
    if (lo) {
        item_id_set(&from, slice_str(lo));
        item_id_set(&to, slice_str(hi));
        assert_ok(fp_add_clock(&m, &none, &no));
        assert_non_null(fp_add(&m, &from, *hi ? &to : NULL, no, false));
    }
    puppet_say_fp(&w, p, MESSAGE_PLACED, &m);
    fp_free(&m);
}

static void an_answer_must_fit_its_question(void **state) {
    static const struct {
        bool asked;
        uint64_t number;
        const char *lo, *hi;
        bool fits;
    } all[] = {{false, 0, NULL, NULL, false}, {false, 1, NULL, NULL, false},
               {true, 2, NULL, NULL, false},  {true, 1, "a", "d", false},
               {true, 1, "a", "", false},     {true, 1, "9", "b", false},
               {true, 1, NULL, NULL, true},   {true, 1, "a", "c", true},
               {true, 1, "a1", "b", true}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct puppet p;
        open_puppet(&p);
        struct session *s = p.other->s;
        if (all[i].asked)
            ask_place(&p);
        say_placed(&p, all[i].number, all[i].lo, all[i].hi);
        assert_int_equal(s->bye, all[i].fits ? 0 : BYE_PROTOCOL);
        bool on = all[i].fits && !all[i].lo;
        assert_int_equal(mirrors_find(&s->mirrors, "b")->placed.n, on);
        assert_int_equal(s->n_asks, all[i].fits && all[i].lo);
        puppet_close(&w, &p);
        world_close(&w);
    }
}

/* One range, and so many heads: what is asked is answered in one breath. */
static void a_question_is_bounded(void **state) {
    (void)state;
    static const uint32_t counts[] = {1, PLACE_HEADS + VV_MAX_HEADS,
                                      PLACE_HEADS + VV_MAX_HEADS + 1};
    for (size_t k = 0; k < 3; k++) {
        struct puppet p;
        struct placed ask = {0};
        struct fp m = {.gen = 1};
        uint8_t id[ORIGIN_SIZE] = {0};
        open_puppet(&p);
        for (uint32_t i = 1; i <= counts[k]; i++) {
            store32(id, i);
            assert_ok(vv_raise(&ask.heads, id, 1, 1));
        }
        assert_ok(place_ask(&ask, "b", &m));
        puppet_say_fp(&w, &p, MESSAGE_PLACE, &m);
        assert_int_equal(p.other->s->bye, k == 2 ? BYE_PROTOCOL : 0);
        fp_free(&m);
        placed_free(&ask);
        puppet_close(&w, &p);
        world_close(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_must_fit_its_question),
        cmocka_unit_test(a_question_is_bounded),
    };
    return TEST_RUN(tests);
}
