/* test_chain.c: pairs of chains: none that left is missed, however writers
 * and exposers meet; what is followed, found, thinned out. */
#include "crdt/chain.h"
#include "tests/crdt/kit.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct head own_head(ecrdt_txn *t) {
    struct bucket *bk = kit_bucket(t);
    struct head h = {.seq = bk->head.seq, .h = bk->head.h};
    memcpy(h.origin, origin_id(t, bk->head.me), ORIGIN_SIZE);
    return h;
}

static struct head expose(size_t i) {
    ecrdt_txn *t = kit_expose(i);
    struct head h = own_head(t);
    ecrdt_abort(t);
    return h;
}

/* Where store i sees head x from its own head. */
static int place(size_t i, const struct head *x) {
    struct ranges rs = {0};
    kit_clock(i, &rs);
    ecrdt_txn *t = kit_read(i);
    int rc = chain_find(t, kit_bucket(t), &rs.r[0].clk, x);
    ecrdt_abort(t);
    ranges_free(&rs);
    return rc;
}

static void heads_that_left_are_found(void **state) {
    (void)state;
    struct head seen[5], other;
    for (int i = 0; i < 5; i++) {
        kit_set(0, "k", "hidden");
        kit_set(0, "k", "shown");
        seen[i] = expose(0);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(place(0, &seen[i]), CHAIN_ON);
        other = seen[i];
        other.h ^= 1; /* another branch, by hash or by absence */
        assert_int_equal(place(0, &other), CHAIN_OFF);
        other.seq = seen[i].seq - 1;
        assert_int_equal(place(0, &other), CHAIN_OFF);
        other.seq = seen[4].seq + 1;
        assert_int_equal(place(0, &other), CHAIN_AHEAD);
    }
}

/* ---- exposed while others write ------------------------------------------ */

enum { WRITES = 4000, SEEN = 200000 };

struct exposed {
    atomic_int stop, n;
    uint64_t seq[SEEN], h[SEEN];
};

static void *expose_all_the_time(void *arg) {
    struct exposed *x = arg;
    uint64_t last = 0;
    while (!atomic_load(&x->stop)) {
        ecrdt_txn *t;
        if (replica_expose(kit_stores[0], &t) < 0)
            break;
        struct head h = own_head(t);
        ecrdt_abort(t);
        if (h.seq == last)
            continue;
        last = h.seq;
        int i = atomic_fetch_add(&x->n, 1);
        if (i < SEEN) {
            x->seq[i] = h.seq;
            x->h[i] = h.h;
        }
    }
    return NULL;
}

static void write_on(const struct exposed *x, struct head *me) {
    for (int i = 0; i < WRITES; i++) {
        kit_set(0, "k", "v");
        kit_set(0, "l", "v");
    }
    ecrdt_txn *t = kit_read(0);
    *me = own_head(t);
    ecrdt_abort(t);
    (void)x;
}

static void check_all(const struct exposed *x, const struct head *me) {
    int n = atomic_load(&x->n);
    assert_true(n > 20 && n < SEEN);
    print_message("# %d heads left among %d commits\n", n, 2 * WRITES);
    ecrdt_txn *t = kit_read(0);
    for (int i = 0; i < n; i++) {
        struct vv heard = {0};
        assert_ok(vv_raise(&heard, me->origin, x->seq[i], x->h[i]));
        assert_code(0, chain_is_cloned(t, kit_bucket(t), &heard));
        vv_free(&heard);
    }
    ecrdt_abort(t);
}

static void no_exposed_head_is_missed_by_threads(void **state) {
    (void)state;
    static struct exposed x;
    pthread_t t[3];
    struct head me;
    kit_set(0, "k", "v");
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, expose_all_the_time, &x),
                         0);
    write_on(&x, &me);
    atomic_store(&x.stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    check_all(&x, &me);
    kit_sound(0);
}

static void no_exposed_head_is_missed_by_processes(void **state) {
    (void)state;
    struct head me;
    struct exposed *x = mmap(NULL, sizeof *x, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(x != MAP_FAILED);
    kit_set(0, "k", "v");
    kit_close(0);
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            kit(0);
            expose_all_the_time(x);
            _exit(0);
        }
    while (atomic_load(&x->n) == 0)
        usleep(1000);
    write_on(x, &me);
    atomic_store(&x->stop, 1);
    while (wait(NULL) > 0)
        ;
    check_all(x, &me);
    munmap(x, sizeof *x);
}

/* ---- thinning -------------------------------------------------------------
 */

/* Enough pairs for the oldest to go: the newest stay, of the others the first
 * of each 1,024 numbers; what went is unknown, not off. */
static void old_pairs_are_thinned_out(void **state) {
    (void)state;
    enum { PAIRS = 16000 };
    kit_set(1, "k", "v");
    ecrdt_txn *t = kit_write(1);
    struct bucket *bk = kit_bucket(t);
    uint8_t origin[ORIGIN_SIZE] = {7};
    uint32_t no;
    uint64_t count;
    assert_code(1, origin_no(t, origin, true, &no));
    struct chain_link l = {0};
    for (uint64_t seq = 1; seq <= PAIRS; seq++) {
        l = (struct chain_link){seq, seq * 3, l.seq, l.h, false};
        assert_ok(chain_keep(t, bk, no, &l));
    }
    struct vv here = {0};
    assert_ok(vv_raise(&here, origin, PAIRS, PAIRS * 3));
    struct head x = {.seq = PAIRS - 4000, .h = (PAIRS - 4000) * 3};
    memcpy(x.origin, origin, ORIGIN_SIZE);
    assert_int_equal(chain_find(t, bk, &here, &x), CHAIN_ON);
    x.h++;
    assert_int_equal(chain_find(t, bk, &here, &x), CHAIN_OFF);
    x = (struct head){.seq = 2048, .h = 2048 * 3};
    memcpy(x.origin, origin, ORIGIN_SIZE);
    assert_int_equal(chain_find(t, bk, &here, &x), CHAIN_ON);
    x.h++;
    assert_int_equal(chain_find(t, bk, &here, &x), CHAIN_OFF);
    x = (struct head){.seq = 2050, .h = 2050 * 3};
    memcpy(x.origin, origin, ORIGIN_SIZE);
    assert_int_equal(chain_find(t, bk, &here, &x), CHAIN_UNKNOWN);
    assert_ok(db_count(t->db, DB_PAIRS, &count));
    assert_true(count >= CHAIN_KEEP && count < CHAIN_KEEP + 2048 + 16);
    struct chain_list list;
    struct buf pairs = {0};
    struct head top = {.seq = PAIRS, .h = PAIRS * 3};
    memcpy(top.origin, origin, ORIGIN_SIZE);
    assert_ok(chain_walk(t, bk, &top, 15000, 10000, false, &list, &pairs));
    assert_int_equal(list.n, 999);
    assert_int_equal(list.since, 15000);
    assert_ok(chain_walk(t, bk, &top, 0, 100, false, &list, &pairs));
    assert_int_equal(list.n, 100);
    assert_int_equal(list.since, PAIRS - 100);
    assert_ok(chain_walk(t, bk, &top, 0, 100000, true, &list, &pairs));
    assert_true(list.n > CHAIN_KEEP && list.since > 1024);
    const struct chain_pair *p = (const void *)pairs.data;
    assert_int_equal(p[list.first].seq, 1);
    buf_free(&pairs);
    vv_free(&here);
    ecrdt_abort(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(heads_that_left_are_found),
        kit_test(no_exposed_head_is_missed_by_threads),
        kit_test(no_exposed_head_is_missed_by_processes),
        kit_test(old_pairs_are_thinned_out),
    };
    return TEST_RUN(tests);
}
