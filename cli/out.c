/* out.c: rows for people or as JSON lines, error sentences and exit codes. */
#include "cli/cli.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int out_error(int exit_code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fflush(stdout);
    fputs("edgecrdt: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return exit_code;
}

/* The documented table of "help exit". */
static int exit_code_of(int rc) {
    static const struct {
        int rc, code;
    } table[] = {
        {ECRDT_EINVAL, EXIT_USAGE},
        {ECRDT_ENOMEM, EXIT_OS},
        {ECRDT_EIO, EXIT_IO},
        {ECRDT_EFULL, EXIT_IO},
        {ECRDT_EBUSY, EXIT_TEMPFAIL},
        {ECRDT_ERDONLY, EXIT_NOPERM},
        {ECRDT_ENOENT, EXIT_NOINPUT},
        {ECRDT_ETOOBIG, EXIT_DATA},
        {ECRDT_ERANGE, EXIT_DATA},
        {ECRDT_ECORRUPT, EXIT_DATA},
        {ECRDT_EVERSION, EXIT_PROTOCOL},
        {ECRDT_ECANCELED, EXIT_IO},
        {ECRDT_EAUTH, EXIT_NOPERM},
        {ECRDT_EPEER, EXIT_PROTOCOL},
        {ECRDT_ETIMEOUT, EXIT_TEMPFAIL},
        {ECRDT_ENOTSUP, EXIT_USAGE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].rc == rc)
            return table[i].code;
    return EXIT_SOFTWARE;
}

int out_failed(int rc) {
    return out_error(exit_code_of(rc), "%s", ecrdt_errmsg());
}

int out_found(int rc) {
    if (rc < 0)
        return out_failed(rc);
    return rc ? EXIT_YES : EXIT_NO;
}

void out_hex(char *to, const uint8_t *from, size_t n) {
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *to++ = digit[from[i] >> 4];
        *to++ = digit[from[i] & 15];
    }
    *to = '\0';
}

void out_time(char to[32], uint64_t wall_ms) {
    time_t sec = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (!wall_ms || !gmtime_r(&sec, &tm)) {
        strcpy(to, "-");
        return;
    }
    size_t n = strftime(to, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(to + n, 32 - n, ".%03uZ", (unsigned)(wall_ms % 1000));
}

void out_size(char to[32], uint64_t bytes) {
    static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int u = 0;
    for (; v >= 1024 && u < 4; u++)
        v /= 1024;
    snprintf(to, 32, u ? "%.1f %s" : "%.0f %s", v, unit[u]);
}

void out_duration(char to[32], uint64_t ms) {
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {
        {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t i = 0;
    while (ms && i < 4 && ms % units[i].ms)
        i++;
    if (!ms)
        strcpy(to, "0");
    else
        snprintf(to, 32, "%" PRIu64 "%s", ms / units[i].ms, units[i].name);
}

/* Length of the UTF-8 sequence at p, 0 if it is malformed. */
static size_t utf8_len(const uint8_t *p, size_t left) {
    size_t n = *p < 0x80                 ? 1
               : *p >= 0xc2 && *p < 0xe0 ? 2
               : *p >= 0xe0 && *p < 0xf0 ? 3
               : *p >= 0xf0 && *p < 0xf5 ? 4
                                         : 0;
    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
               (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f);
    return bad ? 0 : n;
}

/* Control characters (C1 too), backslash and broken UTF-8 as \xHH. */
void out_escaped(slice value) {
    const uint8_t *p = value.data;
    for (size_t i = 0; i < value.len;) {
        size_t n = utf8_len(p + i, value.len - i);
        bool plain = n && p[i] >= 0x20 && p[i] != 0x7f && p[i] != '\\' &&
                     !(p[i] == 0xc2 && p[i + 1] < 0xa0);
        if (plain)
            fwrite(p + i, 1, n, stdout);
        for (size_t k = i; !plain && k < i + (n ? n : 1); k++)
            printf("\\x%02x", p[k]);
        i += n ? n : 1;
    }
}

/* Bytes as a JSON string, or {"hex": ...} if they are not UTF-8. */
static json_t *json_of(slice v) {
    json_t *j = json_stringn(v.len ? v.data : "", v.len);
    char *hex;
    if (j || !(hex = malloc(2 * v.len + 1)))
        return j;
    out_hex(hex, v.data, v.len);
    j = json_pack("{s:s}", "hex", hex);
    free(hex);
    return j;
}

/* Adds value, which may be NULL after a failure, to the row. */
static void row_set(struct cli *c, const char *name, json_t *value) {
    if (!c->row)
        c->row = json_object();
    if (json_object_set_new(c->row, name + (*name == '-'), value) < 0)
        exit(out_error(EXIT_OS,
                       "no memory for a line of JSON: the field %s "
                       "is too large",
                       name));
}

/* True if a human field of that name is to be written; writes the tab. */
static bool human(struct cli *c, const char *name) {
    if (*name == '-')
        return false;
    if (c->row_begun)
        putchar('\t');
    c->row_begun = true;
    return true;
}

void out_bytes(struct cli *c, const char *name, slice value) {
    const uint8_t *p = value.data;
    if (c->json)
        row_set(c, name, json_of(value));
    else if (!human(c, name))
        return;
    else if (c->raw && value.len)
        fwrite(p, 1, value.len, stdout);
    else if (!c->hex)
        out_escaped(value);
    for (size_t i = 0; !c->json && !c->raw && c->hex && i < value.len; i++)
        printf("%02x", p[i]);
}

void out_list(struct cli *c, const char *name, const slice *list, size_t n) {
    json_t *all = c->json ? json_array() : NULL;
    for (size_t i = 0; i < n; i++)
        if (c->json)
            json_array_append_new(all, json_of(list[i]));
        else
            out_bytes(c, name, list[i]);
    if (c->json)
        row_set(c, name, all);
}

void out_text(struct cli *c, const char *name, const char *value) {
    if (c->json)
        row_set(c, name, json_of(ecrdt_str(value)));
    else if (human(c, name))
        out_escaped(ecrdt_str(value));
}

void out_int(struct cli *c, const char *name, int64_t value) {
    if (c->json)
        row_set(c, name, json_integer(value));
    else if (human(c, name))
        printf("%" PRId64, value);
}

void out_uint(struct cli *c, const char *name, uint64_t value) {
    out_int(c, name, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

void out_bool(struct cli *c, const char *name, bool value) {
    if (c->json)
        row_set(c, name, json_boolean(value));
    else if (human(c, name))
        fputs(value ? "yes" : "no", stdout);
}

void out_stamp(struct cli *c, const ecrdt_stamp *who) {
    char by[33], at[32];
    out_hex(by, who->by.b, sizeof who->by.b);
    out_time(at, who->wall_ms);
    out_text(c, "by", by);
    out_text(c, "at", at);
    out_uint(c, "-wall_ms", who->wall_ms);
    out_uint(c, "-logical", who->logical);
}

void out_end(struct cli *c) {
    if (c->row) {
        json_dumpf(c->row, stdout, JSON_COMPACT);
        json_decref(c->row);
    }
    if (c->row || c->row_begun)
        putchar('\n');
    c->row = NULL;
    c->row_begun = false;
}

void out_item_text(struct cli *c, const char *name, const char *label,
                   const char *value) {
    if (c->json)
        out_text(c, name, value);
    else
        printf("%-22s %s\n", label, value);
}

void out_item_uint(struct cli *c, const char *name, const char *label,
                   uint64_t value) {
    if (c->json)
        out_uint(c, name, value);
    else
        printf("%-22s %" PRIu64 "\n", label, value);
}

/* A number in JSON, for people its text. */
static void item_as_text(struct cli *c, const char *name, const char *label,
                         uint64_t value, const char *text) {
    if (c->json)
        out_uint(c, name, value);
    else
        out_item_text(c, name, label, text);
}

void out_item_size(struct cli *c, const char *name, const char *label,
                   uint64_t bytes) {
    char text[32];
    out_size(text, bytes);
    item_as_text(c, name, label, bytes, text);
}

void out_item_duration(struct cli *c, const char *name, const char *label,
                       uint64_t ms) {
    char text[32];
    out_duration(text, ms);
    item_as_text(c, name, label, ms, text);
}

int out_sink(void *ctx, const void *data, size_t len) {
    return fwrite(data, 1, len, ctx) != len;
}

FILE *out_binary(struct cli *c, int *exit_code) {
    FILE *f = c->out ? fopen(c->out, "wx") : stdout;
    *exit_code = 0;
    if (!f)
        *exit_code = out_error(EXIT_CANTCREAT,
                               "cannot create %s: %s; --out wants the name "
                               "of a new file",
                               c->out, strerror(errno));
    else if (!c->out && isatty(STDOUT_FILENO))
        *exit_code = out_error(EXIT_USAGE,
                               "%s writes binary data, not fit for a "
                               "terminal: add --out FILE, --json or a pipe",
                               c->verb->name);
    return *exit_code ? NULL : f;
}

int out_binary_end(struct cli *c, FILE *f) {
    bool bad = fflush(f) != 0 || ferror(f);
    if (f != stdout)
        bad = (fclose(f) != 0) || bad;
    if (bad)
        return out_error(EXIT_IO, "cannot write %s: %s",
                         c->out ? c->out : "the output", strerror(errno));
    return 0;
}

int out_flush(void) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    return out_error(EXIT_IO, "cannot write the output: %s", strerror(errno));
}
