/* twins.h: stores that write on with one identity, and how they meet. */
#ifndef TESTS_CRDT_TWINS_H
#define TESTS_CRDT_TWINS_H
#include "tests/crdt/kit.h"

/* Makes store to a copy of store from, identity and all, which no guard
 * sees. */
static inline void twins_copy(size_t from, size_t to) {
    char cmd[600];
    kit_close(from);
    snprintf(cmd, sizeof cmd, "cp -a %s %s", kit_path(from), kit_path(to));
    assert_int_equal(system(cmd), 0);
    kit_twin(to);
}

static inline void twins_me(size_t i, ecrdt_node *out) {
    assert_ok(ecrdt_node_id(kit(i), out));
}

/* Both ways, again and again, until neither lacks anything. */
static inline void twins_meet(size_t a, size_t b) {
    for (int i = 0; i < 20; i++) {
        kit_try(a, b);
        kit_try(b, a);
    }
    kit_same_digest(a, b);
    struct ranges ra = {0}, rb = {0};
    kit_clock(a, &ra);
    kit_clock(b, &rb);
    assert_true(ranges_le(&ra, &rb) && ranges_le(&rb, &ra));
    ranges_free(&ra);
    ranges_free(&rb);
    kit_sound(a);
    kit_sound(b);
}
#endif
