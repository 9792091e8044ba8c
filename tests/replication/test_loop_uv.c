/* test_loop_uv.c: the table over the real world: timers, sockets, signals,
 * a watched file, a call from another thread. */
#include "replication/loop.h"
#include "tests/support/test.h"
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static struct loop *l;

static int setup(void **state) {
    (void)state;
    assert_ok(loop_uv_open(&l, true));
    return 0;
}

static int teardown(void **state) {
    (void)state;
    l->t->close(l);
    return 0;
}

static void stop(void *ctx) {
    (void)ctx;
    l->t->stop(l);
}

static void count(void *ctx) {
    ++*(int *)ctx;
}

static void timers_fire_once_in_order(void **state) {
    struct loop_handle *a, *b;
    int early = 0;
    (void)state;
    assert_ok(l->t->timer_new(l, count, &early, &a));
    assert_ok(l->t->timer_new(l, stop, NULL, &b));
    l->t->timer_set(a, 1000); /* replaced */
    l->t->timer_set(a, 5);
    l->t->timer_set(b, 40);
    uint64_t begin = l->t->now_ms(l);
    l->t->run(l);
    assert_in_range(l->t->now_ms(l) - begin, 39, 2000);
    assert_int_equal(early, 1);
    l->t->handle_free(a);
    l->t->handle_free(b);
    l->t->handle_free(NULL);
}

static void signals_are_caught(void **state) {
    struct loop_handle *s;
    (void)state;
    assert_ok(l->t->signal_new(l, SIGUSR2, stop, NULL, &s));
    kill(getpid(), SIGUSR2);
    l->t->run(l);
    l->t->handle_free(s);
}

static void written_files_are_noticed(void **state) {
    char *dir = tmpdir_make();
    const char *path = path_join(dir, "f");
    struct loop_handle *w;
    (void)state;
    assert_code(ECRDT_ENOENT, l->t->watch_new(l, path, stop, NULL, &w));
    file_write(path, "a", 1);
    assert_ok(l->t->watch_new(l, path, stop, NULL, &w));
    file_write(path, "b", 1);
    l->t->run(l);
    l->t->handle_free(w);
    tmpdir_remove(dir);
}

static void *send_async(void *a) {
    l->t->async_send(a);
    return NULL;
}

static void threads_may_wake_the_loop(void **state) {
    struct loop_handle *a;
    pthread_t t;
    (void)state;
    assert_ok(l->t->async_new(l, stop, NULL, &a));
    pthread_create(&t, NULL, send_async, a);
    l->t->run(l);
    pthread_join(t, NULL);
    l->t->handle_free(a);
}

/* ---- sockets ---- */

struct end {
    struct loop_conn *c;
    struct buf in;
    bool opened;
    int drained, error;
    char sentence[256];
};
static struct end client, server;

static void on_opened(void *ctx) {
    ((struct end *)ctx)->opened = true;
    l->t->stop(l);
}
static void on_data(void *ctx, slice bytes) {
    struct end *e = ctx;
    buf_put(&e->in, bytes.data, bytes.len);
    l->t->stop(l);
}
static void on_drained(void *ctx) {
    ((struct end *)ctx)->drained++;
}
static void on_ended(void *ctx, int error, const char *sentence) {
    struct end *e = ctx;
    e->error = error ? error : 1;
    snprintf(e->sentence, sizeof e->sentence, "%s", sentence);
    l->t->stop(l);
}
static const struct loop_conn_events events = {on_opened, on_data, on_drained,
                                               on_ended};

static void on_accept(void *ctx, struct loop_conn *c, const char *address) {
    (void)ctx;
    assert_non_null(strstr(address, "127.0.0.1:"));
    server.c = c;
    l->t->conn_events(c, &events, &server);
    l->t->conn_read(c, true);
}

static void bytes_travel(void **state) {
    struct loop_listener *ln, *second;
    char bound[LOOP_ADDRESS_MAX + 1], other[LOOP_ADDRESS_MAX + 1];
    struct buf b = {0};
    (void)state;
    client = server = (struct end){0};
    assert_ok(l->t->listen(l, "127.0.0.1", 0, on_accept, NULL, bound, &ln));
    uint16_t port = (uint16_t)atoi(strrchr(bound, ':') + 1);
    assert_code(ECRDT_EIO, l->t->listen(l, "127.0.0.1", port, on_accept, NULL,
                                        other, &second));
    assert_ok(l->t->connect(l, "127.0.0.1", port, &events, &client, &client.c));
    while (!client.opened)
        l->t->run(l);
    buf_extend(&b, 300000);
    memset(b.data, 7, b.len);
    assert_ok(l->t->conn_write(client.c, &b));
    assert_int_equal(b.len, 0);
    assert_int_equal(l->t->conn_unsent(client.c), 300000);
    while (server.in.len < 300000)
        l->t->run(l);
    assert_int_equal(l->t->conn_unsent(client.c), 0);
    assert_int_equal(client.drained, 1);
    l->t->conn_close(client.c);
    while (!server.error)
        l->t->run(l);
    assert_int_equal(server.error, 1); /* an orderly end */
    l->t->conn_close(server.c);
    l->t->listener_close(ln);
    buf_free(&server.in);
}

/* Any answer but that there is no such address: nobody listens at port 1. */
static void names_are_looked_up(void **state) {
    struct addrinfo *found;
    (void)state;
    if (getaddrinfo("localhost", NULL, NULL, &found) != 0)
        skip(); /* a machine without /etc/hosts */
    freeaddrinfo(found);
    client = (struct end){0};
    assert_ok(l->t->connect(l, "localhost", 1, &events, &client, &client.c));
    while (!client.error)
        l->t->run(l);
    assert_non_null(strstr(client.sentence, "localhost:1"));
    assert_non_null(strstr(client.sentence, "refused"));
    l->t->conn_close(client.c);
}

static void failed_dials_say_why(void **state) {
    (void)state;
    client = (struct end){0};
    assert_ok(l->t->connect(l, "127.0.0.1", 1, &events, &client, &client.c));
    while (!client.error)
        l->t->run(l);
    assert_int_equal(client.error, ECRDT_EIO);
    assert_non_null(strstr(client.sentence, "127.0.0.1:1"));
    l->t->conn_close(client.c);
    client = (struct end){0};
    assert_ok(l->t->connect(l, "no.such.host.invalid", 1, &events, &client,
                            &client.c));
    while (!client.error)
        l->t->run(l);
    assert_non_null(strstr(client.sentence, "no.such.host.invalid"));
    l->t->conn_close(client.c);
    assert_ok(l->t->connect(l, "no.such.host.invalid", 1, &events, &client,
                            &client.c));
    l->t->conn_close(client.c); /* given up while it is looked up */
}

static void without_threads_lookups_fail_at_once(void **state) {
    struct loop *own;
    (void)state;
    assert_ok(loop_uv_open(&own, false));
    assert_code(ECRDT_EIO, own->t->connect(own, "no.such.host.invalid", 1,
                                           &events, &client, &client.c));
    own->t->close(own);
}

static void time_and_randomness(void **state) {
    uint8_t a[16] = {0}, b[16] = {0};
    (void)state;
    assert_true(l->t->wall_ms(l) > 1700000000000u);
    l->t->random(l, a, sizeof a);
    l->t->random(l, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_once_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(signals_are_caught, setup, teardown),
        cmocka_unit_test_setup_teardown(written_files_are_noticed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(threads_may_wake_the_loop, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bytes_travel, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_looked_up, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_dials_say_why, setup, teardown),
        cmocka_unit_test(without_threads_lookups_fail_at_once),
        cmocka_unit_test_setup_teardown(time_and_randomness, setup, teardown),
    };
    return TEST_RUN(tests);
}
