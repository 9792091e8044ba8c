/* steps_store.c: what happens to a store and its machine: crashes, restarts,
 * backups that come back, copies that live beside the original. */
#include "fuzz/sim/cluster.h"
#include "crdt/guard.h"
#include "tests/support/support.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *file_in(const struct replica *me, const char *name) {
    static char path[2][200];
    static unsigned turn;
    char *p = path[turn++ % 2];
    snprintf(p, sizeof path[0], "%s/%s", me->dir, name);
    return p;
}

static void load(struct cluster *c, const char *path, struct buf *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    HOLDS(c, fd >= 0 && senses_copy(fd, out) == 0, "cannot read %s", path);
    close(fd);
}

/* In place: the file stays the one that it was. */
static void store(struct cluster *c, const char *path, const struct buf *b) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0660);
    HOLDS(c,
          fd >= 0 && pwrite(fd, b->data, b->len, 0) == (ssize_t)b->len &&
              ftruncate(fd, (off_t)b->len) == 0,
          "cannot write %s", path);
    close(fd);
}

static void remove_store(struct replica *me) {
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock.ecrdt",
                                        "wake",     "guard",    "boot"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(file_in(me, files[i]));
    rmdir(me->dir);
}

/* ---- crashes --------------------------------------------------------------
 */

/* From now on each flush leaves a copy: a crash of r's machine is near. */
static void keep_images(struct cluster *c, unsigned r) {
    struct senses_file *f = &senses.file[r];
    struct replica *me = &c->r[r];
    if (f->keep || !me->s || me->level != LEVEL_relaxed)
        return;
    f->keep = true;
    cluster_enter(c, r);
    MUST(c, ecrdt_flush(me->s));
    load(c, file_in(me, "data.mdb"), &f->image);
}

/* Looks a few steps ahead: copies cost time. */
void step_foresee(struct cluster *c, size_t at) {
    enum { STEPS_AHEAD = 6 };
    const struct plan *p = c->plan;
    for (size_t i = at; i < p->n_steps && i < at + STEPS_AHEAD; i++)
        if (p->steps[i].what == DO_crash && p->steps[i].a)
            keep_images(c, p->steps[i].r);
}

/* What the crash took must have been told to nobody. */
static void check_told(struct cluster *c, unsigned r, const struct bits *had) {
    struct replica *me = &c->r[r];
    bool any = false;
    for (size_t u = 0; u < c->o.n_ev; u++) {
        if (!bits_has(had, u) || bits_has(&me->have, u))
            continue;
        any = true;
        for (unsigned o = 0; o < NET_NODES; o++)
            HOLDS(c,
                  c->o.ev[u].by != r || c->o.twins || o == r || !c->r[o].used ||
                      !bits_has(&c->r[o].have, u),
                  "store %u lost event %zu in a crash, after store %u had it "
                  "from there",
                  r, u, o);
    }
    c->fig.feature[F_lost] += any;
}

static void crash(struct cluster *c, unsigned r, bool machine) {
    struct replica *me = &c->r[r];
    struct senses_file *f = &senses.file[r];
    bool back = machine && f->keep;
    if (machine && !back && me->level == LEVEL_relaxed)
        machine = false;
    /* Closing flushes nothing that the image should have. */
    f->keep = false;
    replica_stop(c, r, false);
    if (machine && me->level == LEVEL_ephemeral) {
        remove_store(me);
        me->may_fall = true;
    } else if (back) {
        store(c, file_in(me, "data.mdb"), &f->image);
        me->may_fall = true;
        me->crashed = true;
    }
}

/* ---- start ----------------------------------------------------------------
 */

static bool start(struct cluster *c, unsigned r) {
    struct replica *me = &c->r[r];
    struct bits had = me->have;
    if (!replica_start(c, r))
        return false;
    if (me->crashed)
        check_told(c, r, &had);
    me->crashed = false;
    return true;
}

/* ---- backups --------------------------------------------------------------
 */

static void save(struct cluster *c, unsigned r, struct save *to) {
    struct replica *me = &c->r[r];
    c->copied = true;
    MUST(c, ecrdt_flush(me->s));
    load(c, file_in(me, "data.mdb"), &to->data);
    load(c, file_in(me, "guard"), &to->guard);
    memcpy(to->me, me->me, sizeof to->me);
    memcpy(to->own, me->own, sizeof to->own);
    to->there = true;
}

static void restore(struct cluster *c, unsigned r, const struct save *from,
                    bool unseen) {
    struct replica *me = &c->r[r];
    bool was_up = replica_up(c, r);
    if (was_up)
        replica_stop(c, r, false);
    mkdir(me->dir, 02770);
    if (!unseen)
        unlink(file_in(me, "data.mdb")); /* another file, as from a backup */
    store(c, file_in(me, "data.mdb"), &from->data);
    senses.file[r].promised = senses.file[r].end = 0;
    if (unseen) {
        store(c, file_in(me, "guard"), &from->guard);
        c->o.twins = true;
        c->fig.feature[F_twins]++;
    }
    memcpy(me->me, from->me, sizeof me->me);
    memcpy(me->own, from->own, sizeof me->own);
    me->may_fall = true;
    me->crashed = false;
    if (was_up)
        start(c, r);
}

static bool copy_store(struct cluster *c, unsigned r, bool twin, unsigned to) {
    struct replica *me = &c->r[r], *copy = &c->r[to];
    struct buf b = {0};
    struct guard g;
    if (to >= NET_NODES || copy->used)
        return false;
    c->copied = true;
    replica_make(c, to, false, me->level);
    MUST(c, ecrdt_flush(me->s));
    mkdir(copy->dir, 02770);
    static const char *const files[] = {"data.mdb", "guard", "boot"};
    for (size_t i = 0; i < 3; i++) {
        if (access(file_in(me, files[i]), R_OK) != 0)
            continue;
        load(c, file_in(me, files[i]), &b);
        store(c, file_in(copy, files[i]), &b);
    }
    buf_free(&b);
    if (twin) {
        HOLDS(c, guard_load(copy->dir, &g) == 1, "a store without guard");
        guard_facts_read(copy->dir, &g.facts);
        MUST(c, guard_save(copy->dir, 0660, &g, false));
        c->o.twins = true;
        c->fig.feature[F_twins]++;
    }
    memcpy(copy->me, me->me, sizeof copy->me);
    memcpy(copy->own, me->own, sizeof copy->own);
    copy->have = me->have;
    copy->was = me->was | 1u << r;
    copy->knows = me->knows | 1u;
    copy->dials = copy->knows;
    for (unsigned o = 0; o < NET_NODES; o++)
        if (copy->knows >> o & 1) {
            c->r[o].knows |= 1u << to;
            if (replica_up(c, o))
                replica_peers(c, o);
        }
    replica_start(c, to);
    return true;
}

static void wipe(struct cluster *c, unsigned r) {
    bool was_up = replica_up(c, r);
    if (was_up)
        replica_stop(c, r, false);
    remove_store(&c->r[r]);
    c->r[r].may_fall = true;
    c->r[r].crashed = false;
    if (was_up)
        start(c, r);
}

bool step_store(struct cluster *c, const struct plan_step *s) {
    unsigned r = s->r;
    bool up = replica_up(c, r);
    struct save *sv = &c->r[r].save[s->a & 1];
    switch (s->what) {
    case DO_start:
        return !up && start(c, r);
    case DO_restore:
        if (!sv->there)
            return false;
        restore(c, r, sv, s->b);
        return true;
    case DO_wipe:
        wipe(c, r);
        return true;
    default:
        break;
    }
    if (!up)
        return false;
    if (s->what == DO_crash)
        crash(c, r, s->a);
    else if (s->what == DO_stop)
        replica_stop(c, r, true);
    else if (s->what == DO_save)
        save(c, r, sv);
    else
        return copy_store(c, r, s->a, (unsigned)s->b);
    return true;
}
