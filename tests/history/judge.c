/* judge.c: reads the logs of a run and judges them: a table as comments, what
 * is broken, and a line for each rule:
 *     rule NAME CHECKED BROKEN WHAT HOLDS
 * judge FILE...; exit 1 if a rule is broken, 2 if a log is none. */
#include "tests/history/judge.h"
#include "tests/support/support.h"

static void table(const struct history *h) {
    uint64_t n[3] = {0};
    printf("# %-9s%10s%10s%10s\n", "operation", "ok", "failed", "unknown");
    for (int w = 0; w < WHATS; w++) {
        const uint64_t *c = h->counts[w];
        for (int i = 0; i < 3; i++)
            n[i] += c[i];
        printf("# %-9s%10" PRIu64 "%10" PRIu64 "%10" PRIu64 "\n", what_names[w],
               c[OK], c[FAILED], c[OPEN]);
    }
    printf("# %-9s%10" PRIu64 "%10" PRIu64 "%10" PRIu64 "\n", "all", n[OK],
           n[FAILED], n[OPEN]);
    printf("# %zu processes, %zu restores, %" PRIu64
           " reads while a bucket caught up in bulk\n",
           h->n_processes, h->n_restores, h->unsettled);
}

int main(int argc, char **argv) {
#define RULE_LINE(name, text, what) {text, what},
    static const char *const rules[][2] = {RULES(RULE_LINE)};
    struct history h = {0};
    for (int i = 1; i < argc; i++) {
        size_t len;
        char *text = file_read(argv[i], &len);
        history_read(&h, text);
        free(text);
        if (*h.error)
            break;
    }
    if (!*h.error)
        history_finish(&h);
    if (*h.error) {
        fprintf(stderr, "judge: %s\n", h.error);
        return 2;
    }
    table(&h);
    unsigned bad = history_judge(&h);
    for (int r = 0; r < RULE_COUNT; r++)
        printf("rule %s %" PRIu64 " %" PRIu64 " %s\n", rules[r][0],
               h.checked[r], h.broken[r], rules[r][1]);
    history_free(&h);
    return bad > 0;
}
