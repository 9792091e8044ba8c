/* verbs_delta.c: summaries and deltas by hand, for any transport. */
#include "cli/verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* The largest delta that export writes unless told otherwise: an import is
 * one transaction. */
enum { EXPORT_BYTES = 32 << 20, FILE_MAX = 1 << 30 };

/* An ecrdt_sink that collects in memory, for JSON. */
struct memory {
    char *data;
    size_t len;
};

static int collect(void *ctx, const void *data, size_t len) {
    struct memory *m = ctx;
    char *p = realloc(m->data, m->len + len + 1);
    if (!p)
        return 1;
    memcpy(p + m->len, data, len);
    m->data = p;
    m->len += len;
    return 0;
}

/* The bytes as {"hex": ...} whatever they are. */
static void out_binary_field(struct cli *c, const char *name,
                             const struct memory *m) {
    char *hex = malloc(2 * m->len + 1);
    if (!hex)
        return;
    out_hex(hex, (const uint8_t *)m->data, m->len);
    if (!c->row)
        c->row = json_object();
    json_object_set_new(c->row, name, json_pack("{s:s}", "hex", hex));
    free(hex);
}

/* Reads the file path, "-" or NULL being standard input. */
static int read_file(const char *path, struct memory *m) {
    bool std = !path || !strcmp(path, "-");
    int fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return out_error(EXIT_NOINPUT, "cannot open %s: %s", path,
                         strerror(errno));
    int code = args_read_all(fd, std ? "standard input" : path, FILE_MAX,
                             &m->data, &m->len);
    if (!std)
        close(fd);
    return code;
}

int verb_summary(struct cli *c) {
    struct memory m = {NULL, 0};
    int code = 0, rc;
    if (c->json) {
        rc = ecrdt_summary(c->s, collect, &m);
        if (rc >= 0)
            out_binary_field(c, "summary", &m);
        out_end(c);
        free(m.data);
        return rc < 0 ? out_failed(rc) : EXIT_YES;
    }
    FILE *f = out_binary(c, &code);
    if (!f)
        return code;
    rc = ecrdt_summary(c->s, out_sink, f);
    code = out_binary_end(c, f);
    return rc < 0 && !code ? out_failed(rc) : code;
}

/* What export says at its end: rc is 1 if more remains. */
static int exported(struct cli *c, int rc) {
    if (rc < 0)
        return out_failed(rc);
    if (rc && !c->json)
        fprintf(stderr, "edgecrdt: more remains: import this, then export "
                        "again with a new summary, or raise --max-bytes\n");
    return rc ? EXIT_NO : EXIT_YES;
}

static int export_json(struct cli *c, slice summary, size_t max) {
    struct memory m = {NULL, 0};
    int rc = ecrdt_export(c->s, summary, max, collect, &m);
    if (rc >= 0) {
        out_binary_field(c, "delta", &m);
        out_uint(c, "bytes", m.len);
        out_bool(c, "more", rc > 0);
        out_end(c);
    }
    free(m.data);
    return exported(c, rc);
}

static int export_binary(struct cli *c, slice summary, size_t max) {
    int code;
    FILE *f = out_binary(c, &code);
    if (!f)
        return code;
    int rc = ecrdt_export(c->s, summary, max, out_sink, f);
    code = out_binary_end(c, f);
    return code ? code : exported(c, rc);
}

int verb_export(struct cli *c) {
    struct memory m = {NULL, 0};
    size_t max = c->max_bytes ? (size_t)c->max_bytes : EXPORT_BYTES;
    int code = c->summary ? read_file(c->summary, &m) : 0;
    slice summary = slice_of(m.data, m.len);
    if (!code && c->summary && !m.len)
        code = out_error(EXIT_DATA,
                         "%s is empty, not a summary; to export everything "
                         "leave --summary out",
                         c->summary);
    if (!code)
        code = c->json ? export_json(c, summary, max)
                       : export_binary(c, summary, max);
    free(m.data);
    return code;
}

/* Prints the report of an import; parts left out make it EXIT_NO. */
static int imported(struct cli *c, const ecrdt_import_report *r) {
    out_item_uint(c, "applied", "applied", r->applied);
    out_item_uint(c, "known", "known before", r->known);
    out_item_uint(c, "ahead", "ahead", r->ahead);
    out_item_uint(c, "refused", "refused", r->refused);
    out_item_uint(c, "foreign", "not held here", r->foreign);
    out_end(c);
    if (r->ahead)
        out_error(0,
                  "%u parts build on what is missing here: make a new "
                  "summary and export again",
                  r->ahead);
    if (r->refused)
        out_error(0, "%s", ecrdt_errmsg());
    if (r->foreign)
        out_error(0,
                  "what lies outside of what this store holds was left out "
                  "(parts: %u): widen what it holds by 'edgecrdt subscribe', "
                  "or export by its own summary",
                  r->foreign);
    return r->ahead || r->refused ? EXIT_NO : EXIT_YES;
}

int verb_import(struct cli *c) {
    struct memory m = {NULL, 0};
    ecrdt_import_report report = {0};
    int code = read_file(c->n ? c->word[0] : NULL, &m);
    if (!code) {
        int rc = ecrdt_import(c->s, slice_of(m.data, m.len), &report);
        code = rc < 0 ? out_failed(rc) : imported(c, &report);
    }
    free(m.data);
    return code;
}
