/* image_replay.c: builds what a crash at any moment of a recorded run could
 * leave, opens each of these images, and judges it.
 *
 *     image_replay JOURNAL STORE LEVEL EACH
 *
 * EACH n: only each n-th moment. With FORGET_SYNCS in the environment each
 * third sync of the data file is taken out first: that must be noticed. STORE
 * is the folder that was recorded: its files get the images' content in place,
 * so that no guard takes an image for a copy. Prints TAP. */
#include "tests/crash/image.h"
#include "tests/crash/steps.h"
#include <errno.h>
#include <signal.h>

enum { DRAWS = 2, MEET_EACH = 3, PAST = 64, SHOWN = 20 };
static const char *const kind_names[KINDS] = {
    "all writes", "only synced", "half of the rest", "torn", "trashed"};

static const char *store;
static char aside[600], beside[600]; /* the real files; the peer's store */
static uint32_t level;
static struct image image;
static struct content disk;
static struct rng rng;
static struct crash_bytes summary, delta;

/* What the program had said at the moment at hand. */
static uint64_t started, done, durable, met;
static slice met_export;
static size_t moment;
static const char *what = "";

static unsigned images[KINDS], meetings, rollbacks, renewed, cases;
enum fault { UNREADABLE, LOST, STRANGE, REUSED, FAULTS };
static const char *const fault_names[FAULTS] = {
    "unreadable or not sound", "acknowledged steps lost",
    "a state that never was", "not the same as the peer that saw more"};
static unsigned faults[FAULTS];

static bool fault(enum fault f, const char *why) {
    unsigned all = 0;
    for (int i = 0; i < FAULTS; i++)
        all += faults[i];
    faults[f]++;
    if (all < SHOWN)
        printf("# record %zu, %s, %s: %s\n", moment, what, fault_names[f], why);
    return false;
}

/* On a line of its own: what was printed may end within one. */
static void on_signal(int sig) {
    dprintf(1, "\nnot ok %u - signal %d at record %zu, %s\n", cases + 1, sig,
            moment, what);
    _exit(1);
}

static void result(bool ok, const char *line) {
    printf("%sok %u - %s\n", ok ? "" : "not ", ++cases, line);
}

/* ---- the real files -------------------------------------------------------
 */

static bool is_built(const struct inode *f) {
    return f && strncmp(f->base, "lock.", 5) != 0 && strcmp(f->base, "wake");
}

static void write_file(const char *path, const struct content *c) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
    must(fd >= 0 && ftruncate(fd, 0) == 0);
    must(pwrite(fd, c->data, c->len, 0) == (ssize_t)c->len);
    close(fd);
}

/* What a crash leaves of a file that is mapped: anything. */
static void write_junk(const char *name) {
    uint8_t junk[300];
    rng_bytes(&rng, junk, sizeof junk);
    file_write(path_join(store, name), junk, rng_below(&rng, sizeof junk));
}

static void lay_out(enum image_kind kind) {
    struct names names;
    image_names(&names, &image, kind, &rng);
    for (unsigned i = 0; i < names.n; i++)
        if (!names.at[i].ino)
            mkdir(path_join(store, names.at[i].name), 0770);
    for (unsigned i = 0; i < names.n; i++) {
        const struct inode *f = names.at[i].ino;
        const char *real, *path = path_join(store, names.at[i].name);
        if (!is_built(f))
            continue;
        real = path_join(aside, f->base);
        inode_crash(&disk, f, kind, &rng);
        if (!strchr(names.at[i].name, '/')) /* that one would be removed */
            must(rename(real, path) == 0 || errno == ENOENT);
        write_file(path, &disk);
    }
    if (moment % 4 == 0) {
        write_junk("lock.mdb");
        write_junk("lock.ecrdt");
    }
}

/* The files of an image that is done with go back. */
static void put_aside(void) {
    static const char *const kept[] = {"data.mdb", "guard", "new/data.mdb"};
    static const char *const rest[] = {"lock.mdb", "lock.ecrdt", "wake",
                                       "new/data.mdb"};
    for (int i = 0; i < 3; i++) {
        const char *base = i == 2 ? "data.mdb" : kept[i];
        if (access(path_join(aside, base), F_OK))
            rename(path_join(store, kept[i]), path_join(aside, base));
    }
    for (int i = 0; i < 4; i++)
        unlink(path_join(store, rest[i]));
    unlink(path_join(store, "data.mdb"));
    unlink(path_join(store, "guard"));
    rmdir(path_join(store, "new"));
}

/* ---- meeting a peer that saw more -----------------------------------------
 */

static bool give(ecrdt_store *from, ecrdt_store *to) {
    summary.len = delta.len = 0;
    return !ecrdt_summary(to, crash_keep, &summary) &&
           ecrdt_export(from, slice_of(summary.data, summary.len),
                        sizeof delta.data / 2, crash_keep, &delta) >= 0 &&
           !ecrdt_import(to, slice_of(delta.data, delta.len), NULL);
}

static bool write_more(ecrdt_store *s, const char *name, bool counts) {
    ecrdt_txn *t = ecrdt_write(s);
    ecrdt_reg_set(t, "b", ecrdt_str(name), ecrdt_str(name));
    ecrdt_reg_set(t, "x", ecrdt_str(name), ecrdt_str(name));
    ecrdt_set_add(t, "b", ECRDT_STR("more"), ecrdt_str(name));
    if (counts)
        ecrdt_counter_add(t, "b", ECRDT_STR("more"), 1, NULL);
    return ecrdt_commit(t) == 0;
}

static bool has_more(ecrdt_store *s, uint64_t step, bool counted) {
    static const char *const names[] = {"before", "after", "peer's"};
    ecrdt_txn *t = ecrdt_read(s);
    ecrdt_slice v;
    int64_t n = 0;
    bool all = ecrdt_counter_get(t, "b", ECRDT_STR("more"), &n) >= 0 &&
               (!counted || n == 3) && !step_differs(t, step, counted);
    for (int i = 0; i < 3; i++)
        all =
            all && ecrdt_reg_get(t, "b", ecrdt_str(names[i]), &v, NULL) == 1 &&
            ecrdt_reg_get(t, "x", ecrdt_str(names[i]), &v, NULL) == 1 &&
            ecrdt_set_has(t, "b", ECRDT_STR("more"), ecrdt_str(names[i])) == 1;
    ecrdt_abort(t);
    return all;
}

static bool same(ecrdt_store *a, ecrdt_store *b) {
    static const char *const buckets[] = {"b", "x"};
    uint8_t x[16], y[16];
    bool yes = true;
    for (int i = 0; i < 2; i++)
        yes = yes && !ecrdt_digest(a, buckets[i], x) &&
              !ecrdt_digest(b, buckets[i], y) && !memcmp(x, y, sizeof x);
    return yes;
}

/* Each event of the store's must reach the peer, and the other way: one whose
 * dot the peer knows already, as that of another event, would not. counted:
 * nothing that the peer saw is lost here. */
static void meet(ecrdt_store *s, uint64_t step, bool counted) {
    ecrdt_store *p = crash_open(beside, ECRDT_EPHEMERAL);
    must(p);
    meetings++;
    bool ok = (!met_export.len || !ecrdt_import(p, met_export, NULL)) &&
              write_more(s, "before", counted) && give(s, p) && give(p, s) &&
              write_more(s, "after", true) && write_more(p, "peer's", true);
    for (int i = 0; i < 3 && ok; i++)
        ok = give(s, p) && give(p, s);
    if (!ok)
        fault(REUSED, ecrdt_errmsg());
    else if (!same(s, p))
        fault(REUSED, "the digests differ");
    else if (!has_more(s, step, counted) || !has_more(p, step, counted))
        fault(REUSED, "something is missing");
    else if (ecrdt_verify(s, crash_print, NULL) ||
             ecrdt_verify(p, crash_print, NULL))
        fault(REUSED, "a store is not sound afterwards");
    must(ecrdt_close(p) == 0);
    unlink(path_join(beside, "data.mdb"));
    unlink(path_join(beside, "lock.mdb"));
    unlink(path_join(beside, "boot"));
}

/* ---- judging --------------------------------------------------------------
 */

static bool judge_state(ecrdt_store *s, uint64_t need, int64_t *shown) {
    char why[100];
    ecrdt_txn *t = ecrdt_read(s);
    *shown = step_shown(t);
    const char *differs = *shown < 0 ? "its two buckets"
                                     : step_differs(t, (uint64_t)*shown, true);
    ecrdt_abort(t);
    snprintf(why, sizeof why, "step %lld of %llu to %llu%s%s",
             (long long)*shown, (unsigned long long)need,
             (unsigned long long)started, differs ? ", not right: " : "",
             differs ? differs : "");
    if (differs || *shown > (int64_t)started)
        return fault(STRANGE, why);
    return *shown >= (int64_t)need || fault(LOST, why);
}

static ecrdt_store *open_image(ecrdt_node *id) {
    ecrdt_store *s = crash_open(store, level);
    if (!s || ecrdt_verify(s, crash_print, NULL) || ecrdt_node_id(s, id)) {
        fault(UNREADABLE, ecrdt_errmsg());
        ecrdt_close(s);
        return NULL;
    }
    return s;
}

static void judge(enum image_kind kind) {
    static ecrdt_node first;
    static unsigned turn;
    int64_t shown;
    ecrdt_node id;
    uint64_t need = kind == ALL ? done : durable;
    what = kind_names[kind];
    images[kind]++;
    lay_out(kind);
    ecrdt_store *s = open_image(&id);
    if (s) {
        if (!memcmp(first.b, (ecrdt_node){{0}}.b, sizeof first))
            first = started ? id : first;
        else
            renewed += memcmp(first.b, id.b, sizeof id) != 0;
        if (judge_state(s, need, &shown) && turn++ % MEET_EACH == 0)
            meet(s, (uint64_t)shown, true);
        must(ecrdt_close(s) == 0);
    }
    put_aside();
}

/* The folder as it was at an earlier meeting, when the peer has seen more: a
 * disk that lied, or a machine set back. */
static void roll_back(const struct image *then) {
    struct image now = image;
    ecrdt_node id;
    for (int writes = 0; writes < 2; writes++) {
        what = "set back to an earlier meeting";
        image = *then;
        lay_out(ALL);
        image = now;
        ecrdt_store *s = open_image(&id);
        rollbacks++;
        int64_t shown;
        if (s && judge_state(s, 0, &shown))
            meet(s, met, !writes);
        must(!s || ecrdt_close(s) == 0);
        put_aside();
    }
}

/* A copy of the state that stays as it is. */
static struct image keep(void) {
    struct image im = {.safe = image.now};
    for (unsigned i = 0; i < im.safe.n; i++) {
        struct inode *f = im.safe.at[i].ino, *g;
        if (!f)
            continue;
        g = inode_new(f->base);
        content_copy(&g->now, &f->now);
        im.safe.at[i].ino = g;
    }
    return im;
}

static void take_mark(const struct record *r) {
    static struct image past[PAST];
    static unsigned n;
    uint64_t i = r->h.offset;
    if (r->h.arg == MARK_STARTS)
        started = i;
    else if (r->h.arg == MARK_DONE)
        done = i;
    else if (r->h.arg == MARK_DURABLE)
        durable = i > durable ? i : durable;
    else {
        durable = i > durable ? i : durable; /* what left is durable */
        met = i;
        met_export = slice_of(r->data, r->h.size);
        if (n)
            roll_back(&past[rng_below(&rng, n)]);
        if (n < PAST)
            past[n++] = keep();
    }
}

static void all_images(struct record *all, size_t n, unsigned each) {
    for (moment = 0; moment < n; moment++) {
        struct record *r = &all[moment];
        if (r->h.op == J_MAPPED && strncmp(r->h.name, "lock.", 5) != 0)
            fault(STRANGE, "a file is written through a map");
        bool differs = image_take(&image, r);
        if (r->h.op == J_MARK)
            take_mark(r);
        if (moment % each || !(differs || r->h.op == J_MARK))
            continue;
        judge(ALL);
        if (!differs || !image_late(&image))
            continue;
        judge(SYNCED);
        judge(TORN);
        for (int i = 0; i < DRAWS; i++) {
            judge(HALF);
            judge(TRASHED);
        }
        if (moment % (64 * each) == 0) {
            printf("# record %zu of %zu\n", moment, n);
            fflush(stdout);
        }
    }
}

static int summarise(uint64_t begin) {
    unsigned all = 0, bad = 0;
    for (int i = 0; i < KINDS; i++) {
        printf("# %6u images: %s\n", images[i], kind_names[i]);
        all += images[i];
    }
    printf("# %6u images in %.1f minutes; %u took a new identity\n", all,
           (double)(now_ms() - begin) / 6e4, renewed);
    printf("# %6u met a peer that saw as much or more, %u of them set back\n",
           meetings, rollbacks);
    for (int i = 0; i < FAULTS; i++) {
        char line[100];
        snprintf(line, sizeof line, "%u of %u images: %s", faults[i], all,
                 fault_names[i]);
        result(!faults[i], line);
        bad += faults[i];
    }
    result(all && meetings && rollbacks, "images, meetings and rollbacks ran");
    printf("1..%u\n", cases);
    return bad || !all;
}

static void forget_syncs(struct record *all, size_t n) {
    unsigned seen = 0;
    for (size_t i = 0; i < n; i++)
        if (all[i].h.op == J_SYNC && !strcmp(all[i].h.name, "data.mdb") &&
            seen++ % 3 == 0)
            all[i].h.op = J_MAPPED, strcpy(all[i].h.name, "lock.none");
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    size_t n;
    struct record *all = journal_read(argv[1], &n);
    store = argv[2];
    level = strcmp(argv[3], "full") ? ECRDT_RELAXED : ECRDT_FULL;
    snprintf(aside, sizeof aside, "%s.aside", store);
    snprintf(beside, sizeof beside, "%s.meets", store);
    must(mkdir(aside, 0770) == 0);
    rng = rng_seed();
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
    signal(SIGABRT, on_signal);
    uint64_t begin = now_ms();
    put_aside();
    if (getenv("FORGET_SYNCS"))
        forget_syncs(all, n);
    all_images(all, n, (unsigned)atoi(argv[4]));
    return summarise(begin);
}
