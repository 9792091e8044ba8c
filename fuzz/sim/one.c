/* one.c: one plan from its first step to its verdict, and children in which a
 * crash is only an outcome. */
#include "fuzz/sim/one.h"
#include "lib/err.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of its own work; a busy machine may take ten times as long. */
enum { CHILD_SECONDS = 60 };

const char *hash_text(const uint8_t hash[16]) {
    static char text[33];
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return text;
}

/* All figures are numbers of one size. */
void figures_add(struct figures *a, const struct figures *b) {
    uint64_t *x = (uint64_t *)a, most = a->settle_ms_most;
    const uint64_t *y = (const uint64_t *)b;
    for (size_t i = 0; i < sizeof *a / sizeof *x; i++)
        x[i] += y[i];
    a->settle_ms_most = most > b->settle_ms_most ? most : b->settle_ms_most;
}

static void all_steps(struct cluster *c, const struct one *one,
                      struct outcome *out) {
    const struct plan *p = one->plan;
    for (size_t i = 0; i < p->n_steps; i++) {
        if (one->until >= 0 && p->steps[i].n > (uint64_t)one->until)
            return;
        out->at = p->steps[i].n;
        step_foresee(c, i);
        step_do(c, &p->steps[i]);
    }
    if (one->until < 0)
        settle(c, out->hash);
}

void one_run(const struct one *one, const char *dir, struct outcome *out) {
    struct cluster *c = calloc(1, sizeof *c);
    *out = (struct outcome){.exit = SIM_INCONCLUSIVE};
    if (!c)
        return;
    c->verbose = one->verbose;
    if (journal_open(&c->journal, one->journal, one->plan->seed, one->command,
                     NET_NODES, one->plan->profile) < 0) {
        snprintf(out->text, sizeof out->text, "%s", ecrdt_errmsg());
        return;
    }
    int rc = setjmp(c->over);
    if (rc == 0) {
        cluster_open(c, one->plan, dir);
        all_steps(c, one, out);
        out->exit = SIM_PASS;
        snprintf(out->text, sizeof out->text, "all properties hold");
    } else if (rc == 1) {
        out->exit = SIM_BROKEN;
        memcpy(out->text, c->text, sizeof out->text);
        for (unsigned r = 0; one->verbose && r < NET_NODES; r++)
            if (c->r[r].used)
                look_dump(c, r);
    } else {
        snprintf(out->text, sizeof out->text,
                 "the run is too large for the oracle: take fewer steps");
    }
    c->fig.events = c->o.n_ev;
    c->fig.net_events = c->net.n_events;
    c->fig.bytes = c->net.n_bytes;
    c->fig.virtual_ms = c->net.now_ms;
    out->fig = c->fig;
    journal_verdict(&c->journal, out->exit == SIM_PASS, out->text, out->hash);
    if (journal_close(&c->journal) < 0)
        fprintf(stderr, "%s\n", ecrdt_errmsg());
}

/* ---- children -------------------------------------------------------------
 */

int one_slot_open(struct one_slot *s) {
    *s = (struct one_slot){0};
    s->out = mmap(NULL, sizeof *s->out, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->out == MAP_FAILED)
        return err_errno(errno, "cannot map memory for", "a child");
    return ECRDT_OK;
}

void one_slot_close(struct one_slot *s) {
    munmap(s->out, sizeof *s->out);
}

static _Noreturn void child(struct one_slot *s, const struct one *one,
                            const struct plan_wish *wish) {
    struct rlimit no_core = {0, 0};
    struct rlimit work = {CHILD_SECONDS, CHILD_SECONDS + 1};
    struct one mine = {.until = -1, .command = ""};
    struct plan plan;
    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_CPU, &work);
    alarm(10 * CHILD_SECONDS);
    /* LMDB takes 2 MiB of zeros for each open: fresh pages, not cleared ones.
     */
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    if (wish && plan_make(&plan, wish) < 0)
        _exit(SIM_USAGE);
    if (wish)
        mine.plan = &plan;
    one_run(wish ? &mine : one, s->dir, s->out);
    fflush(NULL);
    _exit(s->out->exit);
}

int one_begin(struct one_slot *s, const struct one *one,
              const struct plan_wish *wish) {
    s->dir = tmpdir_make();
    s->begun_ms = senses_real_ms();
    s->seed = wish ? wish->seed : one->plan->seed;
    fflush(NULL);
    *s->out = (struct outcome){.exit = SIM_CRASH};
    pid_t pid = fork();
    if (pid < 0) {
        tmpdir_remove(s->dir);
        return err_errno(errno, "cannot fork", "a child");
    }
    if (pid == 0)
        child(s, one, wish);
    s->pid = pid;
    return ECRDT_OK;
}

void one_end(struct one_slot *s, int status) {
    s->pid = 0;
    tmpdir_remove(s->dir);
    s->dir = NULL;
    if (!WIFSIGNALED(status))
        return;
    int sig = WTERMSIG(status);
    bool endless = sig == SIGXCPU || sig == SIGALRM;
    s->out->exit = endless ? SIM_INCONCLUSIVE : SIM_CRASH;
    snprintf(s->out->text, sizeof s->out->text,
             endless ? "step %u: no end after %d seconds of work"
                     : "step %u: ended by signal %d",
             s->out->at, endless ? (int)CHILD_SECONDS : sig);
}

int one_fork(struct one_slot *s, const struct one *one) {
    int status, rc = one_begin(s, one, NULL);
    if (rc < 0)
        return rc;
    while (waitpid(s->pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(errno, "cannot wait for", "a child");
    one_end(s, status);
    return ECRDT_OK;
}
