/* test_rules.c: a small sound history breaks no rule, and each rule is broken
 * by a history that was doctored in one place. */
#include "tests/history/judge.h"
#include "tests/support/test.h"

/* Two nodes; 3.0.1 was killed in an add that happened; 4 was restored and lost
 * 4.0.1's last add. Receipts are short here. */
static const char sound[] = "10 1.0.1 invoke add 1\n"
                            "11 1.0.1 do add r01 -\n"
                            "12 1.0.1 ok add\n"
                            "20 1.0.1 invoke add 2\n"
                            "21 1.0.1 do add r02 -\n"
                            "22 1.0.1 ok add\n"
                            "23 3.0.1 invoke add 1\n"
                            "24 3.0.1 do add r03 -\n"
                            "30 2.0.1 invoke read adds\n"
                            "31 2.0.1 ok read 1 1.0.1:1\n"
                            "32 2.0.1 invoke here 1.0.1 add 2\n"
                            "40 2.0.1 ok here 1\n"
                            "41 2.0.1 invoke read adds\n"
                            "42 2.0.1 ok read 1 1.0.1:1-2;3.0.1:1\n"
                            /* counter */
                            "50 1.0.1 invoke count 5\n"
                            "51 1.0.1 do count r04 -\n"
                            "52 1.0.1 ok count 5\n"
                            "53 2.0.1 invoke count 3\n"
                            "54 2.0.1 do count r05 -\n"
                            "55 2.0.1 ok count 8\n"
                            "56 2.0.1 invoke read counts\n"
                            "57 2.0.1 ok read 1 8\n"
                            "58 1.0.1 invoke read counts\n"
                            "59 1.0.1 ok read 1 5\n"
                            /* pairs */
                            "60 1.0.1 invoke pair 1 4\n"
                            "61 1.0.1 do pair r06 -\n"
                            "62 1.0.1 ok pair 4\n"
                            "63 2.0.1 invoke pair 1 2\n"
                            "64 2.0.1 do pair r07 -\n"
                            "65 2.0.1 ok pair 2\n"
                            "66 2.0.1 invoke read pairs\n"
                            "67 2.0.1 ok read 1 6 6 1.0.1:1;2.0.1:1\n"
                            /* registers: 1 and 2 write beside each other */
                            "70 1.0.1 invoke reg 1 k0\n"
                            "71 1.0.1 do reg r08 -\n"
                            "72 1.0.1 ok reg\n"
                            "73 2.0.1 invoke reg 1 k0\n"
                            "74 2.0.1 do reg r09 -\n"
                            "75 2.0.1 ok reg\n"
                            "76 1.0.1 invoke read regs\n"
                            "77 1.0.1 ok read 1 k0=2.0.1/1,1.0.1/1;k1=-\n"
                            "78 1.0.1 invoke reg 2 k0\n"
                            "79 1.0.1 do reg r10 2.0.1/1,1.0.1/1\n"
                            "80 1.0.1 ok reg\n"
                            "81 1.0.1 invoke read regs\n"
                            "82 1.0.1 ok read 1 k0=1.0.1/2;k1=-\n"
                            /* tickets */
                            "90 1.0.1 invoke ticket\n"
                            "91 1.0.1 do ticket r11 1\n"
                            "92 1.0.1 ok ticket 1\n"
                            "93 1.1.1 invoke ticket\n"
                            "94 1.1.1 do ticket r12 2\n"
                            "95 1.1.1 ok ticket 2\n"
                            "96 2.0.1 invoke read tickets\n"
                            "97 2.0.1 ok read 1 1=2;2=0\n"
                            /* an edge that was restored */
                            "110 4.0.1 invoke add 1\n"
                            "111 4.0.1 do add r13 -\n"
                            "112 4.0.1 ok add\n"
                            "114 nemesis info restore 4 100\n"
                            "115 4.0.2 invoke read adds\n"
                            "116 4.0.2 ok read 1 -\n"
                            /* the end */
                            "200 1.9.1 invoke final adds\n"
                            "201 1.9.1 ok final 1 1.0.1:1-2;3.0.1:1\n"
                            "202 1.9.1 invoke final counts\n"
                            "203 1.9.1 ok final 1 8\n"
                            "204 1.9.1 invoke final pairs\n"
                            "205 1.9.1 ok final 1 6 6 1.0.1:1;2.0.1:1\n"
                            "206 1.9.1 invoke final regs\n"
                            "207 1.9.1 ok final 1 k0=1.0.1/2;k1=-\n"
                            "210 2.9.1 invoke final adds\n"
                            "211 2.9.1 ok final 1 1.0.1:1-2;3.0.1:1\n"
                            "212 2.9.1 invoke final regs\n"
                            "213 2.9.1 ok final 1 k0=1.0.1/2;k1=-\n";

/* The sound history with one line, that of this time, as told (NULL: none). */
static void judged(struct history *h, unsigned time, const char *line) {
    char *text = calloc(1, sizeof sound + 200), at[16], *rest;
    assert_non_null(text);
    strcpy(text, sound);
    snprintf(at, sizeof at, "%u ", time);
    if (line) {
        char *from = strstr(text, at);
        while (from && from > text && from[-1] != '\n')
            from = strstr(from + 1, at);
        assert_non_null(from);
        rest = strdup(strchr(from, '\n') + 1);
        sprintf(from, "%u %s\n%s", time, line, rest);
        free(rest);
    }
    *h = (struct history){.quiet = true};
    history_read(h, text);
    history_finish(h);
    if (*h->error)
        fail_msg("%s", h->error);
    history_judge(h);
    free(text);
}

static void sound_history(void **state) {
    (void)state;
    struct history h;
    judged(&h, 0, NULL);
    h.quiet = false;
    for (int r = 0; r < RULE_COUNT; r++) {
        if (!h.checked[r] || h.broken[r])
            fail_msg("rule %d: %u checked, %u broken", r,
                     (unsigned)h.checked[r], (unsigned)h.broken[r]);
    }
    history_free(&h);
}

struct doctored {
    enum rule rule;
    unsigned time;
    const char *line;
};
static const struct doctored cases[] = {
    /* an element of nobody; before it was added; of an add that failed */
    {RULE_SET_PHANTOM, 31, "2.0.1 ok read 1 1.0.1:1;2.0.1:7"},
    {RULE_SET_PHANTOM, 31, "2.0.1 ok read 1 4.0.1:1"},
    {RULE_SET_PHANTOM, 22, "1.0.1 fail add store is full"},
    {RULE_SET_OWN, 201, "1.9.1 ok final 0 1.0.1:1;3.0.1:1"},
    {RULE_SET_MONOTONE, 42, "2.0.1 ok read 0 1.0.1:2"},
    {RULE_SET_PREFIX, 31, "2.0.1 ok read 1 1.0.1:2"},
    {RULE_SET_FINAL, 201, "1.9.1 ok final 0 1.0.1:1;3.0.1:1"},
    {RULE_SET_FINAL, 114, "nemesis info restore 4 113"},
    {RULE_COUNT_LOW, 57, "2.0.1 ok read 1 7"},
    {RULE_COUNT_LOW, 55, "2.0.1 ok count 2"},
    {RULE_COUNT_HIGH, 59, "1.0.1 ok read 1 9"},
    {RULE_COUNT_FINAL, 203, "1.9.1 ok final 1 7"},
    {RULE_PAIR_TORN, 67, "2.0.1 ok read 1 6 2 1.0.1:1;2.0.1:1"},
    {RULE_PAIR_TORN, 67, "2.0.1 ok read 1 2 2 1.0.1:1;2.0.1:1"},
    {RULE_PAIR_TORN, 67, "2.0.1 ok read 1 6 6 2.0.1:1"},
    {RULE_REG_PHANTOM, 77, "1.0.1 ok read 1 k0=2.0.1/1,1.0.1/1,1.1.1/3;k1=-"},
    {RULE_REG_PHANTOM, 82, "1.0.1 ok read 1 k0=1.0.1/2;k1=2.0.1/1"},
    {RULE_REG_BACK, 82, "1.0.1 ok read 1 k0=1.0.1/2,2.0.1/1;k1=-"},
    {RULE_REG_BACK, 213, "2.9.1 ok final 1 k0=1.0.1/2,1.0.1/1;k1=-"},
    {RULE_REG_LOST, 77, "1.0.1 ok read 1 k0=2.0.1/1;k1=-"},
    {RULE_REG_LOST, 79, "1.0.1 do reg r10 1.0.1/1"},
    {RULE_REG_FINAL, 207, "1.9.1 ok final 1 k0=2.0.1/1,1.0.1/1;k1=-"},
    {RULE_TICKET_TWICE, 95, "1.1.1 ok ticket 1"},
    {RULE_TICKET_ORDER, 95, "1.1.1 ok ticket 0"},
    {RULE_ID_TWICE, 94, "1.1.1 do ticket r01 2"},
    {RULE_ID_TWICE, 24, "3.0.1 do add r01 -"}, /* it was read: it happened */
    {RULE_WAIT_HERE, 40, "2.0.1 ok here 0"},
    {RULE_EQUAL, 211, "2.9.1 ok final 1 1.0.1:1-2;3.0.1:1;4.0.1:1"},
};

static void each_rule_can_be_broken(void **state) {
    (void)state;
    bool can[RULE_COUNT] = {false};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct doctored *d = &cases[i];
        struct history h;
        judged(&h, d->time, d->line);
        if (!h.broken[d->rule])
            fail_msg("nothing found in: %u %s", d->time, d->line);
        can[d->rule] = true;
        history_free(&h);
    }
    for (int r = 0; r < RULE_COUNT; r++)
        if (!can[r])
            fail_msg("no history breaks rule %d", r);
}

/* What a restore or a bulk excuses, and what a wait at a core takes back. */
static void excuses(void **state) {
    (void)state;
    struct history h;
    judged(&h, 31, "2.0.1 ok read 0 1.0.1:2"); /* no snapshot of one clock */
    assert_int_equal(h.broken[RULE_SET_PREFIX], 0);
    history_free(&h);
    judged(&h, 67, "2.0.1 ok read 0 6 2 2.0.1:1");
    assert_int_equal(h.broken[RULE_PAIR_TORN], 0);
    history_free(&h);
    judged(&h, 115,
           "4.0.1 invoke core 4.0.1 add 1\n"
           "115 4.0.1 ok core 1\n"
           "115 4.0.2 invoke read adds");
    assert_true(h.broken[RULE_SET_FINAL] > 0);
    history_free(&h);
    judged(&h, 24,
           "3.0.1 do add r99 -\n25 4.1.1 invoke count 90\n"
           "26 4.1.1 do count r98 -");
    assert_int_equal(h.broken[RULE_COUNT_FINAL], 0); /* perhaps */
    history_free(&h);
    judged(&h, 20, "1.0.1 invoke add 2 3"); /* 2, 3 and 4 in one commit */
    assert_int_equal(h.broken[RULE_SET_FINAL], 2 * 2); /* two at two nodes */
    assert_int_equal(h.broken[RULE_ID_TWICE], 0);
    history_free(&h);
}

static void what_is_no_log(void **state) {
    (void)state;
    static const char *const bad[] = {"nonsense\n",
                                      "1 1.0.1 ok add\n",
                                      "1 1.0.1 invoke add 2\n",
                                      "1 1.0.1 invoke fly 1\n",
                                      "1 1.0.1 invoke add 1\n2 1.0.1 ok reg\n",
                                      "1 x invoke add 1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct history h = {.quiet = true};
        char *text = strdup(bad[i]);
        history_read(&h, text);
        if (!*h.error)
            fail_msg("taken: %s", bad[i]);
        free(text);
        history_free(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_history),
        cmocka_unit_test(each_rule_can_be_broken),
        cmocka_unit_test(excuses),
        cmocka_unit_test(what_is_no_log),
    };
    return TEST_RUN(tests);
}
