/* plan_file.c: a plan as JSON, for people to read, write and shorten:
 *
 * {"seed": 7, "profile": "all", "delay_ms": [1, 20], "audit_ms": 0,
 *  "gc_ms": 0, "log_cap": 0, "talk_items": 0, "talk_leaf": 0,
 *  "replicas": [{"role": "core", "durability": "relaxed", "dials": []},
 *               {"role": "edge", "durability": "full", "dials": [0]}],
 *  "steps": [{"n": 0, "do": "txn", "at": 1,
 *             "ops": [["set", "a", "key", 8], ["add", "a", "key", "element"],
 *                     ["count", "b", "key", -3], ["clear", "a", "key"]]},
 *            {"n": 1, "do": "wait", "ms": ...}]}
 *
 * Steps other than txn have their numbers as "a", "b" and "c" (see PLAN_DO).
 * All members but replicas and steps may be left out. */
#include "fuzz/sim/plan.h"
#include "lib/err.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

/* ---- writing --------------------------------------------------------------
 */

static json_t *name_json(const struct plan *p, unsigned i) {
    return json_stringn(p->names[i].b, p->names[i].len);
}

static json_t *op_json(const struct plan *p, const struct plan_op *op) {
    char bucket[2] = {(char)('a' + op->bucket), 0};
    json_t *a = json_array();
    json_array_append_new(a, json_string(plan_op_name(op->code)));
    json_array_append_new(a, json_string(bucket));
    json_array_append_new(a, name_json(p, op->key));
    if (op->code == OP_add || op->code == OP_remove)
        json_array_append_new(a, name_json(p, op->elem));
    if (op->code == OP_set || op->code == OP_count)
        json_array_append_new(a, json_integer(op->num));
    return a;
}

static json_t *step_json(const struct plan *p, const struct plan_step *s) {
    json_t *o = json_pack("{s:i, s:s, s:i}", "n", (int)s->n, "do",
                          plan_do_name(s->what), "at", (int)s->r);
    const int64_t numbers[] = {s->a, s->b, s->c};
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        if (numbers[i])
            json_object_set_new(o, names[i], json_integer(numbers[i]));
    if (s->what != DO_txn)
        return o;
    json_t *ops = json_array();
    for (size_t i = 0; i < s->n_ops; i++)
        json_array_append_new(ops, op_json(p, &s->ops[i]));
    json_object_set_new(o, "ops", ops);
    return o;
}

static json_t *replica_json(const struct plan *p, unsigned r) {
    json_t *dials = json_array();
    for (unsigned o = 0; o < PLAN_REPLICAS; o++)
        if (p->at[r].dials >> o & 1)
            json_array_append_new(dials, json_integer(o));
    return json_pack("{s:s, s:s, s:o}", "role", p->at[r].core ? "core" : "edge",
                     "durability", plan_level_name(p->at[r].level), "dials",
                     dials);
}

/* One line a step: people edit it. */
static void write_list(FILE *f, const char *name, json_t *list, bool last) {
    fprintf(f, " \"%s\": [\n", name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        char *line = json_dumps(json_array_get(list, i), 0);
        fprintf(f, "  %s%s\n", line ? line : "",
                i + 1 < json_array_size(list) ? "," : "");
        free(line);
    }
    fprintf(f, " ]%s\n", last ? "" : ",");
    json_decref(list);
}

int plan_write(const struct plan *p, const char *path) {
    FILE *f = fopen(path, "w");
    json_t *replicas = json_array(), *steps = json_array();
    if (!f)
        return err_set(ECRDT_EIO, "cannot write the plan to %s", path);
    for (unsigned r = 0; r < p->replicas; r++)
        json_array_append_new(replicas, replica_json(p, r));
    for (size_t i = 0; i < p->n_steps; i++)
        json_array_append_new(steps, step_json(p, &p->steps[i]));
    fprintf(f,
            "{\"seed\": %llu, \"profile\": \"%s\", \"delay_ms\": [%u, %u], "
            "\"audit_ms\": %u, \"gc_ms\": %u, \"log_cap\": %u, "
            "\"talk_items\": %u, \"talk_leaf\": %u,\n",
            (unsigned long long)p->seed, p->profile, p->delay_lo, p->delay_hi,
            p->audit_ms, p->gc_ms, p->log_cap, p->talk_items, p->talk_leaf);
    write_list(f, "replicas", replicas, false);
    write_list(f, "steps", steps, true);
    fprintf(f, "}\n");
    bool bad = ferror(f);
    if (fclose(f) || bad)
        return err_set(ECRDT_EIO, "cannot write the plan to %s", path);
    return ECRDT_OK;
}

/* ---- reading --------------------------------------------------------------
 */

static int number_of(const char *name, const char *(*name_at)(unsigned),
                     unsigned n) {
    for (unsigned i = 0; name && i < n; i++)
        if (!strcmp(name_at(i), name))
            return (int)i;
    return -1;
}

static int64_t integer(const json_t *o, const char *name, int64_t without) {
    const json_t *v = json_object_get(o, name);
    return v ? json_integer_value(v) : without;
}

static int read_name(struct plan *p, const json_t *v) {
    return json_is_string(v)
               ? plan_name(p, json_string_value(v), json_string_length(v))
               : -1;
}

static bool read_op(struct plan *p, const json_t *v, struct plan_op *op) {
    const char *bucket = json_string_value(json_array_get(v, 1));
    int code = number_of(json_string_value(json_array_get(v, 0)), plan_op_name,
                         OP_KINDS);
    int key = read_name(p, json_array_get(v, 2)), elem = 0;
    const json_t *last = json_array_get(v, 3);
    if (code == OP_add || code == OP_remove)
        elem = read_name(p, last);
    if (code < 0 || key < 0 || elem < 0 || !bucket || bucket[0] < 'a' ||
        bucket[0] >= 'a' + PLAN_BUCKETS || bucket[1] || !p->names[key].len)
        return false;
    *op = (struct plan_op){.code = (uint8_t)code,
                           .bucket = (uint8_t)(bucket[0] - 'a'),
                           .key = (uint16_t)key,
                           .elem = (uint16_t)elem};
    if (code == OP_set || code == OP_count)
        op->num = (int32_t)json_integer_value(last);
    return true;
}

static bool read_step(struct plan *p, const json_t *v, unsigned r) {
    const json_t *ops = json_object_get(v, "ops");
    int what = number_of(json_string_value(json_object_get(v, "do")),
                         plan_do_name, PLAN_KINDS);
    struct plan_step *s =
        what < 0 ? NULL
                 : plan_add(p, (enum plan_do)what, r, json_array_size(ops));
    if (!s || s->n_ops != json_array_size(ops))
        return false;
    s->n = (uint32_t)integer(v, "n", (int64_t)p->n_steps - 1);
    s->a = integer(v, "a", 0);
    s->b = integer(v, "b", 0);
    s->c = integer(v, "c", 0);
    for (size_t i = 0; i < s->n_ops; i++)
        if (!read_op(p, json_array_get(ops, i), &s->ops[i]))
            return false;
    return true;
}

static bool read_replica(struct plan *p, unsigned r, const json_t *v) {
    const char *role = json_string_value(json_object_get(v, "role"));
    const char *level = json_string_value(json_object_get(v, "durability"));
    const json_t *dials = json_object_get(v, "dials");
    int n = level ? number_of(level, plan_level_name, LEVELS) : LEVEL_full;
    p->at[r].core = r == 0 || (role && !strcmp(role, "core"));
    p->at[r].level = (uint8_t)n;
    for (size_t i = 0; i < json_array_size(dials); i++) {
        int64_t o = json_integer_value(json_array_get(dials, i));
        if (o < 0 || o >= p->replicas || o == r)
            return false;
        p->at[r].dials |= 1u << o;
    }
    return n >= 0;
}

static int bad(const char *path, const char *what, size_t at) {
    return err_set(ECRDT_EINVAL,
                   "%s: %s number %zu (from 0) is not one; see "
                   "docs/simulator.md",
                   path, what, at);
}

static int read_steps(struct plan *p, const json_t *steps, const char *path) {
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *v = json_array_get(steps, i);
        int64_t r = integer(v, "at", 0);
        if (r < 0 || r >= NET_NODES)
            return err_set(ECRDT_EINVAL,
                           "%s: step number %zu (from 0) cannot have \"at\": "
                           "%lld: replicas are numbered from 0 to %d",
                           path, i, (long long)r, NET_NODES - 1);
        if (!read_step(p, v, (unsigned)r))
            return bad(path, "step", i);
    }
    int rc = plan_check(p);
    return rc < 0 ? err_set(rc, "%s: %s", path, ecrdt_errmsg()) : ECRDT_OK;
}

static int read_all(struct plan *p, const json_t *v, const char *path) {
    const json_t *replicas = json_object_get(v, "replicas");
    const json_t *steps = json_object_get(v, "steps");
    const json_t *delay = json_object_get(v, "delay_ms");
    const char *profile = json_string_value(json_object_get(v, "profile"));
    size_t n = json_array_size(replicas);
    if (n < 2 || n > PLAN_REPLICAS)
        return err_set(ECRDT_EINVAL, "%s: \"replicas\" has 2 to %d members",
                       path, PLAN_REPLICAS);
    *p = (struct plan){.seed = (uint64_t)integer(v, "seed", 0),
                       .replicas = (uint32_t)n};
    snprintf(p->profile, sizeof p->profile, "%s", profile ? profile : "file");
    p->delay_lo = (uint32_t)json_integer_value(json_array_get(delay, 0));
    p->delay_hi = (uint32_t)json_integer_value(json_array_get(delay, 1));
    p->delay_hi = p->delay_hi < p->delay_lo ? p->delay_lo : p->delay_hi;
    p->audit_ms = (uint32_t)integer(v, "audit_ms", 0);
    p->gc_ms = (uint32_t)integer(v, "gc_ms", 0);
    p->log_cap = (uint32_t)integer(v, "log_cap", 0);
    p->talk_items = (uint32_t)integer(v, "talk_items", 0);
    p->talk_leaf = (uint32_t)integer(v, "talk_leaf", 0);
    for (size_t i = 0; i < n; i++)
        if (!read_replica(p, (unsigned)i, json_array_get(replicas, i)))
            return bad(path, "replica", i);
    if (plan_name(p, "", 0) < 0)
        return ECRDT_ENOMEM;
    return read_steps(p, steps, path);
}

int plan_read(struct plan *p, const char *path) {
    json_error_t e;
    FILE *f = fopen(path, "re");
    json_t *v = f ? json_loadf(f, JSON_REJECT_DUPLICATES, &e) : NULL;
    int unread = !f || ferror(f) ? errno : 0;
    if (f)
        fclose(f);
    *p = (struct plan){0};
    if (unread) {
        json_decref(v);
        return err_set(ECRDT_EINVAL,
                       "cannot read the plan %s: %s; give a seed (a number), "
                       "or a file as `replay SEED --write FILE` makes it",
                       path, strerror(unread));
    }
    if (!v)
        return err_set(ECRDT_EINVAL, "%s:%d: %s", path, e.line, e.text);
    int rc = read_all(p, v, path);
    json_decref(v);
    if (rc < 0)
        plan_free(p);
    return rc;
}
