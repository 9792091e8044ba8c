/* test_threads.c: threads share one handle, others open and close it
 * meanwhile; also for `make tsan`. */
#include "tests/crash/scratch.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 150 };

struct worker {
    ecrdt_store *s;
    int no;
};

static void *write_and_read(void *arg) {
    struct worker *w = arg;
    char key[16], text[16];
    snprintf(key, sizeof key, "k%d", w->no);
    ecrdt_txn *a = ecrdt_auto(w->s);
    for (int i = 1; i <= ROUNDS; i++) {
        int64_t n;
        ecrdt_slice v;
        snprintf(text, sizeof text, "%d", i);
        ecrdt_txn *t = ecrdt_write(w->s);
        ecrdt_reg_set(t, "b", ecrdt_str(key), ecrdt_str(text));
        ecrdt_counter_add(t, "b", ECRDT_STR("all"), 1, NULL);
        must(ecrdt_commit(t) == 0);
        must(crash_has(w->s, key, text));
        must(ecrdt_reg_get(a, "b", ecrdt_str(key), &v, NULL) == 1);
        must(slice_eq(v, ecrdt_str(text)));
        must(ecrdt_counter_add(a, "b", ECRDT_STR("auto"), 1, &n) == 0);
        must(i % 30 || crash_stats(w->s).readers > 0);
        must(i % 50 || ecrdt_flush(w->s) == 0);
    }
    ecrdt_abort(a);
    return NULL;
}

static void *open_and_close(void *arg) {
    struct worker *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        ecrdt_store *s = crash_open(store, 0);
        must(s == w->s);
        must(crash_has(s, "fixed", "value"));
        must(ecrdt_close(s) == 0);
        ecrdt_store *own = crash_open(path_join(dir, "other"), 0);
        must(own && ecrdt_close(own) == 0);
    }
    return NULL;
}

static void one_handle_many_threads(void **state) {
    (void)state;
    ecrdt_store *s = assert_handle(crash_open(store, ECRDT_RELAXED));
    assert_ok(crash_set(s, "fixed", "value"));
    pthread_t thread[THREADS + 1];
    struct worker w[THREADS + 1];
    for (int i = 0; i <= THREADS; i++) {
        w[i] = (struct worker){s, i};
        assert_int_equal(
            pthread_create(&thread[i], NULL,
                           i < THREADS ? write_and_read : open_and_close,
                           &w[i]),
            0);
    }
    for (int i = 0; i <= THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    ecrdt_txn *t = ecrdt_read(s);
    int64_t all = 0, by_auto = 0;
    ecrdt_counter_get(t, "b", ECRDT_STR("all"), &all);
    ecrdt_counter_get(t, "b", ECRDT_STR("auto"), &by_auto);
    ecrdt_abort(t);
    assert_int_equal(all, THREADS * ROUNDS);
    assert_int_equal(by_auto, THREADS * ROUNDS);
    assert_ok(ecrdt_verify(s, crash_print, NULL));
    assert_ok(ecrdt_close(s));
}

/* A thread checks the file that others write: it must not move the place in it
 * that LMDB seeks and then writes to. */
static atomic_bool stop;

static void *write_on(void *arg) {
    ecrdt_store *s = arg;
    char key[16];
    for (unsigned i = 0; !stop; i++) {
        ecrdt_txn *t = ecrdt_write(s);
        for (unsigned k = 0; k < 8; k++) {
            snprintf(key, sizeof key, "%u", (i + k * 7919) % 997);
            ecrdt_reg_set(t, "b", ecrdt_str(key), ECRDT_STR("some value"));
        }
        int rc = ecrdt_commit(t); /* a slow check keeps all pages that long */
        must(rc == 0 || rc == ECRDT_EFULL);
    }
    return NULL;
}

static void verify_beside_commits(void **state) {
    (void)state;
    enum { CHECKS = 200 };
    ecrdt_store *s = assert_handle(crash_open(store, ECRDT_EPHEMERAL));
    pthread_t thread;
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, write_on, s), 0);
    for (int i = 0; i < CHECKS; i++)
        assert_ok(ecrdt_verify(s, crash_print, NULL));
    stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(ecrdt_verify(s, crash_print, NULL));
    assert_ok(ecrdt_close(s));
}

/* A child made while other threads open and close is not stuck. */
static void *churn(void *arg) {
    while (!stop) {
        ecrdt_store *s = crash_open(path_join(arg, "other"), ECRDT_EPHEMERAL);
        must(s && ecrdt_close(s) == 0);
    }
    return NULL;
}

static int open_in_child(void *arg) {
    ecrdt_store *s = crash_open(arg, 0);
    must(s && crash_has(s, "k", "v") && ecrdt_close(s) == 0);
    return 0;
}

static void fork_beside_threads(void **state) {
    (void)state;
    ecrdt_store *s = assert_handle(crash_open(store, 0));
    assert_ok(crash_set(s, "k", "v"));
    assert_ok(ecrdt_close(s));
    pthread_t thread;
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, churn, dir), 0);
    for (int i = 0; i < 25; i++)
        assert_int_equal(kit_child(open_in_child, (void *)(uintptr_t)store), 0);
    stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* On one processor, so that fork() comes at any instruction of an open. */
static void *open_in_vain(void *arg) {
    while (!stop)
        must(!ecrdt_open(arg, NULL));
    return NULL;
}

static int open_nothing_in_child(void *arg) {
    must(!ecrdt_open(arg, NULL) && ecrdt_errcode() == ECRDT_ENOENT);
    return 0;
}

#ifdef __SANITIZE_THREAD__ /* fork() takes long there */
enum { FORKS = 25 };
#else
enum { FORKS = 500 };
#endif

static void fork_inside_an_open(void **state) {
    (void)state;
    enum { OPENERS = 3 };
    char nowhere[] = "/nonexistent/none/s";
    cpu_set_t all, one;
    pthread_t thread[OPENERS];
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    stop = false;
    for (int i = 0; i < OPENERS; i++)
        assert_int_equal(
            pthread_create(&thread[i], NULL, open_in_vain, nowhere), 0);
    for (int i = 0; i < FORKS; i++)
        assert_int_equal(kit_child(open_nothing_in_child, nowhere), 0);
    stop = true;
    for (int i = 0; i < OPENERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_store(one_handle_many_threads),
        with_store(verify_beside_commits),
        with_store(fork_beside_threads),
        with_store(fork_inside_an_open),
    };
    return TEST_RUN(tests);
}
