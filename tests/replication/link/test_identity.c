/* test_identity.c: key files, key text and peer addresses, good and bad. */
#include "replication/link/identity.h"
#include "tests/support/test.h"
#include <sys/stat.h>
#include <unistd.h>

#define KEY  "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"
#define TEXT "ed25519:" KEY

/* base64url of the bytes 0 to 31 */
#define SECRET "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static char *dir;

static const uint8_t *seed(void) {
    static uint8_t s[32];
    for (uint8_t i = 0; i < 32; i++)
        s[i] = i;
    return s;
}

static int setup(void **state) {
    (void)state;
    dir = tmpdir_make();
    return crypto_init();
}

static int teardown(void **state) {
    (void)state;
    tmpdir_remove(dir);
    return 0;
}

/* Values by Python's cryptography and hashlib. */
static void keys_of_a_seed(void **state) {
    (void)state;
    struct identity id;
    char text[IDENTITY_TEXT];
    uint8_t want[32];
    identity_init(&id, seed());
    assert_string_equal(identity_text(text, id.pk), TEXT);
    hex_decode(
        want, 32,
        "cc08a684dc5a86971914edd92fe2bb99bd80c6ef2c41b6027823a3ef26a1face");
    assert_memory_equal(id.dh_sk, want, 32);
    crypto_dh_public(want, id.dh_sk);
    assert_memory_equal(id.dh_pk, want, 32);
    identity_free(&id);
    const struct identity zero = {0};
    assert_memory_equal(&id, &zero, sizeof id);
    identity_free(NULL);
}

static void file_round_trip(void **state) {
    (void)state;
    const char *path = path_join(dir, "key");
    struct identity a, b;
    struct stat st;
    size_t len;
    mode_t old = umask(0277);
    assert_ok(identity_create(path, seed()));
    umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    char *text = file_read(path, &len);
    assert_string_equal(text, "ed25519-secret:" SECRET "\n");
    free(text);
    assert_ok(identity_load(&a, path));
    identity_init(&b, seed());
    assert_memory_equal(&a, &b, sizeof a);
}

static void a_key_is_never_overwritten(void **state) {
    (void)state;
    const char *path = path_join(dir, "twice");
    static const uint8_t other[32] = {9};
    struct identity a, b;
    assert_ok(identity_create(path, seed()));
    assert_code(ECRDT_EINVAL, identity_create(path, other));
    assert_non_null(strstr(ecrdt_errmsg(), "never overwritten"));
    assert_ok(identity_load(&a, path));
    identity_init(&b, seed());
    assert_memory_equal(&a, &b, sizeof a);
}

static void missing_places(void **state) {
    (void)state;
    struct identity id;
    const char *path = path_join(dir, "no/such/folder");
    assert_code(ECRDT_ENOENT, identity_load(&id, path));
    assert_non_null(strstr(ecrdt_errmsg(), path));
    assert_code(ECRDT_ENOENT, identity_create(path, seed()));
    assert_code(ECRDT_EINVAL, identity_load(&id, dir));
    const char *fifo = path_join(dir, "fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_code(ECRDT_EINVAL, identity_load(&id, fifo));
}

static void created_in_the_working_folder(void **state) {
    (void)state;
    char here[4096];
    struct identity id;
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(dir), 0);
    int made = identity_create("bare-name", seed());
    int loaded = identity_load(&id, "bare-name");
    assert_int_equal(chdir(here), 0);
    assert_ok(made);
    assert_ok(loaded);
}

static void open_modes_are_refused(void **state) {
    (void)state;
    const char *path = path_join(dir, "mode");
    struct identity id;
    assert_ok(identity_create(path, seed()));
    static const mode_t bad[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(chmod(path, bad[i]), 0);
        assert_code(ECRDT_EINVAL, identity_load(&id, path));
        assert_non_null(strstr(ecrdt_errmsg(), "chmod 600"));
        assert_null(strstr(ecrdt_errmsg(), SECRET));
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_ok(identity_load(&id, path));
}

static void malformed_files_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "ed25519-secret:",
        "ed25519-secret:" SECRET,        /* no newline */
        "ed25519-secret:" SECRET "\n\n", /* more */
        "ed25519-secret:" SECRET "=\n",  /* padded */
        "ed25519-secret:" SECRET "\r\n", /* CRLF */
        "ed25519-secret: " SECRET "\n",  /* blank */
        "ed25519:" SECRET "\n",          /* another form */
        "Ed25519-secret:" SECRET "\n",   /* case */
        "ed25519-secret:A" SECRET "\n",  /* long */
        "ed25519-secret:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh\n",
        "ed25519-secret:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9\n",
        "ed25519-secret:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH+8\n",
    };
    const char *path = path_join(dir, "malformed");
    struct identity id;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        file_write(path, bad[i], strlen(bad[i]));
        assert_int_equal(chmod(path, 0600), 0);
        assert_code(ECRDT_EINVAL, identity_load(&id, path));
        assert_non_null(strstr(ecrdt_errmsg(), "base64url"));
    }
}

static void key_text_is_strict(void **state) {
    (void)state;
    uint8_t pk[32];
    char text[IDENTITY_TEXT];
    assert_ok(identity_parse(pk, slice_str(TEXT)));
    assert_string_equal(identity_text(text, pk), TEXT);
    static const char *const bad[] = {
        "", "ed25519:", KEY, "ED25519:" KEY, TEXT "=", TEXT "A", TEXT "\n",
        " " TEXT, "ed25519:A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMb",
        /* a last character with bits that no byte has */
        "ed25519:A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbh",
        /* the other alphabet */
        "ed25519:A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_code(ECRDT_EINVAL, identity_parse(pk, slice_str(bad[i])));
    assert_code(ECRDT_EINVAL, identity_parse(pk, slice_of(NULL, 0)));
    assert_code(ECRDT_EINVAL, identity_parse(pk, slice_of(TEXT "\0", 52)));
}

static void secrets_are_not_echoed(void **state) {
    (void)state;
    uint8_t pk[32];
    struct peer_address a;
    const char *text = "ed25519-secret:" SECRET;
    assert_code(ECRDT_EINVAL, identity_parse(pk, slice_str(text)));
    assert_null(strstr(ecrdt_errmsg(), SECRET));
    assert_code(ECRDT_EINVAL, peer_address_parse(&a, text));
    assert_null(strstr(ecrdt_errmsg(), SECRET));
    assert_code(ECRDT_EINVAL,
                peer_address_parse(&a, "ed25519-secret:" SECRET "@host"));
    assert_null(strstr(ecrdt_errmsg(), SECRET));
}

static void good_addresses(void **state) {
    (void)state;
    static const struct {
        const char *text, *host;
        uint16_t port;
    } rows[] = {
        {TEXT "@core.example.org:7000", "core.example.org", 7000},
        {TEXT "@core", "core", 7433},
        {TEXT "@10.0.0.1:1", "10.0.0.1", 1},
        {TEXT "@[2001:db8::1]:65535", "2001:db8::1", 65535},
        {TEXT "@[::1]", "::1", 7433},
        {TEXT "@[fe80::1%eth0]:7", "fe80::1%eth0", 7},
        {TEXT "@[::ffff:10.0.0.1]", "::ffff:10.0.0.1", 7433},
        {TEXT "@my_host-2", "my_host-2", 7433},
    };
    struct peer_address a;
    struct identity id;
    identity_init(&id, seed());
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(peer_address_parse(&a, rows[i].text));
        assert_string_equal(a.host, rows[i].host);
        assert_int_equal(a.port, rows[i].port);
        assert_memory_equal(a.pk, id.pk, 32);
    }
}

static void bad_addresses(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "no @"},
        {TEXT, "no @"},
        {"host:7433", "no @"},
        {"@host", "key"},
        {"ed25519:AAAA@host", "key"},
        {TEXT "@", "host is not"},
        {TEXT "@:7433", "host is not"},
        {TEXT "@ho st", "host is not"},
        {TEXT "@-x", "host is not"},
        {TEXT "@a@b", "host is not"},
        {TEXT "@host/", "host is not"},
        {TEXT "@host:", "port"},
        {TEXT "@host:0", "port"},
        {TEXT "@host:65536", "port"},
        {TEXT "@host:99999", "port"},
        {TEXT "@host:123456", "port"},
        {TEXT "@host:+1", "port"},
        {TEXT "@host:07", "port"},
        {TEXT "@host:7433 ", "port"},
        {TEXT "@::1", "brackets"},
        {TEXT "@2001:db8::1:7433", "brackets"},
        {TEXT "@[::1", "not closed"},
        {TEXT "@[]", "IPv6"},
        {TEXT "@[host]", "IPv6"},
        {TEXT "@[10.0.0.1]", "IPv6"},
        {TEXT "@[::1%]", "IPv6"},
        {TEXT "@[::1]7433", "port"},
        {TEXT "@[::1]:", "port"},
    };
    struct peer_address a;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_code(ECRDT_EINVAL, peer_address_parse(&a, rows[i].text));
        if (!strstr(ecrdt_errmsg(), rows[i].why))
            fail_msg("%s: %s", rows[i].text, ecrdt_errmsg());
    }
}

static void the_longest_host(void **state) {
    (void)state;
    char text[512];
    struct peer_address a;
    char host[PEER_HOST_MAX + 2];
    memset(host, 'h', sizeof host);
    host[PEER_HOST_MAX] = 0;
    snprintf(text, sizeof text, TEXT "@%s:9", host);
    assert_ok(peer_address_parse(&a, text));
    assert_string_equal(a.host, host);
    host[PEER_HOST_MAX] = 'h';
    host[PEER_HOST_MAX + 1] = 0;
    snprintf(text, sizeof text, TEXT "@%s:9", host);
    assert_code(ECRDT_EINVAL, peer_address_parse(&a, text));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_a_seed),
        cmocka_unit_test(file_round_trip),
        cmocka_unit_test(a_key_is_never_overwritten),
        cmocka_unit_test(missing_places),
        cmocka_unit_test(created_in_the_working_folder),
        cmocka_unit_test(open_modes_are_refused),
        cmocka_unit_test(malformed_files_are_refused),
        cmocka_unit_test(key_text_is_strict),
        cmocka_unit_test(secrets_are_not_echoed),
        cmocka_unit_test(good_addresses),
        cmocka_unit_test(bad_addresses),
        cmocka_unit_test(the_longest_host),
    };
    return TEST_RUN_WITH(tests, setup, teardown);
}
