/* test_config.c: the configuration file: what it gives, and each mistake with
 * its line. */
#include "replication/relay/config.h"
#include "tests/support/test.h"

#define KEY  "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY2 "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"
#define BASE "store = \"/s\"\nkey_file = \"/k\"\n"

static int load(struct config *c, const char *text) {
    char *dir = tmpdir_make();
    const char *path = path_join(dir, "conf");
    file_write(path, text, strlen(text));
    int rc = config_load(c, path);
    tmpdir_remove(dir);
    return rc;
}

static void everything_is_read(void **state) {
    struct config c;
    (void)state;
    assert_ok(load(&c, BASE
                   "realm = \"r\"\nname = \"n\"\nrole = \"core\"\n"
                   "listen = {\"[::]:7433\", \"1.2.3.4:80\"}\n"
                   "listen += {\"*:9\"}\n"
                   "max_links = 5\ndrain_timeout = 7\nlog_level = \"debug\"\n"
                   "gc_retention = 90\ngc_interval = 2\ngc_budget = 30\n"
                   "log_format = \"logfmt\"\n"
                   "peer \"a\" { address = \"h\" key = \"" KEY "\" }\n"
                   "peer \"b\" { key = \"" KEY2 "\" }\n"));
    assert_string_equal(c.store, "/s");
    assert_string_equal(c.key_file, "/k");
    assert_string_equal(c.realm, "r");
    assert_string_equal(c.name, "n");
    assert_int_equal(c.role, PEER_CORE);
    assert_int_equal(c.n_listen, 3);
    assert_string_equal(c.listen[0].host, "::");
    assert_int_equal(c.listen[1].port, 80);
    assert_string_equal(c.listen[2].host, "");
    assert_int_equal(c.max_links, 5);
    assert_int_equal(c.drain_timeout_ms, 7000);
    assert_int_equal(c.gc_retention_ms, 90000);
    assert_int_equal(c.gc.interval_ms, 2000);
    assert_int_equal(c.gc.budget_ms, 30);
    assert_int_equal(c.log_level, ECRDT_LOG_DEBUG);
    assert_int_equal(c.n_peers, 2);
    assert_string_equal(c.peers[0].address.host, "h");
    assert_int_equal(c.peers[0].address.port, PEER_PORT_DEFAULT);
    assert_string_equal(c.peers[1].name, "b");
    assert_string_equal(c.peers[1].address.host, "");
    assert_int_equal(c.peers[1].key[31], 1);
    config_free(&c);
}

static void little_is_needed(void **state) {
    struct config c;
    (void)state;
    assert_ok(load(&c, BASE));
    assert_string_equal(c.realm, "default");
    assert_true(strlen(c.name) > 0);
    assert_int_equal(c.role, PEER_EDGE);
    assert_int_equal(c.max_links, NODE_LINKS_MAX);
    assert_int_equal(c.drain_timeout_ms, CONFIG_DRAIN_DEFAULT_S * 1000);
    assert_int_equal(c.gc_retention_ms, -1);
    assert_int_equal(c.gc.interval_ms, COLLECT_INTERVAL_S * 1000);
    assert_int_equal(c.gc.budget_ms, COLLECT_BUDGET_MS);
    assert_int_equal(c.n_listen + c.n_peers, 0);
    config_free(&c);
}

static void mistakes_are_named_with_their_line(void **state) {
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"store = \"/s\"\n", ":1: key_file"},
        {"\nkey_file = \"/s\"\n", ":2: store"},
        {BASE "lisen = {\"x\"}\n", ":3: no such option 'lisen'"},
        {BASE "\nrole = \"boss\"\n", ":4: role is"},
        {BASE "listen = {\"7433\"}\n", ":3: \"7433\""},
        {BASE "listen = {\"h:99999\"}\n", ":3: \"99999\""},
        {BASE "listen = {\"::1:80\"}\n", ":3: \"::1:80\""},
        {BASE "max_links = 0\n", ":3: max_links"},
        {BASE "drain_timeout = 99999\n", ":3: drain_timeout"},
        {BASE "gc_retention = -2\n", ":3: gc_retention is 0 to"},
        {BASE "gc_interval = 0\n", ":3: gc_interval is 1 to"},
        {BASE "gc_budget = 9999999999\n", ":3: gc_budget"},
        {BASE "log_level = \"loud\"\n", ":3: log_level"},
        {BASE "log_format = \"json\"\n", ":3: log_format"},
        {BASE "name = \"\"\n", ":3: name"},
        {BASE "peer \"a\" { }\n", ":3: peer \"a\" needs a key"},
        {BASE "peer \"a\" {\n key = \"x\"\n}\n", ":4: "},
        {BASE "peer \"a\" {\n key = \"" KEY "\"\n address = \"h:x\"\n}\n",
         ":5: \"h:x\""},
        {BASE "peer \"a\" { key = \"" KEY "\" }\npeer \"a\" { key = \"" KEY2
              "\" }\n",
         "duplicate title 'a'"},
        {BASE "peer \"a\" { key = \"" KEY "\" }\npeer \"b\" { key = \"" KEY
              "\" }\n",
         "peer \"b\" has the key of peer \"a\""},
        {BASE "subscribe \"\" { }\n", ":3: a bucket's name"},
        {BASE "subscribe \"b\" { prefixes = {\"\"} }\n", "prefix of 0"},
        {BASE "subscribe \"b\" { }\nsubscribe \"b\" { }\n", "duplicate"},
        {BASE "subscribe_others = \"some\"\n", ":3: subscribe_others"},
        {BASE "store = {\n", ":3: "},
        {"\"", ":1: "},
        {"store = /\"\"s\x02+x\n", ":"}, /* libconfuse says nothing */
        {BASE "peer \"a\" {\n key = \"" KEY "\"\n",
         ":4: peer \"a\" has no closing }"},
        {BASE "subscribe \"b\" {", ":3: subscribe \"b\" has no closing }"},
        {BASE "/* peers:\n", ":3: a comment has no end"},
        {BASE "store = \"/x\"\n", ":3: store is set a second time"},
        {BASE "max_links = 1\n\nmax_links = 1\n", ":5: max_links is set a"},
        {BASE "listen = {\"h:1\", \"h:2\"}\nlisten = {\"h:3\"}\n",
         ":4: listen is set a second time: keep one of the two, or add to it "
         "with +="},
        {BASE "peer \"a\" {\n key = \"" KEY "\"\n key = \"" KEY2 "\"\n}\n",
         ":5: key is set a second time"},
        {BASE "subscribe \"b\" {\n prefixes = {\"a\", \"b\"}\n prefixes = "
              "{\"c\"}\n}\n",
         ":5: prefixes is set a second time"},
        {BASE "include(\"/\")\n", ":3: cannot include /: it is a folder"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;
        assert_code(ECRDT_EINVAL, load(&c, cases[i].text));
        if (!strstr(ecrdt_errmsg(), cases[i].says))
            fail_msg("%s: %s", cases[i].says, ecrdt_errmsg());
        config_free(&c);
    }
}

static void what_is_held(void **state) {
    struct config c;
    char words[100];
    (void)state;
    assert_ok(load(&c, BASE));
    assert_false(c.has_holds);
    config_free(&c);
    assert_ok(load(&c, BASE "subscribe \"z\" { }\nsubscribe \"b\" { "
                            "prefixes = {\"y/\", \"x/\", \"x/1\"} }\n"));
    assert_true(c.has_holds);
    subscription_text(words, sizeof words, &c.holds);
    assert_string_equal(words, "b: x/ y/, z: all, others: nothing");
    config_free(&c);
    assert_ok(load(&c, BASE "subscribe_others = \"all\"\n"));
    assert_true(c.has_holds && subscription_whole(&c.holds));
    config_free(&c);
}

static void missing_files_are_named(void **state) {
    struct config c;
    (void)state;
    assert_code(ECRDT_ENOENT, config_load(&c, "/nonexistent/conf"));
    assert_non_null(strstr(ecrdt_errmsg(), "/nonexistent/conf"));
    config_free(&c);
    assert_true(config_load(&c, "/") < 0);
    assert_non_null(strstr(ecrdt_errmsg(), "configuration /"));
    config_free(&c);
}

/* Whatever it ends with, the last line counts. */
static void the_last_line_counts(void **state) {
    static const char *const ends[] = {"", "\n", " # done", "\n/* done */"};
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct config c;
        char text[200];
        snprintf(text, sizeof text, "%smax_links = 5%s", BASE, ends[i]);
        assert_ok(load(&c, text));
        assert_int_equal(c.max_links, 5);
        config_free(&c);
    }
}

static void too_many_listeners_are_refused(void **state) {
    struct config c;
    char text[2000] = BASE "listen = {";
    (void)state;
    for (int i = 0; i < RELAY_LISTEN_MAX; i++)
        strcat(text, i ? ", \"h:1\"" : "\"h:1\"");
    size_t n = strlen(text);
    strcat(text, "}\n");
    assert_ok(load(&c, text));
    config_free(&c);
    strcpy(text + n, ", \"h:1\"}\n");
    assert_code(ECRDT_EINVAL, load(&c, text));
    config_free(&c);
}

static void some_changes_need_a_restart(void **state) {
    struct config a, b;
    (void)state;
    assert_ok(load(&a, BASE "name = \"n\"\n"));
    assert_ok(load(&b, BASE "name = \"n\"\nlog_level = \"debug\"\n"
                            "listen = {\":1\"}\n"));
    assert_null(config_needs_restart(&a, &b));
    config_free(&b);
    assert_ok(load(&b, "store = \"/x\"\nkey_file = \"/k\"\nname = \"n\"\n"));
    assert_string_equal(config_needs_restart(&a, &b), "store");
    config_free(&b);
    assert_ok(load(&b, BASE "name = \"n\"\nrealm = \"x\"\n"));
    assert_string_equal(config_needs_restart(&a, &b), "realm");
    config_free(&b);
    assert_ok(load(&b, BASE "name = \"m\"\n"));
    assert_string_equal(config_needs_restart(&a, &b), "name");
    config_free(&b);
    config_free(&a);
}

static void the_shipped_example_is_good(void **state) {
    struct config c;
    (void)state;
    assert_ok(config_load(&c, "packaging/edgecrdtd.conf.example"));
    assert_string_equal(c.store, "/var/lib/edgecrdt/main");
    config_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(little_is_needed),
        cmocka_unit_test(mistakes_are_named_with_their_line),
        cmocka_unit_test(what_is_held),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(the_last_line_counts),
        cmocka_unit_test(too_many_listeners_are_refused),
        cmocka_unit_test(some_changes_need_a_restart),
        cmocka_unit_test(the_shipped_example_is_good),
    };
    return TEST_RUN(tests);
}
