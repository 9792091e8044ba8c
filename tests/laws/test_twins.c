/* test_twins.c: random schedules in which a store is copied, with or without
 * all that a guard could tell the copy by, and both go on: every kind of
 * chunk, lost, late and repeated; some nodes die. In the end all that live are
 * equal, and nothing that a living node wrote is missing unless somebody
 * removed it. The seed of each schedule is printed when it fails;
 * TWINS_SEED=N replays one, TWINS_SCHEDULES=N sets how many run. */
#include "tests/crdt/kit.h"

enum { SCHEDULES = 150, NODES = 6, MESSAGES = 12, VALUES = 200 };

struct message {
    size_t to;
    struct buf bytes;
};

static struct {
    struct rng rng;
    size_t n; /* nodes, the copies too */
    bool dead[NODES];
    struct message net[MESSAGES];
    size_t n_net;
    int n_values;
    struct {
        size_t by;
        bool removed;
    } value[VALUES];
    unsigned clones, deaths;
    uint64_t merges;
} w;

static size_t below(size_t n) {
    return (size_t)rng_below(&w.rng, n);
}

static size_t living(void) {
    size_t i;
    do
        i = below(w.n);
    while (w.dead[i]);
    return i;
}

static const char *element(int v, char out[16]) {
    snprintf(out, 16, "%c-%d", 'a' + v % 4, v);
    return out;
}

static bool has(ecrdt_txn *t, int v) {
    char name[16];
    int rc =
        ecrdt_set_has(t, KIT_B, slice_str("set"), slice_str(element(v, name)));
    assert_true(rc >= 0);
    return rc;
}

/* ---- steps ----------------------------------------------------------------
 */

static void add_value(size_t i) {
    char name[16];
    if (w.n_values == VALUES)
        return;
    w.value[w.n_values].by = i;
    w.value[w.n_values].removed = false;
    kit_add(i, "set", element(w.n_values++, name));
}

static void remove_value(size_t i) {
    char name[16];
    int v = w.n_values ? (int)below((size_t)w.n_values) : -1;
    ecrdt_txn *t = kit_write(i);
    if (v >= 0 && has(t, v)) {
        assert_code(1, ecrdt_set_remove(t, KIT_B, slice_str("set"),
                                        slice_str(element(v, name))));
        w.value[v].removed = true;
    }
    assert_ok(ecrdt_commit(t));
}

static void write_register(size_t i) {
    char key[3] = {'r', (char)('0' + below(4))}, value[16];
    snprintf(value, sizeof value, "%u", (unsigned)below(1000));
    ecrdt_txn *t = kit_write(i);
    if (below(4))
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str(value)));
    else
        assert_true(ecrdt_reg_del(t, KIT_B, slice_str(key)) >= 0);
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("n"), 1, NULL));
    assert_ok(ecrdt_commit(t));
}

/* A chunk for r by what it knows now, on its way or at once. */
static void send_chunk(size_t s, size_t r, bool late) {
    static const uint32_t items[] = {1, 2, 3, 2000};
    struct ranges peer = {0};
    struct buf out = {0};
    kit_clock(r, &peer);
    if (kit_build(s, &peer, items[below(4)], &out)) {
        if (late && w.n_net < MESSAGES)
            w.net[w.n_net++] = (struct message){r, out};
        else
            kit_apply(r, buf_slice(&out));
    }
    if (!w.n_net || w.net[w.n_net - 1].bytes.data != out.data)
        buf_free(&out);
    ranges_free(&peer);
}

/* Delivers one, which may come again. */
static void deliver(void) {
    if (!w.n_net)
        return;
    size_t i = below(w.n_net);
    if (!w.dead[w.net[i].to])
        kit_apply(w.net[i].to, buf_slice(&w.net[i].bytes));
    if (below(3) == 0)
        return;
    buf_free(&w.net[i].bytes);
    w.net[i] = w.net[--w.n_net];
}

static void copy_store(size_t i) {
    char cmd[600];
    if (w.n == NODES)
        return;
    kit(i);
    kit_close(i);
    snprintf(cmd, sizeof cmd, "cp -a %s %s", kit_path(i), kit_path(w.n));
    assert_int_equal(system(cmd), 0);
    if (below(5))
        kit_twin(w.n);
    w.n++;
    w.clones++;
}

static void die(void) {
    size_t left = 0;
    for (size_t i = 0; i < w.n; i++)
        left += !w.dead[i];
    if (left < 3)
        return;
    w.dead[living()] = true;
    w.deaths++;
}

static void step(void) {
    size_t r = living(), s = living(), what = below(100);
    if (what < 25)
        add_value(r);
    else if (what < 33)
        remove_value(r);
    else if (what < 43)
        write_register(r);
    else if (what < 75 && r != s)
        send_chunk(s, r, false);
    else if (what < 85 && r != s)
        send_chunk(s, r, true);
    else if (what < 98)
        deliver();
    else
        die();
}

/* ---- the end --------------------------------------------------------------
 */

static bool all_told(void) {
    bool told = true;
    for (size_t a = 0; a < w.n; a++)
        for (size_t b = 0; b < w.n; b++)
            if (a != b && !w.dead[a] && !w.dead[b] &&
                kit_try_by(a, b, below(3) ? 2000 : 5))
                told = false;
    return told;
}

static void settle(void) {
    for (int round = 0; !all_told(); round++)
        assert_true(round < 100); /* repairs end */
}

static void check_end(void) {
    size_t first = living();
    for (size_t i = 0; i < w.n; i++) {
        if (w.dead[i])
            continue;
        kit_same_digest(first, i);
        kit_sound(i);
        w.merges += atomic_load(&kit(i)->fork_merges);
    }
    ecrdt_txn *t = kit_read(first);
    for (int v = 0; v < w.n_values; v++)
        if (!w.value[v].removed && !w.dead[w.value[v].by] && !has(t, v))
            fail_msg("value %d of living node %zu is lost", v, w.value[v].by);
    ecrdt_abort(t);
}

static void schedule(uint64_t seed) {
    w.rng.s = seed | 1;
    w.n = 3;
    w.n_values = 0;
    memset(w.dead, 0, sizeof w.dead);
    kit_setup(NULL);
    size_t at = 3 + below(12), steps = 15 + below(40);
    for (size_t i = 0; i < steps; i++) {
        if (i == at || (i > at && below(25) == 0))
            copy_store(living());
        step();
    }
    settle();
    check_end();
    for (; w.n_net; w.n_net--)
        buf_free(&w.net[w.n_net - 1].bytes);
    assert_int_equal(kit_teardown(NULL), 0);
}

static void twins_lose_nothing(void **state) {
    (void)state;
    const char *one = getenv("TWINS_SEED"), *many = getenv("TWINS_SCHEDULES");
    uint64_t seed = one ? strtoull(one, NULL, 0) : rng_seed().s >> 20;
    unsigned n = one ? 1 : many ? (unsigned)atoi(many) : SCHEDULES;
    for (unsigned i = 0; i < n; i++) {
        print_message("# TWINS_SEED=%llu\n", (unsigned long long)seed);
        schedule(seed);
        seed += 2;
    }
    print_message("# %u schedules, %u clones, %u deaths, %llu merges\n", n,
                  w.clones, w.deaths, (unsigned long long)w.merges);
    assert_true(one || w.merges > n / 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(twins_lose_nothing)};
    return TEST_RUN(tests);
}
