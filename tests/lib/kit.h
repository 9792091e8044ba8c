/* kit.h: what the tests of lib/db share: scratch environments, one-line
 * transactions, and children that end in a known way. */
#ifndef TESTS_LIB_KIT_H
#define TESTS_LIB_KIT_H
#include "lib/db.h"
#include "lib/os.h"
#include "tests/support/test.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct db_conf kit_conf = {.max_bytes = 16 << 20,
                                        .max_readers = 32,
                                        .file_mode = 0660,
                                        .wait_ms = 100};

static inline struct db *kit_open(const char *dir, const struct db_conf *conf) {
    struct db *db;
    assert_ok(db_open(&db, dir, conf));
    return db;
}

static inline struct db_txn *kit_begin(struct db *db, bool write) {
    struct db_txn *t;
    assert_ok(db_begin(db, write, &t));
    return t;
}

/* Stores n bytes of c under key in a transaction of its own. */
static inline int kit_put(struct db *db, enum db_table table, const char *key,
                          char c, size_t n) {
    struct db_txn *t;
    struct buf v = {0};
    int rc = db_begin(db, true, &t);
    if (rc < 0)
        return rc;
    db_charge(t, true);
    memset(buf_extend(&v, n), c, n);
    rc = db_put(t, table, slice_str(key), &v);
    buf_free(&v);
    if (rc == ECRDT_OK)
        return db_commit(t);
    db_abort(t);
    return rc;
}

/* Length of the value of key, or a negative code; -100 if it is absent. */
static inline int kit_get(struct db *db, enum db_table table, const char *key) {
    struct db_txn *t;
    slice v;
    int rc = db_begin(db, false, &t);
    if (rc < 0)
        return rc;
    rc = db_get(t, table, slice_str(key), &v);
    db_abort(t);
    return rc == 1 ? (int)v.len : rc == 0 ? -100 : rc;
}

/* For children, where cmocka's asserts would run on in a second program. */
#define must(cond)                                                             \
    ((cond) ? (void)0                                                          \
            : (fprintf(stderr, "%s:%d: not %s; %s\n", __FILE__, __LINE__,      \
                       #cond, ecrdt_errmsg()),                                 \
               _exit(255)))

/* Runs fn(arg) in a child: its result, or 1000 + the signal that killed it.
 * fn uses must(). */
static inline int kit_child(int (*fn)(void *arg), void *arg) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        for (int s = 1; s < 32; s++)
            signal(s, SIG_DFL);
        alarm(60);
        _exit(fn(arg));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* A child that runs beside the test. */
struct kit_proc {
    pid_t pid;
    int up, down; /* from it, to it */
};

/* One byte to the other side; one byte from it, false at its end. */
static inline void kit_say(int fd) {
    must(write(fd, "!", 1) == 1);
}

static inline bool kit_hear(int fd) {
    char c;
    return read(fd, &c, 1) == 1;
}

/* Starts fn(up, down, arg) in a child and waits until it said that it is
 * where it should be. */
static inline struct kit_proc kit_start(int (*fn)(int up, int down, void *arg),
                                        void *arg) {
    int up[2], down[2];
    assert_int_equal(pipe(up) | pipe(down), 0);
    fflush(NULL);
    struct kit_proc p = {fork(), up[0], down[1]};
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        close(up[0]);
        close(down[1]);
        alarm(60);
        _exit(fn(up[1], down[0], arg));
    }
    close(up[1]);
    close(down[0]);
    assert_true(kit_hear(p.up));
    return p;
}

/* Ends it by a signal (0: lets it go on) and gives what kit_child() does. */
static inline int kit_end(struct kit_proc *p, int sig) {
    int status;
    if (sig)
        kill(p->pid, sig);
    close(p->down);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    close(p->up);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Permissions of a file or folder. */
static inline unsigned kit_mode(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

/* Fills the disk that a folder is on by a file "hog" in it. */
static inline void kit_fill_disk(const char *folder) {
    char block[4096] = {0};
    FILE *hog = fopen(path_join(folder, "hog"), "w");
    assert_non_null(hog);
    setvbuf(hog, NULL, _IONBF, 0);
    while (fwrite(block, sizeof block, 1, hog) == 1)
        continue;
    fclose(hog);
}

/* The last error's sentence holds part. */
static inline void kit_says(const char *part) {
    if (!strstr(ecrdt_errmsg(), part))
        fail_msg("\"%s\" is not in \"%s\"", part, ecrdt_errmsg());
}
#endif
