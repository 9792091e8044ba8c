/* verbs_gc.c: the verbs that deal with what is over: removal markers, stores
 * that go; and the settings they depend on. */
#include "cli/verbs.h"
#include "crdt/setting.h"

int verb_gc(struct cli *c) {
    ecrdt_gc_report r;
    int64_t retention = c->has_retention ? (int64_t)c->retention_ms : -1;
    int rc = ecrdt_gc(c->s, retention, (uint32_t)c->budget_ms, &r);
    if (rc < 0)
        return out_failed(rc);
    out_item_uint(c, "tombstones", "tombstones dropped", r.tombstones);
    out_item_size(c, "bytes", "their records", r.bytes);
    out_item_size(c, "reclaimable_bytes", "reclaimable now",
                  r.reclaimable_bytes);
    out_item_uint(c, "stale_readers", "dead readers cleared", r.stale_readers);
    if (c->json)
        out_bool(c, "more", r.more);
    else if (r.more)
        out_item_text(c, "more", "more remains", "the budget ended it");
    out_end(c);
    return r.more ? EXIT_NO : EXIT_YES;
}

/* Those that are a time; the others are bytes. */
static bool is_time(enum ecrdt_setting which) {
    return which == ECRDT_GC_RETENTION_MS;
}

static int show_setting(struct cli *c, enum ecrdt_setting which) {
    uint64_t value;
    const char *name = setting_name(which);
    int rc = ecrdt_setting_get(c->s, which, &value);
    if (rc < 0)
        return out_failed(rc);
    if (c->json) {
        out_text(c, "name", name);
        out_uint(c, "value", value);
        out_text(c, "unit", is_time(which) ? "ms" : "bytes");
        out_end(c);
    } else if (is_time(which)) {
        out_item_duration(c, name, name, value);
    } else {
        out_item_size(c, name, name, value);
    }
    return EXIT_YES;
}

static int change_setting(struct cli *c, enum ecrdt_setting which,
                          const char *text) {
    uint64_t value;
    bool time = is_time(which);
    if (!(time ? args_duration : args_size)(text, &value))
        return out_error(
            EXIT_USAGE, "%s wants %s, not \"%s\"", setting_name(which),
            time ? "a time such as 30d or 90s" : "a size such as 4M", text);
    int rc = ecrdt_setting_set(c->s, which, value);
    return rc < 0 ? out_failed(rc) : show_setting(c, which);
}

int verb_setting(struct cli *c) {
    int code = EXIT_YES;
    for (int i = 1; setting_name((enum ecrdt_setting)i) && !code; i++) {
        enum ecrdt_setting which = (enum ecrdt_setting)i;
        if (!c->n)
            code = show_setting(c, which);
        else if (!strcmp(setting_name(which), c->word[0]))
            return c->n == 1 ? show_setting(c, which)
                             : change_setting(c, which, c->word[1]);
    }
    if (c->n)
        return out_error(EXIT_USAGE,
                         "there is no setting \"%s\"; 'edgecrdt help setting' "
                         "lists them",
                         c->word[0]);
    return code;
}

int verb_retire(struct cli *c) {
    ecrdt_node was, is;
    char hex[33];
    int rc = ecrdt_node_id(c->s, &was);
    if (rc == 0)
        rc = ecrdt_retire(c->s);
    if (rc == 0)
        rc = ecrdt_node_id(c->s, &is);
    if (rc < 0)
        return out_failed(rc);
    out_hex(hex, was.b, sizeof was.b);
    out_item_text(c, "retired", "retired", hex);
    out_hex(hex, is.b, sizeof is.b);
    out_item_text(c, "node", "node from now on", hex);
    out_end(c);
    return EXIT_YES;
}

int verb_fold(struct cli *c) {
    ecrdt_fold_report r;
    uint32_t flags =
        (c->claim ? ECRDT_FOLD_CLAIM : 0u) | (c->all ? ECRDT_FOLD_ALL : 0u);
    int rc = ecrdt_fold(c->s, flags, &r);
    if (rc < 0)
        return out_failed(rc);
    out_item_uint(c, "entries", "entries folded", r.entries);
    out_item_uint(c, "removed", "of them, removed", r.removed);
    out_end(c);
    return EXIT_YES;
}
