/* test_notify.c: the datagrams that a service manager gets. */
#include "replication/relay/notify.h"
#include "tests/support/test.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fd;
static struct sockaddr_un sa;

/* A socket of the manager, in the abstract namespace. */
static int setup(void **state) {
    char name[64];
    (void)state;
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    int n = snprintf(name, sizeof name, "@edgecrdt-test-%ld", (long)getpid());
    sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(sa.sun_path + 1, name + 1, (size_t)n - 1);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&sa,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
        0);
    setenv("NOTIFY_SOCKET", name, 1);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    close(fd);
    return 0;
}

static const char *received(void) {
    static char text[2048];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void messages_arrive(void **state) {
    (void)state;
    notify_send("READY=1\nSTATUS=%d peers", 3);
    assert_string_equal(received(), "READY=1\nSTATUS=3 peers");
    notify_reloading();
    assert_int_equal(strncmp(received(), "RELOADING=1\nMONOTONIC_USEC=", 27),
                     0);
}

static void without_a_manager_nothing_happens(void **state) {
    (void)state;
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    notify_send("READY=1");
    setenv("NOTIFY_SOCKET", "relative", 1);
    notify_send("READY=1");
    unsetenv("NOTIFY_SOCKET");
    notify_send("READY=1");
    assert_string_equal(received(), "");
}

static void the_watchdog_is_fed_in_time(void **state) {
    char pid[32];
    (void)state;
    assert_int_equal(notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(notify_watchdog_ms(), 15000);
    setenv("WATCHDOG_PID", "1", 1); /* meant for another process */
    assert_int_equal(notify_watchdog_ms(), 0);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(notify_watchdog_ms(), 15000);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_manager_nothing_happens,
                                        setup, teardown),
        cmocka_unit_test(the_watchdog_is_fed_in_time),
    };
    return TEST_RUN(tests);
}
