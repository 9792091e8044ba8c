/* log.c: one line at a time to standard error, limited by kind. */
#include "replication/relay/log.h"
#include "edgecrdt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct log_limit limit;
static bool with_time;

/* FNV-1a of the field's quoted value, continued from h. */
static uint64_t hash_field(uint64_t h, const char *line, const char *field) {
    const char *p = strstr(line, field);
    if (!p)
        return h;
    for (p += strlen(field); *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    }
    return h * 31 + 1;
}

/* Is the line the answer to a signal? Who sends three wants three. */
static bool is_answer(const char *line) {
    static const char *const all[] = {
        "msg=\"kept the old configuration\"", "msg=\"read the configuration\"",
        "msg=\"relay state\"", "msg=\"peer state\""};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strncmp(line, all[i], strlen(all[i])))
            return true;
    return false;
}

bool log_limit_pass(struct log_limit *l, const char *line, uint64_t now_ms,
                    uint64_t *suppressed) {
    uint64_t h = hash_field(0xcbf29ce484222325u, line, "msg=\"");
    h = hash_field(h, line, "peer=\"");
    struct log_kind *k = &l->kind[0];
    *suppressed = 0;
    if (is_answer(line))
        return true;
    for (size_t i = 0; i < RELAY_LOG_KEYS; i++) {
        if (l->kind[i].at_ms && l->kind[i].hash == h) {
            k = &l->kind[i];
            break;
        }
        if (l->kind[i].at_ms < k->at_ms)
            k = &l->kind[i];
    }
    bool known = k->at_ms && k->hash == h;
    bool recent = known && now_ms - k->at_ms < RELAY_LOG_INTERVAL_MS;
    if (recent && k->burst) {
        k->suppressed++;
        return false;
    }
    *suppressed = known ? k->suppressed : 0;
    *k = (struct log_kind){h,
                           recent   ? k->at_ms
                           : now_ms ? now_ms
                                    : 1,
                           0, recent};
    return true;
}

void log_limit_renew(struct log_limit *l) {
    for (size_t i = 0; i < RELAY_LOG_KEYS; i++)
        l->kind[i].burst = false;
}

static uint64_t clock_ms(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void put_time(void) {
    char text[32];
    struct tm tm;
    uint64_t ms = clock_ms(CLOCK_REALTIME);
    time_t t = (time_t)(ms / 1000);
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    fprintf(stderr, "time=%s.%03uZ ", text, (unsigned)(ms % 1000));
}

static void sink(int level, const char *line, void *ctx) {
    static const char *const names[] = {"error", "warn", "info", "debug"};
    uint64_t suppressed;
    (void)ctx;
    if (!log_limit_pass(&limit, line, clock_ms(CLOCK_MONOTONIC), &suppressed))
        return;
    flockfile(stderr);
    if (with_time)
        put_time();
    fprintf(stderr, "level=%s %s", names[level & 3], line);
    if (suppressed)
        fprintf(stderr, " suppressed=%llu", (unsigned long long)suppressed);
    fputc('\n', stderr);
    funlockfile(stderr);
}

void relay_log_open(int level) {
    with_time = !getenv("JOURNAL_STREAM");
    setvbuf(stderr, NULL, _IOLBF, 8192);
    log_limit_renew(&limit);
    ecrdt_set_log(sink, NULL, level);
}
