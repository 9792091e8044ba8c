/* test_gate.c: who shuts a gate is alone behind it, or told after a time. */
#include "lib/gate.h"
#include "tests/support/test.h"
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 3000 };

struct shared {
    struct gate gate;
    long guarded; /* changed only while the gate is shut */
    unsigned shut_times;
};

static void shut_waits_for_those_inside(void **state) {
    (void)state;
    struct gate g;
    gate_init(&g);
    gate_enter(&g);
    gate_enter(&g);
    gate_leave(&g);
    uint64_t begin = now_ms();
    assert_false(gate_shut(&g, 50));
    assert_in_range(now_ms() - begin, 49, 2000);
    gate_enter(&g); /* open again */
    gate_leave(&g);
    gate_leave(&g);
    assert_true(gate_shut(&g, 0));
    gate_open(&g);
    gate_free(&g);
}

static void *enter_later(void *arg) {
    struct shared *s = arg;
    gate_enter(&s->gate);
    long seen = s->guarded;
    gate_leave(&s->gate);
    return (void *)seen;
}

static void those_outside_wait(void **state) {
    (void)state;
    struct shared s = {.guarded = 0};
    pthread_t thread;
    void *seen;
    gate_init(&s.gate);
    assert_true(gate_shut(&s.gate, 0));
    assert_int_equal(pthread_create(&thread, NULL, enter_later, &s), 0);
    usleep(20000);
    s.guarded = 42;
    gate_open(&s.gate);
    assert_int_equal(pthread_join(thread, &seen), 0);
    assert_int_equal((long)seen, 42);
    gate_free(&s.gate);
}

static void *churn(void *arg) {
    struct shared *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 64 == 0 && gate_shut(&s->gate, 5000)) {
            s->guarded++;
            s->shut_times++;
            gate_open(&s->gate);
        }
        gate_enter(&s->gate);
        long seen = s->guarded;
        if (i % 100 == 0)
            usleep(10);
        assert_int_equal(s->guarded, seen);
        gate_leave(&s->gate);
    }
    return NULL;
}

static void many_threads(void **state) {
    (void)state;
    struct shared s = {.guarded = 0};
    pthread_t thread[THREADS];
    gate_init(&s.gate);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, churn, &s), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(s.guarded, s.shut_times);
    assert_int_equal(s.shut_times, THREADS * ((ROUNDS + 63) / 64));
    gate_free(&s.gate);
}

static void leave_too_often(void) {
    struct gate g;
    gate_init(&g);
    gate_leave(&g);
}

static void misuse_aborts(void **state) {
    (void)state;
    assert_true(aborts(leave_too_often));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shut_waits_for_those_inside),
        cmocka_unit_test(those_outside_wait),
        cmocka_unit_test(many_threads),
        cmocka_unit_test(misuse_aborts),
    };
    return TEST_RUN(tests);
}
