/* log.h: the relay's log: logfmt lines on standard error, repeats counted
 * instead of repeated. */
#ifndef REPLICATION_RELAY_LOG_H
#define REPLICATION_RELAY_LOG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RELAY_LOG_KEYS = 64,          /* different messages remembered */
    RELAY_LOG_INTERVAL_MS = 10000 /* one line of a kind in so long ... */
};

/* Decides which lines appear. Zero-initialise. Two lines are of one kind if
 * msg= and, where there is one, peer= agree. */
struct log_limit {
    struct log_kind {
        uint64_t hash, at_ms; /* at_ms 0 = unused */
        uint64_t suppressed;
        bool burst; /* a second one appeared within the interval */
    } kind[RELAY_LOG_KEYS];
};

/* Should this line appear? *suppressed is how many of its kind did not since
 * the last that did. A kind may appear twice in an interval, an answer to a
 * signal each time. */
bool log_limit_pass(struct log_limit *l, const char *line, uint64_t now_ms,
                    uint64_t *suppressed);

/* Of each kind the next line appears. */
void log_limit_renew(struct log_limit *l);

/* Sends the library's log to standard error from now on; repeats change the
 * level, and what a new configuration leads to is told at once. With times
 * unless the journal adds them (JOURNAL_STREAM is set). */
void relay_log_open(int level);
#endif
