/* log.c: levels, logfmt escaping and delivery to the one sink. */
#include "lib/log.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

typedef void (*log_fn)(int level, const char *logfmt, void *ctx);

static log_fn sink;
static void *sink_ctx;
static atomic_int max_level = -1;

void ecrdt_set_log(log_fn fn, void *ctx, int level) {
    atomic_store(&max_level, -1);
    sink = fn;
    sink_ctx = ctx;
    atomic_store(&max_level, fn ? level : -1);
}

bool log_wants(int level) {
    return level <= atomic_load_explicit(&max_level, memory_order_acquire);
}

/* A line that was cut inside of quotes ends with one all the same. */
static void end_quote(char *out) {
    bool quoted = false, opens = false;
    char *last = out;
    for (char *p = out; *p; p++) {
        last = p;
        opens = *p == '"' && !quoted;
        if (*p == '"')
            quoted = !quoted;
        else if (*p == '\\' && p[1])
            p++;
    }
    if (!quoted)
        return;
    *last = opens ? 0 : '"';
    last[!opens] = 0;
}

/* Writes the line to out, which may cut it; returns the length. What was not
 * escaped begins no second line. */
static size_t put_line(char *out, size_t size, const char *fmt, va_list ap) {
    bool cut = vsnprintf(out, size, fmt, ap) >= (int)size;
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    if (cut)
        end_quote(out);
    return strlen(out);
}

void log_line(int level, const char *fmt, ...) {
    if (!log_wants(level))
        return;
    char line[LOG_LINE];
    va_list ap;
    va_start(ap, fmt);
    put_line(line, sizeof line, fmt, ap);
    va_end(ap);
    sink(level, line, sink_ctx);
}

void log_error(int level, const char *sentence, const char *fmt, ...) {
    if (!log_wants(level))
        return;
    char line[LOG_LINE];
    va_list ap;
    va_start(ap, fmt);
    size_t n = put_line(line, LOG_LINE / 2, fmt, ap);
    va_end(ap);
    n += (size_t)snprintf(line + n, sizeof line - n, " error=\"");
    log_quote(line + n, sizeof line - n - 1, sentence);
    strcat(line + n, "\"");
    sink(level, line, sink_ctx);
}

struct log_text log_text(const char *text) {
    struct log_text t;
    log_quote(t.s, sizeof t.s, text);
    return t;
}

const char *log_quote(char *out, size_t size, const char *text) {
    size_t n = 0;
    for (; *text && n + 5 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            out[n++] = '\\';
        if (c < 0x20 || c == 0x7f)
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
        else
            out[n++] = (char)c;
    }
    out[n] = 0;
    return out;
}
