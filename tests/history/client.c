/* client.c: a function process of a history: it works on its node's store as
 * any function does, and writes down when it began and ended what, and what it
 * saw. docs/histories.md has the rules that the log must keep.
 *
 *     client STORE NODE.SLOT.LIFE FOLDER SEED PER_SECOND
 *     client STORE NODE.SLOT.LIFE FOLDER            reads everything once
 *     client now                                    tells the time of the log
 *
 * The log is FOLDER/NODE.SLOT.LIFE.log, one line for each event:
 *     MICROSECONDS PROCESS invoke|do|ok|fail|info WHAT ...
 * `do` stands before the commit and tells the receipt; a process that was
 * killed leaves an operation open. FOLDER/NODE.SLOT.cookie is the receipt of
 * its last write that others may wait for. SIGTERM ends it between two; SIGUSR1
 * kills it (SIGKILL) inside one, right before or behind its commit. */
#include "crdt/clocks.h"
#include "crdt/store.h"
#include "tests/support/support.h"
#include <edgecrdt.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 1 << 20,
    LOCK_MS = 250, /* less than some pauses */
    OPENS_MAX = 40,
    WAIT_MS = 1500,
    REG_KEYS = 6,
    MANY_AFTER = 24,
    MANY = 2100, /* a push has 2,000 items at most */
    LINGER_US = 3000,
    NODES = 9,
    ELEM = 96,
    HEX = 2 * sizeof(ecrdt_receipt) + 1
};

static const char *who, *folder;
static ecrdt_store *store;
static int log_fd;
static struct rng rng;
static volatile sig_atomic_t stopped, doomed;
static unsigned adds, pairs, regs; /* begun so far */

static void on_signal(int sig) {
    if (sig == SIGTERM)
        stopped = 1;
    else
        doomed = 1;
}

static _Noreturn void die(const char *what) {
    fprintf(stderr, "client %s: %s: %s, %s\n", who, what, ecrdt_errmsg(),
            strerror(errno));
    exit(2);
}

/* Of the machine, whatever the clock of this process is made to tell. */
static unsigned long long now_us(void) {
    struct timespec ts;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
    return (unsigned long long)ts.tv_sec * 1000000 +
           (unsigned long long)ts.tv_nsec / 1000;
}

/* ---- the log --------------------------------------------------------------
 */

static char line[LINE_MAX_BYTES];
static size_t line_len;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* More of the line. */
static void say(const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line + line_len, sizeof line - line_len, format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof line - line_len)
        die("a line of the log is too long");
    line_len += (size_t)n;
}

/* A line begins, and with it what happened at this moment. */
static void begin(const char *phase) {
    line_len = 0;
    say("%llu %s %s ", now_us(), who, phase);
}

/* One write: a process that is killed leaves no half of it. */
static void end(void) {
    say("\n");
    if (write(log_fd, line, line_len) != (ssize_t)line_len)
        die("log");
}

/* ---- writing --------------------------------------------------------------
 */

/* On both sides of a commit: where being killed or stopped hurts. */
static void linger(void) {
    if (doomed && rng_below(&rng, 2))
        raise(SIGKILL);
    if (!rng_below(&rng, 12))
        usleep((useconds_t)rng_below(&rng, LINGER_US));
}

static void failed(ecrdt_txn *t, const char *what) {
    ecrdt_abort(t);
    begin("fail");
    say("%s %s", what, ecrdt_errmsg());
    end();
}

static ecrdt_txn *write_begin(const char *what) {
    ecrdt_txn *t = ecrdt_write(store);
    if (!t)
        failed(NULL, what);
    return t;
}

static void hex_of(char out[HEX], const ecrdt_receipt *r) {
    for (size_t i = 0; i < sizeof r->b; i++)
        snprintf(out + 2 * i, 3, "%02x", r->b[i]);
}

/* The `do` line with its detail, and the commit: true if it is done. */
static bool commit(ecrdt_txn *t, const char *what, const char *bucket,
                   const char *detail, char hex[HEX]) {
    ecrdt_receipt r;
    if (ecrdt_receipt_of(t, bucket, &r) < 0) {
        failed(t, what);
        return false;
    }
    hex_of(hex, &r);
    begin("do");
    say("%s %s %s", what, hex, detail);
    end();
    linger();
    int rc = ecrdt_commit(t);
    linger();
    if (rc == 0)
        return true;
    begin(rc == ECRDT_EIO ? "info" : "fail");
    say("%s %s", what, ecrdt_errmsg());
    end();
    return false;
}

/* Leaves the receipt of a write where other processes find it. */
static void leave_cookie(const char *what, unsigned num, const char *hex) {
    char path[512], tmp[520], text[300];
    const char *dot = strrchr(who, '.');
    snprintf(path, sizeof path, "%s/%.*s.cookie", folder, (int)(dot - who),
             who);
    snprintf(tmp, sizeof tmp, "%s.new", path);
    int n = snprintf(text, sizeof text, "%s %s %u %s\n", who, what, num, hex);
    file_write(tmp, text, (size_t)n);
    if (rename(tmp, path) < 0)
        die(path);
}

static ecrdt_slice elem_of(char text[ELEM], const char *process, unsigned num) {
    snprintf(text, ELEM, "%s/%07u", process, num);
    return ecrdt_str(text);
}

/* One element; of some processes the 25th add is of more than a push holds,
 * which others see key by key. */
static void do_add(void) {
    char elem[ELEM], hex[HEX];
    unsigned n = adds == MANY_AFTER && strstr(who, ".0.") ? MANY : 1;
    begin("invoke");
    say("add %u %u", adds + 1, n);
    end();
    adds += n;
    ecrdt_txn *t = write_begin("add");
    if (!t)
        return;
    int rc = 0;
    for (unsigned i = adds - n + 1; i <= adds && rc >= 0; i++)
        rc = ecrdt_set_add(t, "adds", ECRDT_STR("all"), elem_of(elem, who, i));
    if (rc < 0)
        failed(t, "add");
    else if (commit(t, "add", "adds", "-", hex)) {
        begin("ok");
        say("add");
        end();
        leave_cookie("add", adds, hex);
    }
}

static void do_count(void) {
    char hex[HEX];
    int64_t by = 1 + (int64_t)rng_below(&rng, 9), view;
    begin("invoke");
    say("count %lld", (long long)by);
    end();
    ecrdt_txn *t = write_begin("count");
    if (!t)
        return;
    if (ecrdt_counter_add(t, "counts", ECRDT_STR("all"), by, &view) < 0)
        failed(t, "count");
    else if (commit(t, "count", "counts", "-", hex)) {
        begin("ok");
        say("count %lld", (long long)view);
        end();
    }
}

/* Two counters by the same amount, and an element that says so. */
static void do_pair(void) {
    char elem[ELEM], hex[HEX];
    int64_t by = 1 + (int64_t)rng_below(&rng, 9), view;
    begin("invoke");
    say("pair %u %lld", ++pairs, (long long)by);
    end();
    ecrdt_txn *t = write_begin("pair");
    if (!t)
        return;
    if (ecrdt_counter_add(t, "pairs", ECRDT_STR("a"), by, &view) < 0 ||
        ecrdt_set_add(t, "pairs", ECRDT_STR("m"), elem_of(elem, who, pairs)) <
            0 ||
        ecrdt_counter_add(t, "pairs", ECRDT_STR("z"), by, NULL) < 0)
        failed(t, "pair");
    else if (commit(t, "pair", "pairs", "-", hex)) {
        begin("ok");
        say("pair %lld", (long long)view);
        end();
        leave_cookie("pair", pairs, hex);
    }
}

/* Appends the values of a register, the one that is read first: "v,v" or "-"
 * for none. < 0 on error. */
static int siblings(ecrdt_txn *t, const char *key, char *out, size_t size) {
    ecrdt_iter *it = ecrdt_reg_siblings(t, "regs", ecrdt_str(key));
    ecrdt_entry e;
    size_t len = 0;
    int rc;
    while ((rc = ecrdt_next(it, &e)) == 1)
        if (len + e.val.len + 2 < size)
            len += (size_t)snprintf(out + len, size - len, "%s%.*s",
                                    len ? "," : "", (int)e.val.len,
                                    (const char *)e.val.data);
    ecrdt_iter_close(it);
    if (!len)
        snprintf(out, size, "-");
    return rc;
}

/* Overwrites all that is seen. */
static void do_reg(void) {
    char key[8], value[64], seen[2048], hex[HEX];
    snprintf(key, sizeof key, "k%u", (unsigned)rng_below(&rng, REG_KEYS));
    snprintf(value, sizeof value, "%s/%u", who, ++regs);
    begin("invoke");
    say("reg %u %s", regs, key);
    end();
    ecrdt_txn *t = write_begin("reg");
    if (!t)
        return;
    if (siblings(t, key, seen, sizeof seen) < 0 ||
        ecrdt_reg_set(t, "regs", ecrdt_str(key), ecrdt_str(value)) < 0)
        failed(t, "reg");
    else if (commit(t, "reg", "regs", seen, hex)) {
        begin("ok");
        say("reg");
        end();
    }
}

static int read_ticket(ecrdt_txn *t, char node, long *n) {
    ecrdt_slice v;
    char text[24];
    int rc = ecrdt_reg_get(t, "tickets", (ecrdt_slice){&node, 1}, &v, NULL);
    snprintf(text, sizeof text, "%.*s", rc == 1 ? (int)v.len : 0,
             rc == 1 ? (const char *)v.data : "");
    *n = atol(text);
    return rc;
}

/* The next number of this node's own register: read, add one, write. */
static void do_ticket(void) {
    char value[24], hex[HEX];
    long n;
    begin("invoke");
    say("ticket");
    end();
    ecrdt_txn *t = write_begin("ticket");
    if (!t)
        return;
    int rc = read_ticket(t, *who, &n);
    snprintf(value, sizeof value, "%ld", n + 1);
    if (rc < 0 || ecrdt_reg_set(t, "tickets", (ecrdt_slice){who, 1},
                                ecrdt_str(value)) < 0)
        failed(t, "ticket");
    else if (commit(t, "ticket", "tickets", value, hex)) {
        begin("ok");
        say("ticket %s", value);
        end();
    }
}

/* ---- reading --------------------------------------------------------------
 */

/* Do all keys of the bucket stand at one clock, in this very snapshot? */
static int settled(ecrdt_txn *t, const char *bucket) {
    struct bucket *bk;
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    rc = clocks_load(t, bk);
    return rc < 0 ? rc : bk->rs.n == 1;
}

/* A set as runs: "PROCESS:FROM-TO,N;PROCESS:..." or "-". */
static int say_runs(ecrdt_txn *t, const char *bucket, const char *key) {
    char process[64] = "";
    unsigned from = 0, last = 0;
    ecrdt_iter *it =
        ecrdt_elems(t, bucket, ecrdt_str(key), (ecrdt_slice){NULL, 0});
    ecrdt_entry e;
    int rc;
    while ((rc = ecrdt_next(it, &e)) == 1) {
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)e.val.len,
                 (const char *)e.val.data);
        char *slash = strchr(text, '/');
        unsigned n = slash ? (unsigned)atol(slash + 1) : 0;
        if (slash)
            *slash = 0;
        bool same = !strcmp(text, process);
        if (same && n == last + 1) {
            last = n;
            continue;
        }
        if (last > from)
            say("-%u", last);
        if (!same)
            say("%s%s:%u", *process ? ";" : "", text, n);
        else
            say(",%u", n);
        snprintf(process, sizeof process, "%s", text);
        from = last = n;
    }
    ecrdt_iter_close(it);
    if (last > from)
        say("-%u", last);
    if (!*process)
        say("-");
    return rc;
}

static int say_counter(ecrdt_txn *t, const char *bucket, const char *key) {
    int64_t v = 0;
    int rc = ecrdt_counter_get(t, bucket, ecrdt_str(key), &v);
    say("%lld ", (long long)v);
    return rc;
}

static int say_regs(ecrdt_txn *t) {
    int rc = 0;
    for (unsigned i = 0; i < REG_KEYS && rc >= 0; i++) {
        char key[8], values[2048];
        snprintf(key, sizeof key, "k%u", i);
        rc = siblings(t, key, values, sizeof values);
        say("%s%s=%s", i ? ";" : "", key, values);
    }
    return rc;
}

static int say_tickets(ecrdt_txn *t) {
    int rc = 0;
    for (char node = '1'; node <= '0' + NODES && rc >= 0; node++) {
        long n;
        rc = read_ticket(t, node, &n);
        say("%s%c=%ld", node > '1' ? ";" : "", node, n);
    }
    return rc;
}

static int say_bucket(ecrdt_txn *t, const char *bucket) {
    int rc = settled(t, bucket);
    say("%d ", rc == 1);
    if (rc < 0)
        return rc;
    switch (*bucket) {
    case 'a':
        return say_runs(t, bucket, "all");
    case 'c':
        return say_counter(t, bucket, "all");
    case 'p':
        rc = say_counter(t, bucket, "a");
        if (rc >= 0)
            rc = say_counter(t, bucket, "z");
        return rc < 0 ? rc : say_runs(t, bucket, "m");
    case 'r':
        return say_regs(t);
    default:
        return say_tickets(t);
    }
}

/* Reads a bucket in one snapshot; how: "read" or "final". */
static void do_read(const char *how, const char *bucket) {
    begin("invoke");
    say("%s %s", how, bucket);
    end();
    ecrdt_txn *t = ecrdt_read(store);
    begin("ok"); /* its time is set below, when all is read */
    size_t stamp = strspn(line, "0123456789");
    say("%s ", how);
    if (!t || say_bucket(t, bucket) < 0) {
        failed(t, how);
        return;
    }
    ecrdt_abort(t);
    char time[24];
    snprintf(time, sizeof time, "%0*llu", (int)stamp, now_us());
    memcpy(line, time, stamp);
    end();
}

/* ---- waiting --------------------------------------------------------------
 */

/* The receipt of some process: this one's own, or any other's. */
static bool find_cookie(bool own, char process[64], char what[8], unsigned *num,
                        ecrdt_receipt *r) {
    char path[512], hex[128] = "", text[300] = "";
    const char *dot = strrchr(who, '.');
    if (own)
        snprintf(path, sizeof path, "%s/%.*s.cookie", folder, (int)(dot - who),
                 who);
    else
        snprintf(path, sizeof path, "%s/%u.%u.cookie", folder,
                 1 + (unsigned)rng_below(&rng, 5),
                 (unsigned)rng_below(&rng, 2));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 &&
           sscanf(text, "%63s %7s %u %127s", process, what, num, hex) == 4 &&
           hex_decode(r->b, sizeof r->b, hex) == sizeof r->b;
}

/* What the wait promised must be in a snapshot that is taken now. */
static int is_there(const char *process, const char *what, unsigned num) {
    char elem[ELEM];
    ecrdt_txn *t = ecrdt_read(store);
    bool add = *what == 'a';
    int rc =
        ecrdt_set_has(t, add ? "adds" : "pairs", ecrdt_str(add ? "all" : "m"),
                      elem_of(elem, process, num));
    ecrdt_abort(t);
    return rc;
}

static void do_wait(bool at_core) {
    char process[64], what[8];
    unsigned num;
    ecrdt_receipt r;
    if (!find_cookie(at_core, process, what, &num, &r))
        return;
    const char *where = at_core ? "core" : "here";
    begin("invoke");
    say("%s %s %s %u", where, process, what, num);
    end();
    int rc =
        ecrdt_wait(store, &r, at_core ? ECRDT_AT_CORE : ECRDT_HERE, WAIT_MS);
    if (rc == 1)
        rc = 1 + is_there(process, what, num);
    begin(rc > 0 ? "ok" : "fail");
    if (rc > 0)
        say("%s %d", where, rc - 1);
    else
        say("%s %s", where, ecrdt_errmsg());
    end();
}

/* ---- what it does ---------------------------------------------------------
 */

static const char *const buckets[] = {"adds", "counts", "pairs", "regs",
                                      "tickets"};

static void act(void) {
    uint64_t n = rng_below(&rng, 100);
    if (n < 20)
        do_add();
    else if (n < 35)
        do_count();
    else if (n < 50)
        do_pair();
    else if (n < 62)
        do_reg();
    else if (n < 70)
        do_ticket();
    else if (n < 78)
        do_wait(false);
    else if (n < 81)
        do_wait(true);
    else
        do_read("read", buckets[rng_below(&rng, 5)]);
}

int main(int argc, char **a) {
    char path[512];
    struct sigaction sa = {.sa_handler = on_signal};
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    if (argc == 2) {
        printf("%llu\n", now_us());
        return 0;
    }
    if (argc != 4 && argc != 6)
        return 64;
    who = a[2];
    folder = a[3];
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    snprintf(path, sizeof path, "%s/%s.log", folder, who);
    log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    o.flags = ECRDT_NOCREATE;
    o.lock_timeout_ms = LOCK_MS;
    for (int i = 0; i < OPENS_MAX && !store; i++) {
        store = ecrdt_open(a[1], &o);
        if (!store && ecrdt_errcode() != ECRDT_EBUSY)
            break;
    }
    if (log_fd < 0 || !store)
        die("open");
    if (argc == 4) {
        for (size_t i = 0; i < 5; i++)
            do_read("final", buckets[i]);
        return ecrdt_close(store) < 0;
    }
    rng.s = strtoull(a[4], NULL, 10) * 2 + 1;
    uint64_t pause_us = 2000000 / strtoull(a[5], NULL, 10);
    while (!stopped) {
        act();
        usleep((useconds_t)rng_below(&rng, pause_us));
    }
    return ecrdt_close(store) < 0;
}
