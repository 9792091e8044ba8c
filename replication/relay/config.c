/* config.c: the configuration's grammar in libconfuse's terms, each value
 * checked on the line where it stands. */
#include "replication/relay/config.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static int name_index(const char *const *names, size_t n, const char *text) {
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], text))
            return (int)i;
    return -1;
}

static int level_index(const char *text) {
    return name_index(level_names, 4, text);
}

static int role_index(const char *text) {
    return !strcmp(text, "edge")   ? PEER_EDGE
           : !strcmp(text, "core") ? PEER_CORE
                                   : -1;
}

static int parse_port(uint16_t *port, const char *text) {
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || v > 65535)
        return err_set(ECRDT_EINVAL, "\"%s\" is no port: use 0 to 65535", text);
    *port = (uint16_t)v;
    return 0;
}

int config_listen_parse(struct node_address *out, const char *text) {
    const char *colon = strrchr(text, ':');
    *out = (struct node_address){0};
    if (!colon)
        return err_set(ECRDT_EINVAL,
                       "\"%s\" is no address to listen on: write host:port, "
                       "[v6]:port or *:port",
                       text);
    size_t n = (size_t)(colon - text);
    bool brackets = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (n > PEER_HOST_MAX || (!brackets && memchr(text, ':', n)))
        return err_set(ECRDT_EINVAL,
                       "\"%s\" is no address to listen on: write an IPv6 "
                       "address in brackets, as [::]:7433",
                       text);
    memcpy(out->host, text + brackets, n - 2 * (size_t)brackets);
    if (!strcmp(out->host, "*"))
        out->host[0] = 0;
    return parse_port(&out->port, colon + 1);
}

/* ---- what libconfuse calls ------------------------------------------------
 */

/* To libconfuse the end of the file ends a section and a comment too. So one
 * more setting stands behind the text, which the top level alone knows. */
#define END_MARK "end-of-this-file"

static _Thread_local struct {
    const char *path; /* of the file that is read, and its lines */
    int lines;
    char complaint[ERR_SENTENCE]; /* the first, as "file:line: sentence" */
} reading;

static int line_of(const cfg_t *cfg) {
    bool behind = cfg->line > reading.lines && cfg->filename &&
                  !strcmp(cfg->filename, reading.path);
    return behind ? reading.lines : cfg->line;
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap) {
    char *out = reading.complaint, why[ERR_SENTENCE];
    if (*out)
        return;
    const char *file = cfg && cfg->filename ? cfg->filename : "configuration";
    int line = cfg ? line_of(cfg) : 0;
    vsnprintf(why, sizeof why, fmt, ap);
    if (cfg && cfg->title && strstr(why, END_MARK))
        snprintf(out, ERR_SENTENCE, "%.700s:%d: %s \"%.60s\" has no closing }",
                 file, line, cfg->name, cfg->title);
    else
        snprintf(out, ERR_SENTENCE, "%.700s:%d: %.300s", file, line, why);
}

/* A folder would end the process: libconfuse's scanner exits when it cannot
 * read what it has opened. */
static int include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv) {
    struct stat st;
    char *path = argc == 1 ? cfg_tilde_expand(argv[0]) : NULL;
    bool folder = path && !stat(path, &st) && S_ISDIR(st.st_mode);
    free(path);
    if (!folder)
        return cfg_include(cfg, opt, argc, argv);
    cfg_error(cfg, "cannot include %s: it is a folder", argv[0]);
    return 1;
}

/* A flag of an option that libconfuse leaves to us: it was written. */
enum { WRITTEN = 1 << 30 };

/* libconfuse would take the last one. What += adds to a list is never its first
 * value. */
static int check_once(cfg_t *cfg, cfg_opt_t *opt) {
    bool again = opt->flags & WRITTEN && cfg_opt_size(opt) == 1;
    opt->flags |= WRITTEN;
    if (!again)
        return 0;
    cfg_error(cfg, "%s is set a second time: keep one of the two%s",
              cfg_opt_name(opt),
              opt->flags & CFGF_LIST ? ", or add to it with +=" : "");
    return -1;
}

/* Each string of a list; those who validate are asked about the last of them
 * once more behind it. */
static int take_string(cfg_t *cfg, cfg_opt_t *opt, const char *value,
                       void *result) {
    *(const char **)result = value;
    return check_once(cfg, opt);
}

static const char *last_string(cfg_opt_t *opt) {
    return cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
}

static int check_listen(cfg_t *cfg, cfg_opt_t *opt) {
    struct node_address a;
    if (config_listen_parse(&a, last_string(opt)) == 0)
        return 0;
    cfg_error(cfg, "%s", ecrdt_errmsg());
    return -1;
}

static int check_key(cfg_t *cfg, cfg_opt_t *opt) {
    uint8_t pk[32];
    if (identity_parse(pk, ecrdt_str(last_string(opt))) == 0)
        return 0;
    cfg_error(cfg, "%s", ecrdt_errmsg());
    return -1;
}

/* The address syntax of a peer is that of "ed25519:KEY@address". */
static int parse_peer_address(struct peer_address *out, const char *text) {
    static const uint8_t any[32];
    char whole[IDENTITY_TEXT + PEER_ADDRESS_MAX + 2];
    char key[IDENTITY_TEXT];
    identity_text(key, any);
    if (strlen(text) > PEER_ADDRESS_MAX)
        return err_set(ECRDT_EINVAL, "an address has %d bytes at most",
                       PEER_ADDRESS_MAX);
    snprintf(whole, sizeof whole, "%s@%s", key, text);
    return peer_address_parse(out, whole);
}

static int check_address(cfg_t *cfg, cfg_opt_t *opt) {
    struct peer_address a;
    if (parse_peer_address(&a, last_string(opt)) == 0)
        return 0;
    cfg_error(cfg,
              "\"%s\" is no address of a peer: write host:port or "
              "[v6]:port",
              last_string(opt));
    return -1;
}

static int check_role(cfg_t *cfg, cfg_opt_t *opt) {
    if (role_index(last_string(opt)) >= 0)
        return 0;
    cfg_error(cfg, "role is \"edge\" or \"core\", not \"%s\"",
              last_string(opt));
    return -1;
}

static int check_level(cfg_t *cfg, cfg_opt_t *opt) {
    if (level_index(last_string(opt)) >= 0)
        return 0;
    cfg_error(cfg, "log_level is error, warn, info or debug, not \"%s\"",
              last_string(opt));
    return -1;
}

static int check_others(cfg_t *cfg, cfg_opt_t *opt) {
    const char *text = last_string(opt);
    if (!strcmp(text, "all") || !strcmp(text, "nothing"))
        return 0;
    cfg_error(cfg, "subscribe_others is \"all\" or \"nothing\", not \"%s\"",
              text);
    return -1;
}

static int check_format(cfg_t *cfg, cfg_opt_t *opt) {
    if (!strcmp(last_string(opt), "logfmt"))
        return 0;
    cfg_error(cfg, "log_format is \"logfmt\", not \"%s\"", last_string(opt));
    return -1;
}

static int check_name(cfg_t *cfg, cfg_opt_t *opt) {
    size_t n = strlen(last_string(opt));
    if (n >= 1 && n <= PEER_NAME_MAX)
        return 0;
    cfg_error(cfg, "%s has 1 to %d bytes, not %zu", cfg_opt_name(opt),
              PEER_NAME_MAX, n);
    return -1;
}

static int check_path(cfg_t *cfg, cfg_opt_t *opt) {
    size_t n = strlen(last_string(opt));
    if (n >= 1 && n <= CONFIG_PATH_MAX)
        return 0;
    cfg_error(cfg, "%s is a path of 1 to %d bytes", cfg_opt_name(opt),
              CONFIG_PATH_MAX);
    return -1;
}

static int check_max_links(cfg_t *cfg, cfg_opt_t *opt) {
    long v = cfg_opt_getnint(opt, 0);
    if (v >= 1 && v <= 65536)
        return 0;
    cfg_error(cfg, "max_links is 1 to 65536, not %ld", v);
    return -1;
}

static int check_drain(cfg_t *cfg, cfg_opt_t *opt) {
    long v = cfg_opt_getnint(opt, 0);
    if (v >= 0 && v <= CONFIG_DRAIN_MAX_S)
        return 0;
    cfg_error(cfg, "drain_timeout is 0 to %d seconds, not %ld",
              CONFIG_DRAIN_MAX_S, v);
    return -1;
}

static int check_audit(cfg_t *cfg, cfg_opt_t *opt) {
    long v = cfg_opt_getnint(opt, 0);
    if (v >= 0 && v <= CONFIG_AUDIT_MAX_S)
        return 0;
    cfg_error(cfg, "audit_interval is 0 (off) to %d seconds, not %ld",
              CONFIG_AUDIT_MAX_S, v);
    return -1;
}

static int check_gc(cfg_t *cfg, cfg_opt_t *opt) {
    long v = cfg_opt_getnint(opt, 0);
    bool interval = !strcmp(cfg_opt_name(opt), "gc_interval");
    if (v >= interval && v <= CONFIG_GC_MAX)
        return 0;
    cfg_error(cfg, "%s is %d to %d, not %ld", cfg_opt_name(opt), interval,
              CONFIG_GC_MAX, v);
    return -1;
}

static int check_peer(cfg_t *cfg, cfg_opt_t *opt) {
    cfg_t *peer = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
    const char *title = cfg_title(peer);
    if (!cfg_getstr(peer, "key")) {
        cfg_error(cfg, "peer \"%s\" needs a key = \"ed25519:...\"", title);
        return -1;
    }
    if (strlen(title) <= PEER_NAME_MAX && *title)
        return 0;
    cfg_error(cfg, "a peer's name has 1 to %d bytes", PEER_NAME_MAX);
    return -1;
}

/* ---- the file -------------------------------------------------------------
 */

static const struct {
    const char *option;
    cfg_validate_callback_t check;
} checks[] = {
    {"store", check_path},
    {"key_file", check_path},
    {"realm", check_name},
    {"name", check_name},
    {"role", check_role},
    {"listen", check_listen},
    {"max_links", check_max_links},
    {"drain_timeout", check_drain},
    {"audit_interval", check_audit},
    {"gc_retention", check_gc},
    {"gc_interval", check_gc},
    {"gc_budget", check_gc},
    {"log_level", check_level},
    {"log_format", check_format},
    {"subscribe_others", check_others},
    {"peer|address", check_address},
    {"peer|key", check_key},
    {"peer", check_peer},
};

static int check_value(cfg_t *cfg, cfg_opt_t *opt) {
    const char *name = cfg_opt_name(opt);
    bool many = opt->flags & (CFGF_LIST | CFGF_MULTI);
    if (!many && check_once(cfg, opt) < 0)
        return -1;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        const char *bar = strrchr(checks[i].option, '|');
        if (!strcmp(bar ? bar + 1 : checks[i].option, name))
            return checks[i].check(cfg, opt);
    }
    return 0;
}

/* All of the file, to be freed by the caller; NULL if it cannot be read. */
static char *read_text(const char *path, size_t *len) {
    char *text = NULL;
    size_t room = 0;
    FILE *f = fopen(path, "re");
    ssize_t n = f ? getdelim(&text, &room, 0, f) : -1;
    bool whole = f && !ferror(f);
    int error = errno;
    if (f)
        fclose(f);
    *len = n > 0 ? (size_t)n : 0;
    if (!whole || (!text && !(text = calloc(1, 1)))) {
        free(text);
        text = NULL;
    }
    errno = error;
    return text;
}

/* The file as a stream with the mark behind it, and what that reads from. */
static FILE *open_text(const char *path, char **marked) {
    size_t len;
    char *text = read_text(path, &len);
    int n =
        text ? asprintf(marked, "%.*s\n" END_MARK " = true\n", (int)len, text)
             : -1;
    reading.path = path;
    reading.lines = 1;
    for (size_t i = 0; n > 0 && i + 1 < len; i++)
        reading.lines += text[i] == '\n';
    free(text);
    if (n < 0)
        *marked = NULL;
    return *marked ? fmemopen(*marked, (size_t)n, "r") : NULL;
}

static int parse_text(cfg_t *cfg, const char *path) {
    char *marked;
    FILE *f = open_text(path, &marked);
    int rc = f ? CFG_SUCCESS : CFG_FILE_ERROR;
    if (f && !(cfg->filename = strdup(path)))
        rc = CFG_PARSE_ERROR;
    if (!rc)
        rc = cfg_parse_fp(cfg, f);
    if (!rc && !cfg_getbool(cfg, END_MARK)) {
        cfg_error(cfg, "a comment has no end");
        rc = CFG_PARSE_ERROR;
    }
    if (f)
        fclose(f);
    free(marked);
    return rc;
}

static int parse(const char *path, cfg_t **out) {
    cfg_opt_t peer[] = {CFG_STR("address", NULL, CFGF_NONE),
                        CFG_STR("key", NULL, CFGF_NONE), CFG_END()};
    cfg_opt_t subscribe[] = {
        CFG_STR_LIST_CB("prefixes", NULL, CFGF_NONE, take_string), CFG_END()};
    cfg_opt_t top[] = {
        CFG_STR("store", NULL, CFGF_NONE),
        CFG_STR("key_file", NULL, CFGF_NONE),
        CFG_STR("realm", "default", CFGF_NONE),
        CFG_STR("name", NULL, CFGF_NONE),
        CFG_STR("role", "edge", CFGF_NONE),
        CFG_STR_LIST_CB("listen", NULL, CFGF_NONE, take_string),
        CFG_INT("max_links", NODE_LINKS_MAX, CFGF_NONE),
        CFG_INT("drain_timeout", CONFIG_DRAIN_DEFAULT_S, CFGF_NONE),
        CFG_INT("audit_interval", NODE_AUDIT_DEFAULT_S, CFGF_NONE),
        CFG_INT("gc_retention", -1, CFGF_NONE),
        CFG_INT("gc_interval", COLLECT_INTERVAL_S, CFGF_NONE),
        CFG_INT("gc_budget", COLLECT_BUDGET_MS, CFGF_NONE),
        CFG_STR("log_level", "info", CFGF_NONE),
        CFG_STR("log_format", "logfmt", CFGF_NONE),
        CFG_SEC("peer", peer, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
        CFG_SEC("subscribe", subscribe,
                CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
        CFG_STR("subscribe_others", NULL, CFGF_NONE),
        CFG_FUNC("include", &include),
        CFG_BOOL(END_MARK, cfg_false, CFGF_NONE),
        CFG_END()};
    *reading.complaint = 0;
    cfg_t *cfg = cfg_init(top, CFGF_NONE);
    if (!cfg)
        return err_nomem(sizeof top);
    cfg_set_error_function(cfg, on_error);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        cfg_set_validate_func(cfg, checks[i].option, check_value);
    *out = cfg;
    switch (parse_text(cfg, path)) {
    case CFG_SUCCESS:
        return 0;
    case CFG_FILE_ERROR:
        return err_errno(errno ? errno : ENOENT,
                         "cannot read the "
                         "configuration",
                         path);
    default:
        if (!*reading.complaint) /* libconfuse is silent about some */
            cfg_error(cfg, "this is no setting: write name = value");
        return err_set(ECRDT_EINVAL, "%s", reading.complaint);
    }
}

static int copy_peers(struct config *c, cfg_t *cfg, const char *path) {
    unsigned n = cfg_size(cfg, "peer");
    if (n > PEERS_MAX)
        return err_set(ECRDT_EINVAL, "%s:%d: more than %d peers", path,
                       line_of(cfg), PEERS_MAX);
    c->peers = n ? alloc_zeroed(n, sizeof *c->peers) : NULL;
    if (n && !c->peers)
        return ECRDT_ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        cfg_t *sec = cfg_getnsec(cfg, "peer", i);
        struct node_peer *p = &c->peers[i];
        struct peer_address a;
        const char *address = cfg_getstr(sec, "address");
        identity_parse(p->key, ecrdt_str(cfg_getstr(sec, "key")));
        for (size_t j = 0; j < i; j++)
            if (!memcmp(c->peers[j].key, p->key, sizeof p->key))
                return err_set(ECRDT_EINVAL,
                               "%s:%d: peer \"%s\" has the key of peer "
                               "\"%s\"",
                               path, sec->line, cfg_title(sec),
                               c->peers[j].name);
        snprintf(p->name, sizeof p->name, "%s", cfg_title(sec));
        if (address && !parse_peer_address(&a, address)) {
            memcpy(p->address.host, a.host, sizeof a.host);
            p->address.port = a.port;
        }
        c->n_peers = i + 1;
    }
    return 0;
}

static int copy_prefixes(struct held *h, cfg_t *sec) {
    slice list[SUBSCRIPTION_PREFIXES + 1];
    unsigned n = cfg_size(sec, "prefixes");
    for (unsigned i = 0; i < n && i <= SUBSCRIPTION_PREFIXES; i++)
        list[i] = ecrdt_str(cfg_getnstr(sec, "prefixes", i));
    return held_set(h, list, n);
}

static int by_bucket(const void *a, const void *b) {
    return strcmp(((const struct held *)a)->bucket,
                  ((const struct held *)b)->bucket);
}

/* With a section for one bucket the others are not held, unless told so. */
static int copy_holds(struct config *c, cfg_t *cfg, const char *path) {
    unsigned n = cfg_size(cfg, "subscribe");
    const char *others = cfg_getstr(cfg, "subscribe_others");
    c->has_holds = n || others;
    c->holds.others = others ? !strcmp(others, "all") : !n;
    for (unsigned i = 0; i < n; i++) {
        cfg_t *sec = cfg_getnsec(cfg, "subscribe", i);
        slice name = ecrdt_str(cfg_title(sec));
        if (!name.len || name.len > ECRDT_MAX_BUCKET_NAME)
            return err_set(ECRDT_EINVAL,
                           "%s:%d: a bucket's name has 1 to %d bytes", path,
                           sec->line, ECRDT_MAX_BUCKET_NAME);
        struct held *h = subscription_add(&c->holds, name);
        int rc = h ? copy_prefixes(h, sec) : ECRDT_ENOMEM;
        if (rc == ECRDT_EINVAL || rc == ECRDT_ETOOBIG) {
            char why[ERR_SENTENCE];
            snprintf(why, sizeof why, "%s", ecrdt_errmsg());
            return err_set(ECRDT_EINVAL, "%.300s:%d: %.600s", path, sec->line,
                           why);
        }
        if (rc < 0)
            return rc;
    }
    if (n)
        qsort(c->holds.b, n, sizeof *c->holds.b, by_bucket);
    return 0;
}

static int required(const cfg_t *cfg, const char *path, const char *option) {
    if (cfg_getstr((cfg_t *)(uintptr_t)cfg, option))
        return 0;
    return err_set(ECRDT_EINVAL, "%s:%d: %s = \"...\" is missing", path,
                   line_of(cfg), option);
}

static void copy_gc(struct config *c, cfg_t *cfg) {
    long retention = cfg_getint(cfg, "gc_retention");
    c->gc_retention_ms = retention < 0 ? -1 : (int64_t)retention * 1000;
    c->gc.interval_ms = (uint64_t)cfg_getint(cfg, "gc_interval") * 1000;
    c->gc.budget_ms = (uint64_t)cfg_getint(cfg, "gc_budget");
}

static int copy_all(struct config *c, cfg_t *cfg, const char *path) {
    const char *name = cfg_getstr(cfg, "name");
    int rc = required(cfg, path, "store");
    if (!rc)
        rc = required(cfg, path, "key_file");
    if (rc < 0)
        return rc;
    snprintf(c->store, sizeof c->store, "%s", cfg_getstr(cfg, "store"));
    snprintf(c->key_file, sizeof c->key_file, "%s",
             cfg_getstr(cfg, "key_file"));
    snprintf(c->realm, sizeof c->realm, "%s", cfg_getstr(cfg, "realm"));
    if (name)
        snprintf(c->name, sizeof c->name, "%s", name);
    else
        gethostname(c->name, sizeof c->name - 1);
    c->role = (uint8_t)role_index(cfg_getstr(cfg, "role"));
    c->max_links = (uint32_t)cfg_getint(cfg, "max_links");
    c->drain_timeout_ms = (uint64_t)cfg_getint(cfg, "drain_timeout") * 1000;
    c->audit_ms = (uint64_t)cfg_getint(cfg, "audit_interval") * 1000;
    copy_gc(c, cfg);
    c->log_level = level_index(cfg_getstr(cfg, "log_level"));
    c->n_listen = cfg_size(cfg, "listen");
    if (c->n_listen > RELAY_LISTEN_MAX)
        return err_set(ECRDT_EINVAL, "%s:%d: more than %d listeners", path,
                       line_of(cfg), RELAY_LISTEN_MAX);
    for (unsigned i = 0; !rc && i < c->n_listen; i++)
        rc = config_listen_parse(&c->listen[i], cfg_getnstr(cfg, "listen", i));
    if (!rc)
        rc = copy_holds(c, cfg, path);
    return rc < 0 ? rc : copy_peers(c, cfg, path);
}

int config_load(struct config *c, const char *path) {
    cfg_t *cfg = NULL;
    *c = (struct config){0};
    errno = 0;
    int rc = parse(path, &cfg);
    if (!rc)
        rc = copy_all(c, cfg, path);
    if (cfg)
        cfg_free(cfg);
    return rc;
}

void config_free(struct config *c) {
    alloc_free(c->peers);
    subscription_free(&c->holds);
    *c = (struct config){0};
}

const char *config_needs_restart(const struct config *old,
                                 const struct config *new) {
    if (strcmp(old->store, new->store) != 0)
        return "store";
    if (strcmp(old->key_file, new->key_file) != 0)
        return "key_file";
    if (strcmp(old->realm, new->realm) != 0)
        return "realm";
    if (strcmp(old->name, new->name) != 0)
        return "name";
    return old->role != new->role ? "role" : NULL;
}
