/* verbs_net.c: node keys, and one round of replication. */
#include "cli/verbs.h"
#include "edgecrdt_sync.h"
#include "crdt/type.h"
#include "replication/link/identity.h"
#include "replication/verify_against.h"
#include <signal.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "ed25519-secret:"

enum {
    SECRET_PREFIX = sizeof SECRET - 1,
    SECRET_CHARS = 43, /* 32 bytes as base64url */
    SECRET_LINE = SECRET_PREFIX + SECRET_CHARS + 1,
    SYNC_TIMEOUT_MS = 30000
};

/* Prints the public key that belongs to seed. */
static void print_public(struct cli *c, const uint8_t seed[CRYPTO_SEED],
                         const char *file) {
    struct identity id;
    char text[IDENTITY_TEXT];
    identity_init(&id, seed);
    out_text(c, "key", identity_text(text, id.pk));
    if (c->json && file)
        out_text(c, "file", file);
    out_end(c);
    identity_free(&id);
}

/* Writes the secret to the output; a file it goes to becomes private. */
static int print_secret(const uint8_t seed[CRYPTO_SEED]) {
    char line[SECRET_LINE + 1] = SECRET;
    struct stat st;
    bool file = fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode);
    if (isatty(STDOUT_FILENO))
        return out_error(EXIT_USAGE,
                         "a secret does not go to a terminal: add --out "
                         "FILE, or > FILE");
    if (file && (st.st_mode & 077) && fchmod(STDOUT_FILENO, 0600) < 0)
        return out_error(EXIT_NOPERM,
                         "cannot make the output file private: %s; use --out "
                         "FILE",
                         strerror(errno));
    crypto_base64(line + SECRET_PREFIX, seed, CRYPTO_SEED);
    puts(line);
    crypto_wipe(line, sizeof line);
    return EXIT_YES;
}

static int key_gen(struct cli *c) {
    uint8_t seed[CRYPTO_SEED];
    int code = EXIT_YES, rc = 0;
    if (c->n > 1)
        return out_error(EXIT_USAGE, "key gen takes no file to read; the new "
                                     "key goes to --out FILE");
    if (c->json && !c->out)
        return out_error(EXIT_USAGE, "key gen --json prints the public key; "
                                     "the secret needs --out FILE");
    crypto_random(seed, sizeof seed);
    if (!c->out)
        code = print_secret(seed);
    else if ((rc = identity_create(c->out, seed)) < 0)
        code = out_error(EXIT_CANTCREAT, "%s", ecrdt_errmsg());
    else
        print_public(c, seed, c->out);
    crypto_wipe(seed, sizeof seed);
    return code;
}

/* Reads the secret from standard input, a file or the end of a pipe. */
static int read_secret(uint8_t seed[CRYPTO_SEED]) {
    char *data = NULL;
    size_t len = 0;
    int code = args_read_all(STDIN_FILENO, "standard input", 4096, &data, &len);
    slice s = slice_of(data, len);
    bool good =
        !code && len == SECRET_LINE && slice_starts(s, ecrdt_str(SECRET)) &&
        data[len - 1] == '\n' &&
        crypto_unbase64(seed, CRYPTO_SEED, data + SECRET_PREFIX, SECRET_CHARS);
    if (!code && !good)
        code = out_error(EXIT_DATA, "this is not a key: 'edgecrdt key gen' "
                                    "makes one, 'edgecrdt key pub < FILE' "
                                    "reads it");
    crypto_wipe(data, len);
    free(data);
    return code;
}

static int key_pub(struct cli *c) {
    struct identity id;
    uint8_t seed[CRYPTO_SEED];
    char text[IDENTITY_TEXT];
    if (c->n > 1) {
        int rc = identity_load(&id, c->word[1]);
        if (rc < 0)
            return out_failed(rc);
        out_text(c, "key", identity_text(text, id.pk));
        out_end(c);
        identity_free(&id);
        return EXIT_YES;
    }
    int code = read_secret(seed);
    if (!code)
        print_public(c, seed, NULL);
    crypto_wipe(seed, sizeof seed);
    return code;
}

int verb_key(struct cli *c) {
    int rc = crypto_init();
    if (rc < 0)
        return out_failed(rc);
    if (!strcmp(c->word[0], "gen"))
        return key_gen(c);
    if (!strcmp(c->word[0], "pub"))
        return key_pub(c);
    return out_error(EXIT_USAGE,
                     "key wants gen or pub, not \"%s\"; see 'edgecrdt help "
                     "key'",
                     c->word[0]);
}

static void print_sync(struct cli *c, const ecrdt_sync_report *r) {
    out_item_uint(c, "peers_reached", "peers reached", r->peers_reached);
    out_item_uint(c, "peers_synced", "peers in sync", r->peers_synced);
    out_item_uint(c, "items_applied", "items applied here", r->items_applied);
    out_item_uint(c, "items_sent", "items sent", r->items_sent);
    out_item_uint(c, "bytes_received", "bytes received", r->bytes_received);
    out_item_uint(c, "bytes_sent", "bytes sent", r->bytes_sent);
    out_end(c);
}

int verb_sync(struct cli *c) {
    ecrdt_sync_conf conf = ECRDT_SYNC_CONF_INIT;
    ecrdt_sync_report report = {.size = sizeof report};
    conf.key_file = c->key ? c->key : getenv("EDGECRDT_KEY");
    conf.realm = c->realm;
    conf.name = c->name;
    conf.peers = (const char *const *)c->word;
    conf.npeers = (size_t)c->n;
    if (!conf.key_file)
        return out_error(EXIT_USAGE,
                         "sync wants this node's key: --key FILE or "
                         "EDGECRDT_KEY; 'edgecrdt key gen --out FILE' makes "
                         "one");
    int rc = ecrdt_sync_once(
        c->s, &conf, c->timeout_ms ? c->timeout_ms : SYNC_TIMEOUT_MS, &report);
    if (rc < 0)
        return out_failed(rc);
    print_sync(c, &report);
    if (rc == 0)
        out_error(0, "%s", ecrdt_errmsg());
    return rc ? EXIT_YES : EXIT_NO;
}

/* One key that differs, and the events that only one side has. */
static void print_difference(void *ctx, const struct difference *d) {
    struct cli *c = ctx;
    struct item_parts p;
    char here[COMPARE_DOTS * COMPARE_DOT_TEXT];
    char there[COMPARE_DOTS * COMPARE_DOT_TEXT];
    bool item = item_id_parse(d->id, &p);
    const struct type *ty = item ? type_of_tag(p.tag) : NULL;
    compare_dots_text(here, d->here, d->n_here);
    compare_dots_text(there, d->there, d->n_there);
    out_text(c, "bucket", d->bucket);
    out_text(c, "type", ty ? ty->name : "range");
    out_bytes(c, "key", item ? slice_of(p.key, p.key_len) : d->id);
    if (item && p.tag == TAG_ELEMENT)
        out_bytes(c, "element", p.sub);
    if (!c->json)
        out_text(c, "", "here:");
    out_text(c, "here", here);
    if (!c->json)
        out_text(c, "", "there:");
    out_text(c, "there", there);
    out_end(c);
}

static void print_comparison(struct cli *c, const struct verify_against *v) {
    if (c->json) {
        out_bool(c, "equal", !v->findings);
        out_uint(c, "buckets", v->buckets);
        out_uint(c, "ranges", v->ranges);
        out_uint(c, "findings", v->findings);
        out_uint(c, "bytes", v->bytes);
    } else if (!v->findings) {
        out_text(c, "equal", "equal");
    }
    out_end(c);
}

int verify_with_peer(struct cli *c) {
    struct verify_against v = {
        .key_file = c->key ? c->key : getenv("EDGECRDT_KEY"),
        .realm = c->realm,
        .name = c->name,
        .peer = c->against,
        .timeout_ms = c->timeout_ms ? c->timeout_ms : SYNC_TIMEOUT_MS,
        .found = print_difference,
        .ctx = c};
    if (!v.key_file)
        return out_error(EXIT_USAGE,
                         "verify --against wants a node key that the peer "
                         "knows: --key FILE or EDGECRDT_KEY");
    signal(SIGPIPE, SIG_IGN); /* a peer that goes away is an error of its own */
    int rc = verify_against(c->s, &v);
    if (rc < 0)
        return out_failed(rc);
    print_comparison(c, &v);
    return rc ? EXIT_YES : EXIT_NO;
}
