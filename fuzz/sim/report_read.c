/* report_read.c: reads a journal strictly, line by line, and packs it. */
#include "fuzz/sim/report_read.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REPLICAS = 32, MAX_FIELDS = 6, MAX_HEX = 32 };
#define MAX_NUMBER                                                             \
    (INT64_C(1) << 53) /* that the page's numbers hold exactly                 \
                        */

enum field_type {
    NUMBER, /* 0 to MAX_NUMBER */
    SIGNED,
    REPLICA,
    REPLICA_OR_NONE, /* -1 */
    TEXT,
    HEX,
    SET, /* array of replicas */
    YES_NO
};
static const char *const looks[] = {
    [NUMBER] = "a number from 0 to 2^53",
    [SIGNED] = "a number from -2^53 to 2^53",
    [REPLICA] = "a replica of the run, counted from 0",
    [REPLICA_OR_NONE] = "a replica of the run, or -1",
    [TEXT] = "a string",
    [HEX] = "a string of at most 32 hex digits",
    [SET] = "an array of replicas: [0,1]",
    [YES_NO] = "true or false",
};

struct field {
    const char *name;
    enum field_type type;
    bool optional;
};

/* In the order of the page's kinds. */
static const struct kind {
    const char *name;
    struct field fields[MAX_FIELDS];
} kinds[] = {
    {"step",
     {{"n", NUMBER, false},
      {"r", REPLICA_OR_NONE, false},
      {"what", TEXT, false},
      {"text", TEXT, true}}},
    {"msg",
     {{"id", NUMBER, false},
      {"from", REPLICA, false},
      {"to", REPLICA, false},
      {"m", TEXT, false},
      {"bytes", NUMBER, false}}},
    {"recv", {{"id", NUMBER, false}}},
    {"fault",
     {{"id", NUMBER, false},
      {"what", TEXT, false},
      {"a", SET, false},
      {"b", SET, true},
      {"ms", SIGNED, true}}},
    {"end", {{"id", NUMBER, false}}},
    {"state",
     {{"r", REPLICA, false},
      {"digest", HEX, false},
      {"missing", NUMBER, false},
      {"events", NUMBER, false}}},
    {"verdict",
     {{"ok", YES_NO, false}, {"text", TEXT, true}, {"hash", HEX, true}}},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

struct reader {
    struct report *r;
    const char *path;
    unsigned long line;
    json_int_t now_ms;
    FILE *rows;
    size_t n_rows, rows_size;
    json_t *places; /* name -> its place */
    json_t *names;
};

__attribute__((format(printf, 2, 3))) static bool bad(const struct reader *in,
                                                      const char *fmt, ...) {
    va_list args;
    fprintf(stderr, "%s:%lu: ", in->path, in->line);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs("; a journal is what `edgecrdt-sim replay SEED --journal "
          "FILE` writes\n",
          stderr);
    return false;
}

/* ---- JSON for the page ---- */

char *report_json(const json_t *value) {
    char *plain =
        json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    char *out = plain ? malloc(6 * strlen(plain) + 1) : NULL;
    size_t at = 0;
    for (const char *s = plain; out && *s; s++)
        if (strchr("<>&", *s))
            at += (size_t)sprintf(out + at, "\\u%04x", (unsigned)*s);
        else
            out[at++] = *s;
    if (out)
        out[at] = '\0';
    free(plain);
    return out;
}

/* The place of a text in the array of names. */
static void put_name(struct reader *in, const json_t *text) {
    const char *s = json_string_value(text);
    json_t *place = json_object_get(in->places, s);
    if (!place) {
        place = json_integer((json_int_t)json_array_size(in->names));
        json_array_append(in->names, (json_t *)text);
        json_object_set_new(in->places, s, place);
    }
    fprintf(in->rows, ",%lld", (long long)json_integer_value(place));
}

static void put_set(struct reader *in, const json_t *set) {
    uint32_t bits = 0;
    for (size_t i = 0; i < json_array_size(set); i++)
        bits |= UINT32_C(1) << json_integer_value(json_array_get(set, i));
    fprintf(in->rows, ",%lu", (unsigned long)bits);
}

/* ---- one line ---- */

static bool is_between(const json_t *v, json_int_t least, json_int_t most) {
    json_int_t n = json_integer_value(v);
    return json_is_integer(v) && n >= least && n <= most;
}

static bool is_hex(const json_t *v) {
    const char *s = json_string_value(v);
    return s && json_string_length(v) <= MAX_HEX &&
           strspn(s, "0123456789abcdef") == json_string_length(v);
}

static bool fits(const struct reader *in, enum field_type type,
                 const json_t *v) {
    json_int_t last = (json_int_t)in->r->replicas - 1;
    switch (type) {
    case NUMBER:
        return is_between(v, 0, MAX_NUMBER);
    case SIGNED:
        return is_between(v, -MAX_NUMBER, MAX_NUMBER);
    case REPLICA:
        return is_between(v, 0, last);
    case REPLICA_OR_NONE:
        return is_between(v, -1, last);
    case TEXT:
        return json_is_string(v);
    case HEX:
        return is_hex(v);
    case YES_NO:
        return json_is_boolean(v);
    case SET:
        for (size_t i = 0; i < json_array_size(v); i++)
            if (!is_between(json_array_get(v, i), 0, last))
                return false;
        return json_is_array(v);
    }
    return false;
}

static void put_field(struct reader *in, enum field_type type,
                      const json_t *v) {
    if (type == TEXT || type == HEX) {
        json_t *none = v ? NULL : json_string("");
        put_name(in, v ? v : none);
        json_decref(none);
    } else if (type == SET)
        put_set(in, v);
    else if (type == YES_NO)
        fputs(json_is_true(v) ? ",1" : ",0", in->rows);
    else
        fprintf(in->rows, ",%lld", (long long)json_integer_value(v));
}

static bool read_row(struct reader *in, const struct kind *k,
                     const json_t *line) {
    const json_t *t = json_object_get(line, "t");
    if (!is_between(t, in->now_ms, MAX_NUMBER))
        return bad(in, "\"t\" must be %s, and never goes back", looks[NUMBER]);
    for (const struct field *f = k->fields;
         f < k->fields + MAX_FIELDS && f->name; f++) {
        const json_t *v = json_object_get(line, f->name);
        if (v ? !fits(in, f->type, v) : !f->optional)
            return bad(in, "\"%s\" of a line of kind %s must be %s", f->name,
                       k->name, looks[f->type]);
    }
    fprintf(in->rows, "%s[%d,%lld", in->n_rows++ ? ",\n" : "", (int)(k - kinds),
            (long long)(json_integer_value(t) - in->now_ms));
    in->now_ms = json_integer_value(t);
    for (const struct field *f = k->fields;
         f < k->fields + MAX_FIELDS && f->name; f++)
        put_field(in, f->type, json_object_get(line, f->name));
    fputc(']', in->rows);
    return true;
}

static bool read_first(struct reader *in, const json_t *line) {
    struct report *r = in->r;
    const json_t *command = json_object_get(line, "command"),
                 *profile = json_object_get(line, "profile"),
                 *seed = json_object_get(line, "seed"),
                 *replicas = json_object_get(line, "replicas");
    const char *k = json_string_value(json_object_get(line, "k"));
    if (!k || strcmp(k, "run") != 0 ||
        !is_between(json_object_get(line, "journal"), 1, 1))
        return bad(in, "the first line must be of kind run, with journal 1");
    if (!json_is_string(command) || !json_is_string(profile) ||
        !json_is_integer(seed) || !is_between(replicas, 1, MAX_REPLICAS))
        return bad(in, "the first line must have seed, command, replicas (1 "
                       "to 32) and profile");
    r->seed = (uint64_t)json_integer_value(seed);
    r->replicas = (uint64_t)json_integer_value(replicas);
    r->command = strdup(json_string_value(command));
    r->profile = strdup(json_string_value(profile));
    return r->command && r->profile;
}

static bool read_line(struct reader *in, const json_t *line) {
    if (!json_is_object(line))
        return bad(in, "a line must be an object");
    if (in->line == 1)
        return read_first(in, line);
    if (in->r->ended)
        return bad(in, "there is a line behind the verdict");
    const char *name = json_string_value(json_object_get(line, "k"));
    if (!name)
        return bad(in, "\"k\" must be a string");
    for (const struct kind *k = kinds; k < kinds + N_KINDS; k++)
        if (!strcmp(k->name, name)) {
            if (k == &kinds[N_KINDS - 1]) {
                in->r->ended = true;
                in->r->ok = json_is_true(json_object_get(line, "ok"));
            }
            return read_row(in, k, line);
        }
    return true; /* a kind of later versions */
}

/* ---- the file ---- */

static bool read_lines(struct reader *in, FILE *f) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    bool ok = true;
    while (ok && (len = getline(&line, &cap, f)) > 0) {
        in->line++;
        json_error_t e;
        json_t *root = json_loadb(line, (size_t)len, 0, &e);
        if (root)
            ok = read_line(in, root);
        else if (in->line == 1 || line[len - 1] == '\n')
            ok = bad(in, "this is not JSON");
        json_decref(root);
    }
    free(line);
    if (ok && in->line == 0)
        ok = bad(in, "the file is empty");
    return ok;
}

static bool no_file(const struct reader *in) {
    fprintf(stderr, "edgecrdt-sim: cannot read %s: %s\n", in->path,
            strerror(errno));
    return false;
}

bool report_read(struct report *r, const char *path) {
    struct reader in = {.r = r, .path = path};
    FILE *f = fopen(path, "re");
    if (!f)
        return no_file(&in);
    in.rows = open_memstream(&r->rows, &in.rows_size);
    in.places = json_object();
    in.names = json_array();
    bool ok = in.rows && in.places && in.names;
    if (ok) {
        fputc('[', in.rows);
        ok = read_lines(&in, f);
        fputc(']', in.rows);
    }
    if (ok && ferror(f))
        ok = no_file(&in);
    if (in.rows && fclose(in.rows))
        ok = false;
    r->names = ok ? report_json(in.names) : NULL;
    json_decref(in.places);
    json_decref(in.names);
    fclose(f);
    return ok && r->names;
}

void report_free(struct report *r) {
    free(r->command);
    free(r->profile);
    free(r->rows);
    free(r->names);
    *r = (struct report){0};
}
