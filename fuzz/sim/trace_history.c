/* trace_history.c: takes a line of a trace file apart, strictly: every
 * complaint says where, what is wrong and how it should look. */
#include "fuzz/sim/trace_history.h"
#include "edgecrdt.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXCERPT = 60, PLACE = 40 };

static const struct type_row {
    const char *name;
    enum history_type type;
    const char *value; /* how a value of it looks */
} types[] = {
    {"orset", HISTORY_ORSET, "an array of different elements: [\"x\", 2]"},
    {"counter", HISTORY_COUNTER, "an integer of 64 bits: 5"},
    {"lww", HISTORY_LWW, "a string, integer or boolean, or null for none"},
};
enum { N_TYPES = sizeof types / sizeof *types };

static const struct type_row *row_of(enum history_type type) {
    const struct type_row *row = types;
    while (row->type != type)
        row++;
    return row;
}

enum argument { NO_ARGUMENT, VALUE, AMOUNT, CLOCK_MS, REPLICA };

static const struct verb {
    const char *name;
    unsigned types;
    enum step_verb verb;
    enum argument argument;
    const char *usage;
} verbs[] = {
    {"add", HISTORY_ORSET, STEP_SET_ADD, VALUE,
     "a replica and an element: [\"add\", \"A\", \"x\"]"},
    {"rm", HISTORY_ORSET, STEP_SET_RM, VALUE,
     "a replica and an element: [\"rm\", \"A\", \"x\"]"},
    {"clear", HISTORY_ORSET, STEP_SET_CLEAR, NO_ARGUMENT,
     "a replica: [\"clear\", \"A\"]"},
    {"add", HISTORY_COUNTER, STEP_COUNTER_ADD, AMOUNT,
     "a replica and an integer of 64 bits: [\"add\", \"A\", 5]"},
    {"reset", HISTORY_COUNTER, STEP_COUNTER_RESET, NO_ARGUMENT,
     "a replica: [\"reset\", \"A\"]"},
    {"set", HISTORY_LWW, STEP_REG_SET, VALUE,
     "a replica and a value: [\"set\", \"A\", \"x\"]"},
    {"del", HISTORY_LWW, STEP_REG_DEL, NO_ARGUMENT,
     "a replica: [\"del\", \"A\"]"},
    {"clock", HISTORY_LWW, STEP_CLOCK, CLOCK_MS,
     "a replica and milliseconds from 0 to 2^46: [\"clock\", \"A\", 1000]"},
    {"sync", HISTORY_ORSET | HISTORY_COUNTER | HISTORY_LWW, STEP_SYNC, REPLICA,
     "two different replicas, from and to: [\"sync\", \"A\", \"B\"]"},
};
enum { N_VERBS = sizeof verbs / sizeof *verbs };

/* ---- sentences ---- */

struct parse {
    struct history *h;
    char *why;
};

__attribute__((format(printf, 2, 3))) static bool bad(struct parse *p,
                                                      const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->why, HISTORY_MAX_WHY, fmt, args);
    va_end(args);
    return false;
}

static bool no_memory(struct parse *p) {
    return bad(p, "out of memory");
}

char *history_json_text(const json_t *value) {
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
}

/* The beginning of a value's text, for a sentence. */
struct excerpt {
    char s[EXCERPT + 4];
};
static struct excerpt excerpt_of(const json_t *value) {
    struct excerpt e = {"nothing"};
    char *text = value ? history_json_text(value) : NULL;
    if (!text)
        return e;
    size_t n = strlen(text);
    bool cut = n > EXCERPT;
    n = cut ? EXCERPT : n;
    while (cut && n && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--; /* not inside of a character */
    memcpy(e.s, text, n);
    memcpy(e.s + n, "...", 4);
    e.s[cut ? n + 3 : n] = '\0';
    free(text);
    return e;
}

static bool bad_value(struct parse *p, const char *place, const char *wanted,
                      const json_t *got) {
    return bad(p, "%s must be %s; this is %s", place, wanted,
               excerpt_of(got).s);
}

/* ---- values ---- */

static char *text_of(struct parse *p, const json_t *value) {
    char *text = history_json_text(value);
    if (!text)
        no_memory(p);
    return text;
}

static bool is_scalar(const json_t *value) {
    return json_is_string(value) || json_is_integer(value) ||
           json_is_boolean(value);
}

/* An element or a value as its text; NULL with a sentence. */
static char *scalar_text(struct parse *p, const char *place,
                         const json_t *value, size_t max_bytes) {
    if (!is_scalar(value)) {
        bad_value(p, place, "a string, an integer or a boolean", value);
        return NULL;
    }
    char *text = text_of(p, value);
    if (text && strlen(text) > max_bytes) {
        bad(p, "%s has %zu bytes as JSON, %zu are allowed", place, strlen(text),
            max_bytes);
        free(text);
        text = NULL;
    }
    return text;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *history_set_text(char **elems, size_t n) {
    size_t size = 3, at = 0;
    for (size_t i = 0; i < n; i++)
        size += strlen(elems[i]) + 2;
    char *out = malloc(size);
    if (!out)
        return NULL;
    if (n)
        qsort(elems, n, sizeof *elems, by_bytes);
    out[at++] = '[';
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "",
                               elems[i]);
    snprintf(out + at, size - at, "]");
    return out;
}

/* Sorted elements stand side by side if they are equal. */
static const char *twice(char **sorted, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (!strcmp(sorted[i - 1], sorted[i]))
            return sorted[i];
    return NULL;
}

static char *set_value(struct parse *p, const char *place,
                       const json_t *value) {
    size_t n = json_array_size(value), made = 0;
    char **elems = calloc(n + 1, sizeof *elems), *out = NULL;
    char each[PLACE + 2 * HISTORY_MAX_NAME];
    while (elems && made < n) {
        snprintf(each, sizeof each, "%s[%zu]", place, made);
        elems[made] =
            scalar_text(p, each, json_array_get(value, made), ECRDT_MAX_ELEM);
        if (!elems[made])
            goto out;
        made++;
    }
    out = elems ? history_set_text(elems, n) : NULL;
    if (!out) {
        no_memory(p);
        goto out;
    }
    const char *again = twice(elems, n);
    if (again) {
        bad(p, "%s names the element %.*s twice: a set holds it once", place,
            EXCERPT, again);
        free(out);
        out = NULL;
    }
out:
    for (size_t i = 0; i < made; i++)
        free(elems[i]);
    free(elems);
    return out;
}

/* What a replica shall show, as text; NULL with a sentence. */
static char *expected(struct parse *p, const char *place, const json_t *value) {
    switch (p->h->type) {
    case HISTORY_ORSET:
        if (json_is_array(value))
            return set_value(p, place, value);
        break;
    case HISTORY_COUNTER:
        if (json_is_integer(value))
            return text_of(p, value);
        break;
    case HISTORY_LWW:
        if (json_is_null(value))
            return text_of(p, value);
        if (is_scalar(value))
            return scalar_text(p, place, value, ECRDT_MAX_VALUE);
    }
    bad_value(p, place, row_of(p->h->type)->value, value);
    return NULL;
}

/* ---- names ---- */

static char *name_of(struct parse *p, const char *place, const json_t *value) {
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len == 0 || len > HISTORY_MAX_NAME ||
        memchr(json_string_value(value), '\0', len)) {
        bad_value(p, place, "a string of 1 to 200 bytes: \"A\"", value);
        return NULL;
    }
    /* As JSON, so that printing it is harmless. */
    return text_of(p, value);
}

static bool find_replica(const struct history *h, const json_t *value,
                         size_t *out) {
    char *name = json_is_string(value) ? history_json_text(value) : NULL;
    size_t i = 0;
    while (name && i < h->n_replicas && strcmp(h->replicas[i], name) != 0)
        i++;
    *out = i;
    bool found = name && i < h->n_replicas;
    free(name);
    return found;
}

static bool parse_replicas(struct parse *p, const json_t *list) {
    struct history *h = p->h;
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n < 1 || n > HISTORY_MAX_REPLICAS)
        return bad_value(p, "\"replicas\"",
                         "an array of 1 to 16 names: [\"A\", \"B\"]", list);
    for (size_t i = 0; i < n; i++) {
        char place[PLACE];
        size_t before;
        const json_t *name = json_array_get(list, i);
        snprintf(place, sizeof place, "replicas[%zu]", i);
        if (find_replica(h, name, &before))
            return bad(p,
                       "%s is %s as replicas[%zu] is: each needs a name of "
                       "its own",
                       place, excerpt_of(name).s, before);
        h->replicas[i] = name_of(p, place, name);
        if (!h->replicas[i])
            return false;
        h->n_replicas++;
    }
    return true;
}

/* ---- steps ---- */

/* The verbs of a type as a list for a sentence. */
static void list_verbs(enum history_type type, char out[PLACE]) {
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < N_VERBS && at < PLACE; i++)
        if (verbs[i].types & type)
            at += (size_t)snprintf(out + at, PLACE - at, "%s%s", at ? ", " : "",
                                   verbs[i].name);
}

static const struct verb *find_verb(struct parse *p, const char *place,
                                    const json_t *step) {
    const char *name = json_string_value(json_array_get(step, 0));
    char known[PLACE];
    for (size_t i = 0; name && i < N_VERBS; i++)
        if (!strcmp(verbs[i].name, name) && (verbs[i].types & p->h->type))
            return &verbs[i];
    list_verbs(p->h->type, known);
    bad(p,
        "%s must begin with a verb of \"%s\" (%s), as in [\"sync\", \"A\", "
        "\"B\"]; this is %s",
        place, row_of(p->h->type)->name, known, excerpt_of(step).s);
    return NULL;
}

/* A step's replica; false, with a sentence if it is only an unknown one. */
static bool step_replica(struct parse *p, const char *place,
                         const json_t *value, size_t *out) {
    bool found = find_replica(p->h, value, out);
    if (!found && json_is_string(value))
        bad(p, "%s is %s, which is not one of \"replicas\"", place,
            excerpt_of(value).s);
    return found;
}

static bool step_argument(struct parse *p, const char *place,
                          enum argument kind, const json_t *arg,
                          struct step *s) {
    switch (kind) {
    case NO_ARGUMENT:
        return true;
    case VALUE:
        s->text = scalar_text(p, place, arg,
                              p->h->type == HISTORY_LWW ? ECRDT_MAX_VALUE
                                                        : ECRDT_MAX_ELEM);
        return s->text != NULL;
    case REPLICA:
        return step_replica(p, place, arg, &s->to) && s->to != s->at;
    case AMOUNT:
    case CLOCK_MS:
        s->num = json_integer_value(arg);
        return json_is_integer(arg) &&
               (kind == AMOUNT ||
                (s->num >= 0 && s->num <= HISTORY_MAX_CLOCK_MS));
    }
    return false;
}

static bool parse_step(struct parse *p, size_t i, const json_t *step) {
    char place[PLACE], at[PLACE], argument[PLACE];
    snprintf(place, sizeof place, "steps[%zu]", i);
    snprintf(at, sizeof at, "steps[%zu][1]", i);
    snprintf(argument, sizeof argument, "steps[%zu][2]", i);
    const struct verb *v = find_verb(p, place, step);
    if (!v)
        return false;
    struct step *s = &p->h->steps[i];
    s->verb = v->verb;
    p->why[0] = '\0';
    size_t n = v->argument == NO_ARGUMENT ? 2 : 3;
    if (json_array_size(step) == n &&
        step_replica(p, at, json_array_get(step, 1), &s->at) &&
        step_argument(p, argument, v->argument, json_array_get(step, 2), s))
        return true;
    if (p->why[0]) /* said already */
        return false;
    return bad(p, "%s: \"%s\" takes %s; this is %s", place, v->name, v->usage,
               excerpt_of(step).s);
}

static bool parse_steps(struct parse *p, const json_t *list) {
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > HISTORY_MAX_STEPS)
        return bad_value(p, "\"steps\"",
                         "an array of at most 100000 steps: [[\"sync\", "
                         "\"A\", \"B\"]]",
                         list);
    p->h->steps = calloc(n + 1, sizeof *p->h->steps);
    if (!p->h->steps)
        return no_memory(p);
    for (size_t i = 0; i < n; i++) {
        p->h->n_steps = i + 1;
        if (!parse_step(p, i, json_array_get(list, i)))
            return false;
    }
    return true;
}

/* ---- what shall be seen ---- */

static bool parse_views(struct parse *p, const json_t *views) {
    struct history *h = p->h;
    if (!json_is_object(views))
        return bad_value(p, "\"views\"",
                         "an object with the value at each replica: {\"A\": "
                         "..., \"B\": ...}",
                         views);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)views, key, value) {
        char place[PLACE + 2 * HISTORY_MAX_NAME];
        size_t at;
        json_t *name = json_string(key);
        bool known = find_replica(h, name, &at);
        struct excerpt shown = excerpt_of(name);
        json_decref(name);
        if (!known)
            return bad(p,
                       "\"views\" has a value for %s, which is not one of "
                       "\"replicas\"",
                       shown.s);
        snprintf(place, sizeof place, "views[%s]", h->replicas[at]);
        h->views[at] = expected(p, place, value);
        if (!h->views[at])
            return false;
    }
    for (size_t i = 0; i < h->n_replicas; i++)
        if (!h->views[i])
            return bad(p,
                       "\"views\" has no value for replica %s: give the "
                       "value at each replica after the last step",
                       h->replicas[i]);
    return true;
}

static bool parse_type(struct parse *p, const json_t *type) {
    const char *name = json_string_value(type);
    for (size_t i = 0; name && i < N_TYPES; i++)
        if (!strcmp(types[i].name, name))
            p->h->type = types[i].type;
    if (!p->h->type)
        return bad_value(p, "\"type\"", "\"orset\", \"counter\" or \"lww\"",
                         type);
    return true;
}

static bool check_fields(struct parse *p, const json_t *line) {
    static const char *const fields[] = {"id",    "type",   "replicas", "steps",
                                         "views", "merged", "note"};
    enum { N = sizeof fields / sizeof *fields };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)line, key, value) {
        size_t i = 0;
        while (i < N && strcmp(fields[i], key) != 0)
            i++;
        json_t *name = i < N ? NULL : json_string(key);
        struct excerpt shown = excerpt_of(name);
        json_decref(name);
        if (i == N)
            return bad(p,
                       "there is no field %s: a history has id, type, "
                       "replicas, steps, views, merged and perhaps note",
                       shown.s);
    }
    for (size_t i = 0; i < N - 1; i++)
        if (!json_object_get(line, fields[i]))
            return bad(p,
                       "the field \"%s\" is missing: a history has id, "
                       "type, replicas, steps, views and merged",
                       fields[i]);
    const json_t *note = json_object_get(line, "note");
    return !note || json_is_string(note) ||
           bad_value(p, "\"note\"", "a string", note);
}

static bool parse_line(struct parse *p, const json_t *line) {
    struct history *h = p->h;
    if (!json_is_object(line))
        return bad_value(p, "a line", "an object: {\"id\": ...}", line);
    if (!check_fields(p, line))
        return false;
    h->id = name_of(p, "\"id\"", json_object_get(line, "id"));
    if (!h->id || !parse_type(p, json_object_get(line, "type")) ||
        !parse_replicas(p, json_object_get(line, "replicas")) ||
        !parse_steps(p, json_object_get(line, "steps")) ||
        !parse_views(p, json_object_get(line, "views")))
        return false;
    h->merged = expected(p, "\"merged\"", json_object_get(line, "merged"));
    return h->merged != NULL;
}

bool history_parse(struct history *h, const char *line, size_t len,
                   char why[HISTORY_MAX_WHY]) {
    struct parse p = {h, why};
    json_error_t e;
    json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &e);
    if (!root)
        return bad(&p,
                   "not JSON (column %d: %s): a history is one object on "
                   "one line",
                   e.column, e.text);
    bool ok = parse_line(&p, root);
    json_decref(root);
    return ok;
}

void history_free(struct history *h) {
    for (size_t i = 0; i < HISTORY_MAX_REPLICAS; i++) {
        free(h->replicas[i]);
        free(h->views[i]);
    }
    for (size_t i = 0; i < h->n_steps; i++)
        free(h->steps[i].text);
    free(h->steps);
    free(h->merged);
    free(h->id);
    *h = (struct history){0};
}
