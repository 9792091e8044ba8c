/* judge.h: all rules, on one history. */
#ifndef TESTS_HISTORY_JUDGE_H
#define TESTS_HISTORY_JUDGE_H
#include "tests/history/rules_count.h"
#include "tests/history/rules_reg.h"
#include "tests/history/rules_set.h"

/* Behind history_finish(). How many rules are broken. */
static unsigned history_judge(struct history *h) {
    unsigned n = 0;
    check_set(h, ADD);
    check_set(h, PAIR);
    check_count(h);
    check_regs(h);
    check_tickets(h);
    check_ids(h);
    check_waits(h);
    check_equal(h);
    for (int r = 0; r < RULE_COUNT; r++)
        n += h->broken[r] > 0;
    return n;
}
#endif
