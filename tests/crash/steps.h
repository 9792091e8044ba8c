/* steps.h: what the recorded program does in step i, and what a store must
 * hold after it: a function of i alone, so that a state is recognised. */
#ifndef TESTS_CRASH_STEPS_H
#define TESTS_CRASH_STEPS_H
#include "tests/crash/kit.h"

enum {
    STEP_MEETS = 12,      /* each 12th step is a meeting with a peer  */
    STEP_REGS = 23,       /* registers that take turns                */
    STEP_STAYS = 9,       /* an element is removed 9 steps later      */
    STEP_LARGE = 29,      /* each 29th value lies in overflow pages   */
    STEP_WIDE = 48,       /* each 48th step, behind FIRST, writes 2 MB, ... */
    STEP_WIDE_FIRST = 31, /* ... which the next one deletes           */
    STEP_WIDE_REGS = 64,
    STEP_WIDE_BYTES = 33000
};

static inline bool step_meets(uint64_t i) {
    return i % STEP_MEETS == 0;
}

static inline bool step_widens(uint64_t i) {
    return i % STEP_WIDE == STEP_WIDE_FIRST;
}

static inline ecrdt_slice step_name(char b[32], char type, uint64_t i) {
    return slice_of(
        b, (size_t)snprintf(b, 32, "%c-%llu", type, (unsigned long long)i));
}

static inline ecrdt_slice step_value(uint64_t i) {
    static uint8_t v[STEP_WIDE_BYTES];
    size_t n = i % STEP_LARGE == 0 ? 9000 : 20 + i % 200;
    for (size_t j = 0; j < n; j++)
        v[j] = (uint8_t)(j * 31 + i * 7);
    return slice_of(v, n);
}

/* The wide registers of step i, or their end. */
static inline void step_wide(ecrdt_txn *t, uint64_t i, bool set) {
    static uint8_t v[STEP_WIDE_BYTES];
    char name[32];
    memset(v, (int)i, sizeof v);
    for (unsigned k = 0; k < STEP_WIDE_REGS; k++)
        if (set)
            ecrdt_reg_set(t, "b", step_name(name, 'w', k),
                          slice_of(v, sizeof v));
        else
            ecrdt_reg_del(t, "b", step_name(name, 'w', k));
}

/* Step i, but for a meeting, in transaction t. */
static inline void step_write(ecrdt_txn *t, uint64_t i) {
    char name[32], number[32];
    ecrdt_slice n = step_name(number, 'n', i);
    ecrdt_reg_set(t, "b", ECRDT_STR("n"), n);
    ecrdt_reg_set(t, "x", ECRDT_STR("n"), n);
    ecrdt_reg_set(t, "b", step_name(name, 'r', i % STEP_REGS), step_value(i));
    ecrdt_set_add(t, "b", ECRDT_STR("s"), step_name(name, 'e', i));
    if (i > STEP_STAYS)
        ecrdt_set_remove(t, "b", ECRDT_STR("s"),
                         step_name(name, 'e', i - STEP_STAYS));
    ecrdt_counter_add(t, "b", ECRDT_STR("c"), (int64_t)i, NULL);
    if (i % 11 == 0)
        ecrdt_reg_del(t, "b", ECRDT_STR("d"));
    else
        ecrdt_reg_set(t, "b", ECRDT_STR("d"), n);
    if (step_widens(i) || step_widens(i - 1))
        step_wide(t, i, step_widens(i));
}

/* ---- the state ------------------------------------------------------------
 */

/* Number in a register that step_name() wrote; 0 = absent, -1 = damaged. */
static inline int64_t step_number(ecrdt_txn *t, const char *bucket,
                                  ecrdt_slice key) {
    ecrdt_slice v;
    char text[32];
    int rc = ecrdt_reg_get(t, bucket, key, &v, NULL);
    if (rc <= 0 || v.len >= sizeof text || v.len < 3)
        return rc == 0 ? 0 : -1;
    memcpy(text, v.data, v.len);
    text[v.len] = '\0';
    return atoll(text + 2);
}

/* The last step that the store shows; -1 if that cannot be. */
static inline int64_t step_shown(ecrdt_txn *t) {
    int64_t n = step_number(t, "b", ECRDT_STR("n"));
    int64_t met = step_number(t, "b", ECRDT_STR("p"));
    if (n < 0 || met < 0 || n != step_number(t, "x", ECRDT_STR("n")))
        return -1;
    return n > met ? n : met;
}

static inline bool step_reads(ecrdt_txn *t, ecrdt_slice key, uint64_t i) {
    ecrdt_slice v;
    int rc = ecrdt_reg_get(t, "b", key, &v, NULL);
    return i ? rc == 1 && slice_eq(v, step_value(i)) : rc == 0;
}

/* The last step up to m, with that remainder, that was no meeting; or 0. */
static inline uint64_t step_last(uint64_t m, uint64_t mod, uint64_t rest) {
    for (; m; m--)
        if (!step_meets(m) && m % mod == rest)
            return m;
    return 0;
}

static inline bool step_elements(ecrdt_txn *t, uint64_t m) {
    char name[32];
    uint64_t size, want = 0;
    for (uint64_t i = 1; i <= m; i++) {
        uint64_t gone = i + STEP_STAYS;
        bool has = !step_meets(i) && (gone > m || step_meets(gone));
        want += has;
        if (i + 4 * STEP_STAYS > m &&
            ecrdt_set_has(t, "b", ECRDT_STR("s"), step_name(name, 'e', i)) !=
                has)
            return false;
    }
    return ecrdt_set_size(t, "b", ECRDT_STR("s"), &size) >= 0 && size == want;
}

/* Is the store what it was after step m? counted: counters, too. NULL = yes,
 * else what is not. */
static inline const char *step_differs(ecrdt_txn *t, uint64_t m, bool counted) {
    char name[32];
    int64_t sum = 0, got = 0;
    ecrdt_slice v;
    for (uint64_t i = 1; i <= m; i++)
        sum += step_meets(i) ? 0 : (int64_t)i;
    if (ecrdt_counter_get(t, "b", ECRDT_STR("c"), &got) < 0 ||
        (counted && got != sum))
        return "the counter";
    for (unsigned k = 0; k < STEP_REGS; k++)
        if (!step_reads(t, step_name(name, 'r', k), step_last(m, STEP_REGS, k)))
            return "a register";
    if (!step_elements(t, m))
        return "the set";
    uint64_t last = step_last(m, 1, 0);
    int64_t d = step_number(t, "b", ECRDT_STR("d"));
    if (d != (int64_t)(last % 11 ? last : 0))
        return "the register that is deleted now and then";
    bool wide = step_widens(last);
    if (ecrdt_reg_get(t, "b", ECRDT_STR("w-7"), &v, NULL) != wide ||
        (wide && v.len != STEP_WIDE_BYTES))
        return "a wide register";
    return NULL;
}
#endif
