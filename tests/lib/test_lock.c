/* test_lock.c: the writer lock between processes and threads: killed, stopped
 * and forked holders, waiters, left-over files. */
#include "tests/lib/scratch.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct os_lock *lock;

static struct os_lock *open_lock(void) {
    struct os_lock *l;
    assert_ok(os_lock_open(dir, "lock.ecrdt", 0660, &l));
    return l;
}

static int setup(void **state) {
    scratch_make(state);
    lock = open_lock();
    return 0;
}

static int teardown(void **state) {
    os_lock_close(lock);
    return scratch_remove(state);
}

static void taken_once(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_ok(os_lock_take(lock, 0, dir));
        os_lock_give(lock);
    }
    assert_ok(os_lock_take(lock, 1000, dir));
    uint64_t begin = now_ms();
    assert_code(ECRDT_EBUSY, os_lock_take(lock, 0, dir));
    assert_in_range(now_ms() - begin, 0, 40);
    assert_code(ECRDT_EBUSY, os_lock_take(lock, 60, dir));
    assert_in_range(now_ms() - begin, 59, 1000);
    kit_says(dir);
    kit_says("this process itself"); /* this thread holds it */
    os_lock_give(lock);
}

/* ---- other processes ------------------------------------------------------
 */

/* Takes the lock, says so, and gives it back when it hears something. */
static int hold(int up, int down, void *arg) {
    struct os_lock *l;
    (void)arg;
    must(os_lock_open(dir, "lock.ecrdt", 0660, &l) == 0);
    must(os_lock_take(l, 5000, dir) == 0);
    kit_say(up);
    kit_hear(down);
    os_lock_give(l);
    os_lock_close(l);
    return 0;
}

static void says_who(pid_t pid, const char *state) {
    char who[64];
    snprintf(who, sizeof who, "pid %d (", (int)pid);
    kit_says(who);
    kit_says(state);
    kit_says(" s; try again");
}

static void holder_is_named(void **state) {
    (void)state;
    struct kit_proc p = kit_start(hold, NULL);
    usleep(150000);
    assert_code(ECRDT_EBUSY, os_lock_take(lock, 10, dir));
    says_who(p.pid, "running");
    const char *text = strstr(ecrdt_errmsg(), "for ");
    assert_non_null(text); /* ... for 0.2 s */
    assert_in_range((int)(atof(text + 4) * 10), 1, 9);
    kit_say(p.down);
    assert_int_equal(kit_end(&p, 0), 0);
    assert_ok(os_lock_take(lock, 0, dir));
    os_lock_give(lock);
}

static void stopped_holder_is_named(void **state) {
    (void)state;
    struct kit_proc p = kit_start(hold, NULL);
    int status;
    assert_int_equal(kill(p.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(p.pid, &status, WUNTRACED), p.pid);
    assert_true(WIFSTOPPED(status));
    assert_code(ECRDT_EBUSY, os_lock_take(lock, 20, dir));
    says_who(p.pid, "stopped: continue or kill it");
    assert_int_equal(kill(p.pid, SIGCONT), 0);
    kit_say(p.down);
    assert_ok(os_lock_take(lock, 5000, dir));
    os_lock_give(lock);
    assert_int_equal(kit_end(&p, 0), 0);
}

static void killed_holder_leaves_it_free(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct kit_proc p = kit_start(hold, NULL);
        assert_int_equal(kit_end(&p, SIGKILL), 1000 + SIGKILL);
        assert_ok(os_lock_take(lock, 0, dir));
        os_lock_give(lock);
    }
}

/* A name that would confuse who splits /proc/PID/stat at blanks. */
static int hold_oddly_named(int up, int down, void *arg) {
    int fd = open("/proc/self/comm", O_WRONLY);
    must(write(fd, "a) T 1 (b", 9) == 9);
    close(fd);
    return hold(up, down, arg);
}

static void any_name_is_read(void **state) {
    (void)state;
    struct kit_proc p = kit_start(hold_oddly_named, NULL);
    assert_code(ECRDT_EBUSY, os_lock_take(lock, 0, dir));
    says_who(p.pid, "(a) T 1 (b, running)");
    kit_end(&p, SIGKILL);
}

/* ---- waiters --------------------------------------------------------------
 */

static void *wait_for_it(void *arg) {
    int *got = arg;
    *got = os_lock_take(lock, 20000, dir);
    if (*got == 0)
        os_lock_give(lock);
    return NULL;
}

static int wait_in_process(int up, int down, void *arg) {
    struct os_lock *l;
    (void)down;
    (void)arg;
    must(os_lock_open(dir, "lock.ecrdt", 0660, &l) == 0);
    kit_say(up);
    return os_lock_take(l, 700, dir) != 0;
}

static bool waiters_become(uint32_t n) {
    for (int i = 0; i < 2000 && os_lock_waiters(lock) != n; i++)
        usleep(1000);
    return os_lock_waiters(lock) == n;
}

static void waiters_are_counted(void **state) {
    (void)state;
    pthread_t thread[3];
    int got[3];
    assert_int_equal(os_lock_waiters(lock), 0);
    assert_ok(os_lock_take(lock, 0, dir));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, wait_for_it, &got[i]),
                         0);
    assert_true(waiters_become(3));
    struct kit_proc p = kit_start(wait_in_process, NULL);
    assert_true(waiters_become(4));
    kit_end(&p, SIGKILL); /* forgotten when it would have given up */
    assert_int_equal(os_lock_waiters(lock), 4);
    assert_true(waiters_become(3));
    os_lock_give(lock);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(got[i], 0);
    }
    assert_int_equal(os_lock_waiters(lock), 0);
}

static void watchers_are_counted(void **state) {
    (void)state;
    struct os_lock *other = open_lock();
    assert_false(os_lock_watched(lock));
    os_lock_watch(other, true);
    os_lock_watch(other, true);
    os_lock_watch(other, false);
    assert_true(os_lock_watched(lock));
    os_lock_watch(other, false);
    assert_false(os_lock_watched(lock));
    os_lock_close(other);
}

/* ---- left-over files ------------------------------------------------------
 */

/* What a machine that went down, or a copy of the folder, leaves: the bytes
 * of a lock that somebody holds, and nobody who does. */
static void file_of_a_held_lock(void **state) {
    (void)state;
    size_t len;
    const char *file = path_join(dir, "lock.ecrdt");
    assert_ok(os_lock_take(lock, 0, dir));
    char *bytes = file_read(file, &len);
    os_lock_give(lock);
    os_lock_close(lock);
    file_write(file, bytes, len);
    lock = open_lock();
    assert_ok(os_lock_take(lock, 0, dir));
    os_lock_give(lock);
    os_lock_close(lock);
    memset(bytes, 0xff, len);
    file_write(file, bytes, len);
    lock = open_lock();
    assert_ok(os_lock_take(lock, 0, dir));
    os_lock_give(lock);
    os_lock_close(lock);
    file_write(file, "x", 1);
    lock = open_lock();
    assert_ok(os_lock_take(lock, 0, dir));
    os_lock_give(lock);
    free(bytes);
}

/* While others use it, it is joined, not made anew. */
static void file_in_use_is_joined(void **state) {
    (void)state;
    struct kit_proc p = kit_start(hold, NULL);
    struct os_lock *other = open_lock();
    assert_code(ECRDT_EBUSY, os_lock_take(other, 0, dir));
    says_who(p.pid, "running");
    os_lock_close(other);
    kit_end(&p, SIGKILL);
}

/* Stopped in the middle of making it: an error after a time, no hang. */
static void maker_that_does_not_go_on(void **state) {
    (void)state;
    struct os_lock *other;
    os_lock_close(lock);
    int fd = open(path_join(dir, "lock.ecrdt"), O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    uint64_t begin = now_ms();
    assert_code(ECRDT_EBUSY, os_lock_open(dir, "lock.ecrdt", 0660, &other));
    kit_says("does not go on");
    assert_in_range(now_ms() - begin, 3000, 20000);
    close(fd);
    lock = open_lock();
}

static void file_that_cannot_be(void **state) {
    (void)state;
    struct os_lock *other;
    assert_code(ECRDT_ENOENT,
                os_lock_open(path_join(dir, "no"), "lock.ecrdt", 0660, &other));
    assert_null(other);
    assert_int_equal(mkdir(path_join(dir, "folder"), 0700), 0);
    assert_true(os_lock_open(dir, "folder", 0660, &other) < 0);
    assert_null(other);
    os_lock_close(NULL);
}

/* ---- fork -----------------------------------------------------------------
 */

static int child_of_holder(void *arg) {
    struct os_lock *own;
    os_lock_close(arg); /* what it inherited */
    must(os_lock_open(dir, "lock.ecrdt", 0660, &own) == 0);
    must(os_lock_take(own, 50, dir) == ECRDT_EBUSY);
    char who[32];
    snprintf(who, sizeof who, "pid %d (", (int)getppid());
    must(strstr(ecrdt_errmsg(), who));
    os_lock_close(own);
    return 0;
}

static void child_does_not_hold_what_its_parent_holds(void **state) {
    (void)state;
    assert_ok(os_lock_take(lock, 0, dir));
    assert_int_equal(kit_child(child_of_holder, lock), 0);
    assert_code(ECRDT_EBUSY, os_lock_take(lock, 0, dir)); /* still ours */
    os_lock_give(lock);
    assert_ok(os_lock_take(lock, 0, dir));
    os_lock_give(lock);
}

/* ---- many -----------------------------------------------------------------
 */

enum { THREADS = 3, PROCESSES = 3, ROUNDS = 400 };

struct counters { /* each round adds 1 to both, in two steps */
    volatile long a, b;
};

static void rounds(struct os_lock *l, struct counters *c) {
    for (int i = 0; i < ROUNDS; i++) {
        must(os_lock_take(l, 20000, dir) == 0);
        long a = c->a, b = c->b;
        must(a == b);
        c->a = a + 1;
        if (i % 50 == 0)
            usleep(20);
        c->b = b + 1;
        os_lock_give(l);
    }
}

static struct counters *map_counters(void) {
    int fd = open(path_join(dir, "counters"), O_RDWR | O_CREAT, 0600);
    must(fd >= 0 && ftruncate(fd, sizeof(struct counters)) == 0);
    struct counters *c =
        mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(c != MAP_FAILED);
    close(fd);
    return c;
}

static int rounds_in_process(int up, int down, void *arg) {
    struct os_lock *l;
    (void)arg;
    kit_say(up);
    must(kit_hear(down));
    must(os_lock_open(dir, "lock.ecrdt", 0660, &l) == 0);
    rounds(l, map_counters());
    os_lock_close(l);
    return 0;
}

static void *rounds_in_thread(void *arg) {
    rounds(lock, arg);
    return NULL;
}

static void many_threads_and_processes(void **state) {
    (void)state;
    struct kit_proc p[PROCESSES];
    pthread_t thread[THREADS];
    struct counters *c = map_counters();
    for (int i = 0; i < PROCESSES; i++)
        p[i] = kit_start(rounds_in_process, NULL);
    for (int i = 0; i < PROCESSES; i++)
        kit_say(p[i].down);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, rounds_in_thread, c),
                         0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(kit_end(&p[i], 0), 0);
    assert_int_equal(c->a, ROUNDS * (THREADS + PROCESSES));
    assert_int_equal(c->b, c->a);
    munmap(c, sizeof *c);
}

/* All open a lock that does not exist yet, again and again. */
static void made_by_many_at_once(void **state) {
    (void)state;
    for (int i = 0; i < 30; i++) {
        struct kit_proc p[PROCESSES];
        os_lock_close(lock);
        unlink(path_join(dir, "lock.ecrdt"));
        unlink(path_join(dir, "counters"));
        struct counters *c = map_counters();
        for (int k = 0; k < PROCESSES; k++)
            p[k] = kit_start(rounds_in_process, NULL);
        for (int k = 0; k < PROCESSES; k++)
            kit_say(p[k].down);
        for (int k = 0; k < PROCESSES; k++)
            assert_int_equal(kit_end(&p[k], 0), 0);
        assert_int_equal(c->b, ROUNDS * PROCESSES);
        munmap(c, sizeof *c);
        lock = open_lock();
    }
}

#define with_lock(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        with_lock(taken_once),
        with_lock(holder_is_named),
        with_lock(stopped_holder_is_named),
        with_lock(killed_holder_leaves_it_free),
        with_lock(any_name_is_read),
        with_lock(waiters_are_counted),
        with_lock(watchers_are_counted),
        with_lock(file_of_a_held_lock),
        with_lock(file_in_use_is_joined),
        with_lock(maker_that_does_not_go_on),
        with_lock(file_that_cannot_be),
        with_lock(child_does_not_hold_what_its_parent_holds),
        with_lock(many_threads_and_processes),
        with_lock(made_by_many_at_once),
    };
    return TEST_RUN(tests);
}
