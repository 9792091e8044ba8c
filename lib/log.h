/* log.h: one line of logfmt at a time to the sink of ecrdt_set_log(). */
#ifndef LIB_LOG_H
#define LIB_LOG_H
#include "edgecrdt.h"
#include <stdbool.h>

enum { LOG_LINE = 2048, LOG_TEXT = 1024 };

/* Is a line of this level wanted? */
bool log_wants(int level);

/* Formats and delivers a line ("msg=... k=v"). Names, paths and sentences go
 * between double quotes, through log_text(). */
void log_line(int level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same with error="sentence" behind it, which it escapes. */
void log_error(int level, const char *sentence, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A name or the like as it stands between double quotes, cut to fit:
 * log_line(level, "msg=\"x\" peer=\"%s\"", log_text(name).s). */
struct log_text {
    char s[LOG_TEXT];
};
struct log_text log_text(const char *text);

/* Escapes text for use between double quotes in a log line into out, always
 * NUL-terminated and cut to fit; returns out. */
const char *log_quote(char *out, size_t size, const char *text);
#endif
