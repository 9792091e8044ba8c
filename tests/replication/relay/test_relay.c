/* test_relay.c: exit statuses of checks and of failed starts, and how a reload
 * stands to writers; more of a running relay is in tests/net/operator.sh. */
#include "replication/relay/relay.h"
#include "tests/support/test.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *dir;

static int setup(void **state) {
    uint8_t seed[32] = {1};
    (void)state;
    dir = tmpdir_make();
    assert_ok(identity_create(path_join(dir, "key"), seed));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    tmpdir_remove(dir);
    return 0;
}

/* A configuration in dir with one more line. */
static const char *conf(const char *key, const char *line) {
    static char path[512];
    static char text[1 << 20];
    snprintf(path, sizeof path, "%s", path_join(dir, "conf"));
    int n = snprintf(text, sizeof text,
                     "store = \"%s/store\"\nkey_file = \"%s/%s\"\n%s\n", dir,
                     dir, key, line);
    file_write(path, text, (size_t)n);
    return path;
}

/* A peer with the key of the node itself. */
static const char *own_key(void) {
    static char line[128];
    struct identity self;
    char key[IDENTITY_TEXT];
    assert_ok(identity_load(&self, path_join(dir, "key")));
    snprintf(line, sizeof line, "peer \"me\" { key = \"%s\" }",
             identity_text(key, self.pk));
    identity_free(&self);
    return line;
}

static void checks_change_nothing(void **state) {
    (void)state;
    assert_int_equal(relay_check(conf("key", "")), RELAY_OK);
    assert_int_equal(access(path_join(dir, "store"), F_OK), -1);
    assert_int_equal(relay_check(conf("key", "nonsense")), RELAY_CONFIG);
    assert_int_equal(relay_check(conf("none", "")), RELAY_CONFIG);
    assert_int_equal(relay_check("/nonexistent"), RELAY_CONFIG);
    assert_int_equal(relay_check(conf("key", own_key())), RELAY_CONFIG);
    assert_non_null(strstr(ecrdt_errmsg(), "peer \"me\" has the key of this"));
    chmod(path_join(dir, "key"), 0644);
    assert_int_equal(relay_check(conf("key", "")), RELAY_NOPERM);
}

static void failed_starts_have_their_status(void **state) {
    (void)state;
    assert_int_equal(relay_run(conf("key", "role = \"x\"")), RELAY_CONFIG);
    assert_int_equal(relay_run(conf("key", "listen = {\"203.0.113.9:1\"}")),
                     RELAY_UNAVAILABLE);
    tmpdir_remove(dir);
    dir = tmpdir_make();
    uint8_t seed[32] = {1};
    assert_ok(identity_create(path_join(dir, "key"), seed));
    file_write(path_join(dir, "store"), "no folder", 9);
    assert_int_equal(relay_run(conf("key", "")), RELAY_IO);
}

/* ---- a running relay ---- */

static pid_t pid;

static void run(const char *path) {
    pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return;
    sigset_t none; /* the end of an earlier relay in this process blocks all */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int log = open(path_join(dir, "log"), O_CREAT | O_WRONLY | O_APPEND, 0600);
    _exit(dup2(log, 2) < 0 ? 99 : relay_run(path));
}

static bool logged(const char *text) {
    size_t len;
    if (access(path_join(dir, "log"), F_OK) < 0)
        return false;
    char *all = file_read(path_join(dir, "log"), &len);
    bool found = strstr(all, text) != NULL;
    free(all);
    return found;
}

static void await(const char *text) {
    uint64_t until = now_ms() + 20000;
    while (!logged(text)) {
        if (now_ms() > until) {
            size_t len;
            fail_msg("the relay did not log: %s, but %s", text,
                     file_read(path_join(dir, "log"), &len));
        }
        usleep(2000);
    }
}

static int stop(void **state) {
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    pid = 0;
    return teardown(state);
}

/* While a function has the writer lock the relay goes on, and takes the
 * configuration over behind it. */
static void a_reload_waits_for_writers_by_the_way(void **state) {
    (void)state;
    run(conf("key", ""));
    await("msg=\"ready\"");
    ecrdt_store *s = assert_handle(ecrdt_open(path_join(dir, "store"), NULL));
    ecrdt_txn *t = assert_handle(ecrdt_write(s));
    conf("key", "subscribe \"b\" { prefixes = {\"a/\"} }\ngc_retention = 77");
    assert_int_equal(kill(pid, SIGHUP), 0);
    await("the configuration waits for a writer");
    assert_int_equal(kill(pid, SIGUSR1), 0);
    await("msg=\"relay state\"");
    assert_false(logged("configuration\" "));
    ecrdt_abort(t);
    await("msg=\"read the configuration\"");
    uint64_t retention;
    assert_ok(ecrdt_setting_get(s, ECRDT_GC_RETENTION_MS, &retention));
    assert_int_equal(retention, 77000);
    assert_ok(ecrdt_close(s));
}

static uint16_t free_port(void) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static bool listens(uint16_t port) {
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool did = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return did;
}

/* A configuration of more prefixes than a store takes: nothing else of it is
 * taken either. */
static void a_reload_is_all_or_nothing(void **state) {
    enum { PREFIXES = 1000, BUCKETS = 2 };
    static char line[PREFIXES * BUCKETS * 200];
    uint16_t port = free_port();
    uint64_t was, is;
    int n;
    (void)state;
    run(conf("key", ""));
    await("msg=\"ready\"");
    ecrdt_store *s = assert_handle(ecrdt_open(path_join(dir, "store"), NULL));
    assert_ok(ecrdt_setting_get(s, ECRDT_GC_RETENTION_MS, &was));
    n = sprintf(line, "gc_retention = 77\nlisten = {\"127.0.0.1:%u\"}\n", port);
    for (int b = 0; b < BUCKETS; b++) {
        n += sprintf(line + n, "subscribe \"b%d\" { prefixes = {", b);
        for (int i = 0; i < PREFIXES; i++)
            n += sprintf(line + n, "%s\"%0180d\"", i ? "," : "", i);
        n += sprintf(line + n, "} }\n");
    }
    conf("key", line);
    assert_int_equal(kill(pid, SIGHUP), 0);
    await("msg=\"kept the old configuration\"");
    assert_true(logged("so many prefixes"));
    assert_false(listens(port));
    assert_ok(ecrdt_setting_get(s, ECRDT_GC_RETENTION_MS, &is));
    assert_int_equal(was, is);
    *strstr(line, "subscribe") = 0;
    conf("key", line);
    assert_int_equal(kill(pid, SIGHUP), 0);
    await("msg=\"read the configuration\"");
    assert_true(listens(port));
    assert_ok(ecrdt_close(s));
}

/* However many came before. */
static void each_reload_has_an_answer(void **state) {
    char line[64];
    (void)state;
    run(conf("key", ""));
    await("msg=\"ready\"");
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof line, "log_level = \"loud%d\"", i);
        conf("key", line);
        assert_int_equal(kill(pid, SIGHUP), 0);
        snprintf(line, sizeof line, "loud%d", i);
        await(line);
    }
    conf("key", own_key());
    assert_int_equal(kill(pid, SIGHUP), 0);
    await("peer \\\"me\\\" has the key of this node");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(checks_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_starts_have_their_status, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_reload_waits_for_writers_by_the_way,
                                        setup, stop),
        cmocka_unit_test_setup_teardown(a_reload_is_all_or_nothing, setup,
                                        stop),
        cmocka_unit_test_setup_teardown(each_reload_has_an_answer, setup, stop),
    };
    return TEST_RUN(tests);
}
