/* fuzz_config.c: the relay's configuration file: refused with the place and
 * the reason, or within its limits, and the same when read again.
 * Covers: replication/relay/config.c */
#include "fuzz/fuzz.h"
#include "replication/relay/config.h"

#define TEXT(member) memchr(c->member, 0, sizeof c->member)

static void within_limits(const struct config *c) {
    FUZZ_CHECK(*c->store && *c->key_file);
    FUZZ_CHECK(TEXT(store) && TEXT(key_file) && TEXT(realm) && TEXT(name));
    FUZZ_CHECK(c->role < PEER_ROLES && c->n_listen <= RELAY_LISTEN_MAX);
    FUZZ_CHECK(c->n_peers <= PEERS_MAX && c->max_links <= NODE_LINKS_MAX);
    FUZZ_CHECK(c->drain_timeout_ms <= CONFIG_DRAIN_MAX_S * 1000);
    FUZZ_CHECK(c->audit_ms <= UINT64_C(1000) * CONFIG_AUDIT_MAX_S);
    FUZZ_CHECK(c->gc_retention_ms >= -1);
    for (size_t i = 1; i < c->holds.n; i++)
        FUZZ_CHECK(strcmp(c->holds.b[i - 1].bucket, c->holds.b[i].bucket) < 0);
    for (size_t i = 0; i < c->n_listen; i++)
        FUZZ_CHECK(memchr(c->listen[i].host, 0, sizeof c->listen[i].host));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct config c, again;
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = 0;
    /* An include could read any file of the machine that runs this. */
    bool includes = strstr(text, "include") || memchr(data, 0, size);
    const char *path =
        includes ? NULL : fuzz_file("conf", slice_of(data, size));
    free(text);
    if (!path)
        return 0;
    int rc = config_load(&c, path);
    FUZZ_CHECK(rc == 0 || rc == ECRDT_EINVAL);
    FUZZ_CODE(rc);
    FUZZ_CHECK(config_load(&again, path) == rc);
    if (rc == 0) {
        within_limits(&c);
        FUZZ_CHECK(!config_needs_restart(&c, &again));
        FUZZ_CHECK(subscription_eq(&c.holds, &again.holds));
    }
    config_free(&c);
    config_free(&again);
    return 0;
}
