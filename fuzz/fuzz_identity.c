/* fuzz_identity.c: key files, keys as text, addresses of peers and listeners:
 * what is accepted is written back as it was read.
 * Covers: replication/link/identity.c */
#include "fuzz/fuzz.h"
#include "replication/relay/config.h"

static void refused(int rc) {
    FUZZ_CHECK(rc == ECRDT_EINVAL);
    FUZZ_CODE(rc);
}

static void key_file(slice in) {
    struct identity id = {0};
    uint8_t pk[CRYPTO_PK];
    char text[IDENTITY_TEXT];
    int rc = identity_load(&id, fuzz_file("key", in));
    if (rc < 0) {
        refused(rc);
        return;
    }
    identity_text(text, id.pk);
    FUZZ_CHECK(identity_parse(pk, ecrdt_str(text)) == 0);
    FUZZ_CHECK(!memcmp(pk, id.pk, sizeof pk));
    identity_free(&id);
}

static void key_text(slice in) {
    uint8_t pk[CRYPTO_PK];
    char text[IDENTITY_TEXT];
    int rc = identity_parse(pk, in);
    if (rc < 0)
        refused(rc);
    else
        FUZZ_CHECK(slice_eq(ecrdt_str(identity_text(text, pk)), in));
}

static void peer(const char *in) {
    struct peer_address a, again;
    char text[IDENTITY_TEXT], whole[PEER_HOST_MAX + 100];
    int rc = peer_address_parse(&a, in);
    if (rc < 0) {
        refused(rc);
        return;
    }
    FUZZ_CHECK(*a.host && a.port && memchr(a.host, 0, sizeof a.host));
    bool v6 = strchr(a.host, ':');
    snprintf(whole, sizeof whole, "%s@%s%s%s:%u", identity_text(text, a.pk),
             v6 ? "[" : "", a.host, v6 ? "]" : "", a.port);
    FUZZ_CHECK(peer_address_parse(&again, whole) == 0);
    FUZZ_CHECK(!memcmp(a.pk, again.pk, sizeof a.pk) && a.port == again.port &&
               !strcmp(a.host, again.host));
}

static void listener(const char *in) {
    struct node_address a;
    int rc = config_listen_parse(&a, in);
    if (rc < 0)
        refused(rc);
    else
        FUZZ_CHECK(memchr(a.host, 0, sizeof a.host));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    slice in = slice_of(data + !!size, size - !!size);
    char *text = malloc(in.len + 1);
    if (!text)
        abort();
    memcpy(text, in.data, in.len);
    text[in.len] = 0;
    switch (size ? *data % 4 : 0) {
    case 0:
        key_file(in);
        break;
    case 1:
        key_text(in);
        break;
    case 2:
        peer(text);
        break;
    default:
        listener(text);
    }
    free(text);
    return 0;
}
