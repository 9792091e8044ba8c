/* kill_driver.c: writers, readers, backups and relays on one or more stores,
 * killed and stopped at random; then every acknowledged write must be there.
 *
 *     kill_driver KILLS WRITERS LEVEL STORE... [-- RELAY CONF...]
 *
 * LEVEL is full, relaxed or ephemeral. The relays, one per store, connect
 * the stores; all must come to the same content. Each finished backup is
 * restored, opened and verified, and must hold what was acknowledged before it
 * was begun. Prints TAP. */
#include "tests/crash/kit.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

enum {
    STORES_MAX = 8,
    PROCS_MAX = 64,
    SETTLE_S = 300,
    MANY = 1000,   /* kills: then some backup must have been finished */
    TAKEN_BACK = 5 /* each 5th commit removes what the 4th before it added */
};

enum kind { WRITER, READER, RELAY, BACKUP, KINDS };
static const char *const kind_names[] = {"writers", "readers", "relays",
                                         "backups"};

struct proc {
    enum kind kind;
    int store, slot, fd;
    unsigned life;
    pid_t pid;
    uint64_t acked, wake_at; /* stopped until then; 0 = it runs */
};

/* What the lives of writers were promised. */
struct life {
    int store, slot;
    unsigned life;
    uint64_t acked;
};

static const char *stores[STORES_MAX], *confs[STORES_MAX], *relay;
static int n_stores, n_procs;
static uint32_t level;
static struct proc procs[PROCS_MAX];
static struct life *lives;
static size_t n_lives, cap_lives;
static unsigned kills[KINDS], stops[KINDS], cases, failures, n_killed;
static uint64_t n_backups; /* that were finished and found right */
static struct rng rng;

static void result(bool ok, const char *what) {
    printf("%sok %u - %s\n", ok ? "" : "not ", ++cases, what);
    failures += !ok;
}

/* ---- what the processes do ------------------------------------------------
 */

static void commit_no(ecrdt_txn *t, const char *who, uint64_t n) {
    char elem[64], own[48];
    snprintf(elem, sizeof elem, "%s-%llu", who, (unsigned long long)n);
    snprintf(own, sizeof own, "c-%s", who);
    ecrdt_set_add(t, "b", ECRDT_STR("set"), ecrdt_str(elem));
    ecrdt_counter_add(t, "b", ECRDT_STR("added"), 1, NULL);
    ecrdt_counter_add(t, "b", ecrdt_str(own), 1, NULL);
    ecrdt_reg_set(t, "b", ecrdt_str(who), ecrdt_str(elem));
    if (n % TAKEN_BACK)
        return;
    snprintf(elem, sizeof elem, "%s-%llu", who, (unsigned long long)(n - 4));
    ecrdt_set_remove(t, "b", ECRDT_STR("set"), ecrdt_str(elem));
    ecrdt_counter_add(t, "b", ECRDT_STR("removed"), 1, NULL);
}

static ecrdt_store *patient_open(const char *path, uint32_t flags) {
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = flags;
    o.lock_timeout_ms = 20000;
    ecrdt_store *s = ecrdt_open(path, &o);
    if (!s) {
        fprintf(stderr, "# open: %s\n", ecrdt_errmsg());
        _exit(3);
    }
    return s;
}

static _Noreturn void write_on(const struct proc *p, int fd) {
    char who[32];
    snprintf(who, sizeof who, "%d.%d.%u", p->store, p->slot, p->life);
    ecrdt_store *s = patient_open(stores[p->store], level);
    for (uint64_t n = 1;;) {
        ecrdt_txn *t = ecrdt_write(s);
        commit_no(t, who, n);
        int rc = ecrdt_commit(t);
        if (rc == ECRDT_EBUSY)
            continue; /* its holder is stopped */
        if (rc < 0) {
            fprintf(stderr, "# writer %s: %s\n", who, ecrdt_errmsg());
            _exit(3);
        }
        if (write(fd, &n, sizeof n) != sizeof n)
            _exit(0);
        n++;
    }
}

/* In a store with no relay each snapshot is between two commits. */
static bool sound(ecrdt_store *s) {
    ecrdt_txn *t = ecrdt_read(s);
    int64_t added = 0, removed = 0;
    uint64_t size = 0;
    int rc = ecrdt_set_size(t, "b", ECRDT_STR("set"), &size);
    if (rc >= 0)
        rc = ecrdt_counter_get(t, "b", ECRDT_STR("added"), &added);
    if (rc >= 0)
        rc = ecrdt_counter_get(t, "b", ECRDT_STR("removed"), &removed);
    ecrdt_abort(t);
    if (rc >= 0 && (int64_t)size == added - removed)
        return true;
    fprintf(stderr, "# %d, %llu elements, %lld added, %lld removed: %s\n", rc,
            (unsigned long long)size, (long long)added, (long long)removed,
            ecrdt_errmsg());
    return false;
}

static _Noreturn void read_on(const struct proc *p, int fd) {
    ecrdt_store *s = patient_open(stores[p->store], 0);
    for (uint64_t n = 1;; n++) {
        if (!relay && !sound(s))
            _exit(3);
        if (n % 64 == 0) {
            ecrdt_stats st = {.size = sizeof st};
            if (ecrdt_stat_read(s, &st) < 0)
                _exit(3);
            usleep(500);
        }
        if (write(fd, &n, sizeof n) != sizeof n)
            _exit(0);
    }
}

/* The number of elements that nobody will remove any more: once acknowledged,
 * they only become more. */
static uint64_t kept(ecrdt_store *s) {
    int64_t added = 0, removed = 0;
    ecrdt_txn *t = ecrdt_read(s);
    ecrdt_counter_get(t, "b", ECRDT_STR("added"), &added);
    ecrdt_counter_get(t, "b", ECRDT_STR("removed"), &removed);
    ecrdt_abort(t);
    return (uint64_t)(added - removed);
}

static void remove_backup(const char *path) {
    static const char *const names[] = {"data.mdb",   "lock.mdb", "guard",
                                        "lock.ecrdt", "wake",     "boot"};
    char file[700];
    for (int i = 0; i < 6; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    snprintf(file, sizeof file, "%s/new/data.mdb", path);
    unlink(file);
    snprintf(file, sizeof file, "%s/new", path);
    rmdir(file);
    rmdir(path);
}

/* Opens the copy as one restores it, looks through it and writes to it. */
static bool is_right(const char *copy, uint64_t least) {
    ecrdt_store *s = patient_open(copy, ECRDT_CHECK);
    bool ok = (relay || sound(s)) && ecrdt_verify(s, crash_print, NULL) == 0 &&
              (relay || kept(s) >= least) &&
              crash_set(s, "restored", "yes") == 0;
    return ecrdt_close(s) == 0 && ok;
}

static _Noreturn void back_up(const struct proc *p, int fd) {
    char copy[600];
    snprintf(copy, sizeof copy, "%s.backup", stores[p->store]);
    ecrdt_store *s = patient_open(stores[p->store], 0);
    for (uint64_t n = 1;; n++) {
        uint64_t least = kept(s);
        remove_backup(copy); /* a killed one may have left it */
        if (ecrdt_backup(s, copy) < 0 || !is_right(copy, least)) {
            fprintf(stderr, "# backup: %s\n", ecrdt_errmsg());
            _exit(3);
        }
        if (write(fd, &n, sizeof n) != sizeof n)
            _exit(0);
        usleep(20000);
    }
}

static _Noreturn void run_relay(const struct proc *p, int fd) {
    char log[600];
    snprintf(log, sizeof log, "%s.log", confs[p->store]);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)fd; /* closed when it ends */
    dup2(out, 2);
    execl(relay, relay, "-c", confs[p->store], (char *)NULL);
    _exit(4);
}

static void spawn(struct proc *p) {
    int ends[2];
    must(pipe(ends) == 0);
    fflush(NULL);
    p->life++;
    p->acked = p->wake_at = 0;
    p->pid = fork();
    must(p->pid >= 0);
    if (p->pid == 0) {
        close(ends[0]);
        (p->kind == WRITER   ? write_on
         : p->kind == READER ? read_on
         : p->kind == BACKUP ? back_up
                             : run_relay)(p, ends[1]);
    }
    close(ends[1]);
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    p->fd = ends[0];
}

static void add_proc(enum kind kind, int store, int slot) {
    must(n_procs < PROCS_MAX);
    procs[n_procs] = (struct proc){.kind = kind, .store = store, .slot = slot};
    spawn(&procs[n_procs++]);
}

/* ---- killing --------------------------------------------------------------
 */

static void hear(struct proc *p) {
    uint64_t n[512];
    ssize_t got;
    while ((got = read(p->fd, n, sizeof n)) > 0)
        p->acked = n[(size_t)got / sizeof *n - 1];
}

/* Its end, by our signal or (a failure) by itself. */
static void bury(struct proc *p, bool ours) {
    int status;
    must(waitpid(p->pid, &status, 0) == p->pid);
    hear(p);
    close(p->fd);
    if (p->kind == BACKUP)
        n_backups += p->acked;
    if (!ours) {
        printf("# one of the %s ended by itself: %s %d\n", kind_names[p->kind],
               WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        failures++;
    }
    if (p->kind != WRITER)
        return;
    if (n_lives == cap_lives)
        must((lives = realloc(lives, (cap_lives = cap_lives * 2 + 64) *
                                         sizeof *lives)));
    lives[n_lives++] = (struct life){p->store, p->slot, p->life, p->acked};
}

static void strike(struct proc *p) {
    if (!p->wake_at && rng_below(&rng, 4) == 0) {
        kill(p->pid, SIGSTOP);
        p->wake_at = now_ms() + 10 + rng_below(&rng, 150);
        stops[p->kind]++;
        return;
    }
    kill(p->pid, SIGKILL);
    kills[p->kind]++;
    n_killed++;
    bury(p, true);
    spawn(p);
}

static void tend(void) {
    struct pollfd fds[PROCS_MAX];
    for (int i = 0; i < n_procs; i++)
        fds[i] = (struct pollfd){procs[i].fd, POLLIN, 0};
    poll(fds, (nfds_t)n_procs, 2);
    for (int i = 0; i < n_procs; i++) {
        struct proc *p = &procs[i];
        siginfo_t info = {0};
        hear(p);
        if (p->wake_at && now_ms() >= p->wake_at) {
            kill(p->pid, SIGCONT);
            p->wake_at = 0;
        }
        if (!waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
            info.si_pid) {
            bury(p, false);
            spawn(p);
        }
    }
}

static void torture(unsigned want) {
    uint64_t next = now_ms() + 300;
    for (unsigned n = 0; n < want && failures < 20;) {
        tend();
        if (now_ms() < next)
            continue;
        struct proc *p = &procs[rng_below(&rng, (uint64_t)n_procs)];
        if (p->kind == BACKUP && rng_below(&rng, 4))
            continue; /* it has more to do than others */
        strike(p);
        if (n_killed % 500 == 0 && n != n_killed) {
            printf("# %u of %u killed\n", n_killed, want);
            fflush(stdout);
        }
        n = n_killed;
        next = now_ms() + rng_below(&rng, relay ? 60 : 16);
    }
}

/* Ends all but the relays. */
static void calm(void) {
    int left = 0;
    for (int i = 0; i < n_procs; i++) {
        struct proc *p = &procs[i];
        if (p->wake_at)
            kill(p->pid, SIGCONT);
        p->wake_at = 0;
        if (p->kind == RELAY) {
            procs[left++] = *p;
            continue;
        }
        kill(p->pid, SIGKILL);
        bury(p, true);
    }
    n_procs = left;
}

static void end_relays(void) {
    for (int i = 0; i < n_procs; i++) {
        kill(procs[i].pid, SIGTERM);
        bury(&procs[i], true);
    }
    n_procs = 0;
}

/* ---- what must be there ---------------------------------------------------
 */

static bool same_digests(void) {
    uint8_t first[16], other[16];
    for (int i = 0; i < n_stores; i++) {
        ecrdt_store *s = patient_open(stores[i], 0);
        must(ecrdt_digest(s, "b", i ? other : first) == 0);
        bool settled = ecrdt_settled(s, "b") == 1;
        must(ecrdt_close(s) == 0);
        if (!settled || (i && memcmp(first, other, 16)))
            return false;
    }
    return true;
}

static uint64_t missing_of(ecrdt_txn *t, const struct life *l) {
    char who[32], name[64];
    uint64_t missing = 0;
    int64_t count = 0;
    snprintf(who, sizeof who, "%d.%d.%u", l->store, l->slot, l->life);
    for (uint64_t n = 1; n <= l->acked; n++) {
        snprintf(name, sizeof name, "%s-%llu", who, (unsigned long long)n);
        int has = ecrdt_set_has(t, "b", ECRDT_STR("set"), ecrdt_str(name));
        bool taken_back = n % TAKEN_BACK == 1;
        if (taken_back && n + 4 > l->acked)
            continue; /* perhaps */
        missing += has != !taken_back;
    }
    snprintf(name, sizeof name, "c-%s", who);
    must(ecrdt_counter_get(t, "b", ecrdt_str(name), &count) >= 0);
    return missing +
           (count < (int64_t)l->acked || count > (int64_t)l->acked + 1);
}

/* Looks for all that was acknowledged. */
static void judge_commits(const char *path, uint64_t acked) {
    char what[700];
    uint64_t missing = 0;
    ecrdt_store *s = patient_open(path, ECRDT_CHECK);
    ecrdt_txn *t = ecrdt_read(s);
    for (size_t i = 0; i < n_lives; i++)
        missing += missing_of(t, &lives[i]);
    ecrdt_abort(t);
    snprintf(what, sizeof what,
             "%s has all of %llu acknowledged commits (%llu wrong)",
             strrchr(path, '/') + 1, (unsigned long long)acked,
             (unsigned long long)missing);
    result(missing == 0, what);
    result(sound(s), "its set and its counters agree");
    result(ecrdt_verify(s, crash_print, NULL) == 0, "verify finds nothing");
    result(crash_set(s, "after", "all") == 0, "it can be written to");
    must(ecrdt_close(s) == 0);
}

/* The store, and what is restored from a backup of it. */
static void judge(int no, uint64_t acked) {
    char copy[600];
    judge_commits(stores[no], acked);
    snprintf(copy, sizeof copy, "%s.backup", stores[no]);
    remove_backup(copy);
    ecrdt_store *s = patient_open(stores[no], 0);
    result(ecrdt_backup(s, copy) == 0, "it can be backed up");
    must(ecrdt_close(s) == 0);
    judge_commits(copy, acked);
}

static void judge_all(void) {
    uint64_t acked = 0, begin = now_ms();
    for (size_t i = 0; i < n_lives; i++)
        acked += lives[i].acked;
    if (relay) {
        bool same = false;
        while (!same && now_ms() - begin < SETTLE_S * 1000u) {
            usleep(200000);
            same = same_digests();
        }
        printf("# same digests after %.1f s\n",
               (double)(now_ms() - begin) / 1e3);
        result(same, "all digests are equal");
        end_relays();
    }
    for (int i = 0; i < n_stores; i++)
        judge(i, acked);
    printf("# %zu lives of writers, %llu acknowledged commits\n", n_lives,
           (unsigned long long)acked);
    for (int i = 0; i < KINDS; i++)
        printf("# %s: %u killed, %u stopped and continued\n", kind_names[i],
               kills[i], stops[i]);
    printf("# %llu backups restored and verified meanwhile\n",
           (unsigned long long)n_backups);
    if (n_killed >= MANY)
        result(n_backups > 0, "there were some");
}

static void arguments(int argc, char **argv) {
    level = !strcmp(argv[3], "full")      ? ECRDT_FULL
            : !strcmp(argv[3], "relaxed") ? ECRDT_RELAXED
                                          : ECRDT_EPHEMERAL;
    int i = 4;
    for (; i < argc && strcmp(argv[i], "--"); i++)
        stores[n_stores++] = argv[i];
    if (++i < argc)
        relay = argv[i++];
    for (int n = 0; i < argc; i++)
        confs[n++] = argv[i];
}

int main(int argc, char **argv) {
    if (argc < 5 || argc > 4 + 2 * STORES_MAX)
        return 2;
    arguments(argc, argv);
    rng = rng_seed();
    signal(SIGPIPE, SIG_IGN);
    uint64_t begin = now_ms();
    for (int i = 0; i < n_stores; i++) {
        for (int k = 0; k < atoi(argv[2]); k++)
            add_proc(WRITER, i, k);
        add_proc(READER, i, 0);
        add_proc(BACKUP, i, 0);
        if (relay)
            add_proc(RELAY, i, 0);
    }
    torture((unsigned)atoi(argv[1]));
    calm();
    judge_all();
    result(failures == 0, "nobody ended by itself, nothing failed");
    printf("1..%u\n# %.1f minutes\n", cases, (double)(now_ms() - begin) / 6e4);
    return failures != 0;
}
