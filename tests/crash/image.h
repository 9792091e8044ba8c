/* image.h: a folder as a journal leaves it: what its files hold, what of that
 * is synced, and each way in which a crash may leave the rest. Rules: a sync
 * of a file makes durable what was written to it before, its size too; one of
 * a folder the names in it, which else are durable in order; a sector of 512
 * bytes is old or new, or anything at all unless it is one of the two that
 * hold LMDB's meta pages. */
#ifndef TESTS_CRASH_IMAGE_H
#define TESTS_CRASH_IMAGE_H
#include "tests/crash/journal.h"
#include "tests/crash/kit.h"
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

enum {
    IMAGE_FILES = 16,
    IMAGE_SIZE = 16 << 20, /* of a file at most */
    SECTOR = 512,
    META_BYTES = 8192
};

/* How a crash leaves what is not synced. */
enum image_kind {
    ALL,     /* all of it is there                                   */
    SYNCED,  /* none of it                                           */
    HALF,    /* each sector by a coin                                */
    TORN,    /* all but the last write, which ends in a sector       */
    TRASHED, /* each sector is old, new, zeros or random             */
    KINDS
};

struct record {
    struct journal_head h;
    const uint8_t *data;
    struct inode *ino; /* that J_CREATE made */
};

struct content {
    uint8_t *data;
    size_t len;
};

/* A file: its content now, what of it is synced, and what came since. */
struct inode {
    char base[JOURNAL_NAME]; /* the last part of its name */
    struct content now, safe;
    const struct record **late;
    size_t n_late, cap_late;
};

struct names {
    struct {
        char name[JOURNAL_NAME];
        struct inode *ino; /* NULL: a folder */
    } at[IMAGE_FILES];
    unsigned n;
};

struct image {
    struct names now, safe;
    struct record *late[4 * IMAGE_FILES]; /* changes of names, not synced */
    unsigned n_late;
};

/* ---- content --------------------------------------------------------------
 */

static inline void content_put(struct content *c, uint64_t at, const void *p,
                               size_t n) {
    must(at + n <= IMAGE_SIZE);
    if (!c->data)
        must((c->data = calloc(1, IMAGE_SIZE)));
    if (n)
        memcpy(c->data + at, p, n);
    if (at + n > c->len)
        c->len = at + n;
}

static inline void content_copy(struct content *to,
                                const struct content *from) {
    if (to->len > from->len)
        memset(to->data + from->len, 0, to->len - from->len);
    to->len = 0;
    content_put(to, 0, from->data, from->len);
}

static inline void content_resize(struct content *c, uint64_t n) {
    if (n < c->len)
        memset(c->data + n, 0, c->len - n);
    content_put(c, n, NULL, 0);
    c->len = n;
}

/* All that a record does to a file. */
static inline void content_do(struct content *c, const struct record *r) {
    const struct journal_head *h = &r->h;
    if (h->op == J_WRITE)
        content_put(c, h->offset, r->data, h->size);
    else if (h->op == J_TRUNCATE)
        content_resize(c, h->offset);
    else if (h->arg & FALLOC_FL_PUNCH_HOLE) {
        uint64_t end = h->offset + h->size;
        if (h->offset < c->len)
            memset(c->data + h->offset, 0,
                   (end < c->len ? end : c->len) - h->offset);
    } else if (!(h->arg & FALLOC_FL_KEEP_SIZE) && h->offset + h->size > c->len)
        content_resize(c, h->offset + h->size);
}

/* What a crash makes of one sector of a write. */
static inline void sector_do(struct content *c, uint64_t at, const uint8_t *p,
                             size_t n, enum image_kind kind, struct rng *r) {
    uint8_t junk[SECTOR] = {0};
    uint64_t choice = rng_below(r, kind == TRASHED ? 4 : 2);
    if (choice > 1 && at < META_BYTES)
        choice -= 2;
    if (choice == 2)
        rng_bytes(r, junk, sizeof junk);
    if (choice)
        content_put(c, at, choice == 1 ? p : junk, n);
}

static inline void write_do(struct content *c, const struct record *r,
                            enum image_kind kind, struct rng *rng) {
    for (uint64_t done = 0; done < r->h.size;) {
        uint64_t at = r->h.offset + done;
        uint64_t n = SECTOR - at % SECTOR, left = r->h.size - done;
        n = n < left ? n : left;
        sector_do(c, at, r->data + done, n, kind, rng);
        done += n;
    }
}

/* The file after the crash. */
static inline void inode_crash(struct content *c, const struct inode *f,
                               enum image_kind kind, struct rng *rng) {
    content_copy(c, kind == ALL ? &f->now : &f->safe);
    for (size_t i = 0; i < f->n_late && kind >= HALF; i++) {
        const struct record *r = f->late[i];
        bool whole = r->h.op != J_WRITE;
        if (kind == TORN && (i + 1 < f->n_late || whole)) {
            content_do(c, r);
        } else if (kind == TORN) {
            uint64_t sectors = (r->h.size + SECTOR - 1) / SECTOR;
            content_put(c, r->h.offset, r->data,
                        rng_below(rng, sectors) * SECTOR);
        } else if (!whole) {
            write_do(c, r, kind, rng);
        } else if (rng_below(rng, 2)) {
            content_do(c, r);
        }
    }
}

/* ---- names ----------------------------------------------------------------
 */

static inline unsigned names_find(const struct names *n, const char *name) {
    unsigned i = 0;
    while (i < n->n && strcmp(n->at[i].name, name) != 0)
        i++;
    return i;
}

static inline struct inode *names_get(const struct names *n, const char *name) {
    unsigned i = names_find(n, name);
    must(i < n->n && n->at[i].ino);
    return n->at[i].ino;
}

static inline void names_drop(struct names *n, const char *name) {
    unsigned i = names_find(n, name);
    if (i < n->n)
        n->at[i] = n->at[--n->n];
}

static inline void names_do(struct names *n, const struct record *r) {
    char to[JOURNAL_NAME] = "";
    unsigned i;
    if (r->h.op == J_UNLINK) {
        names_drop(n, r->h.name);
    } else if (r->h.op == J_RENAME) {
        memcpy(to, r->data, r->h.size);
        names_drop(n, to);
        i = names_find(n, r->h.name);
        must(i < n->n);
        strcpy(n->at[i].name, to);
    } else {
        must(n->n < IMAGE_FILES);
        strcpy(n->at[n->n].name, r->h.name);
        n->at[n->n++].ino = r->ino;
    }
}

/* ---- the journal ----------------------------------------------------------
 */

static inline struct inode *inode_new(const char *name) {
    struct inode *f = calloc(1, sizeof *f);
    const char *slash = strrchr(name, '/');
    must(f);
    strcpy(f->base, slash ? slash + 1 : name);
    content_put(&f->now, 0, NULL, 0);
    content_put(&f->safe, 0, NULL, 0);
    return f;
}

static inline void image_change(struct image *im, struct record *r) {
    struct inode *f = names_get(&im->now, r->h.name);
    content_do(&f->now, r);
    if (r->h.op == J_WRITE && r->h.arg) { /* O_DSYNC */
        content_do(&f->safe, r);
        return;
    }
    if (f->n_late == f->cap_late)
        must((f->late = realloc(f->late, (f->cap_late = f->cap_late * 2 + 16) *
                                             sizeof *f->late)));
    f->late[f->n_late++] = r;
}

static inline void image_sync(struct image *im, const struct record *r) {
    if (r->h.arg) {
        im->safe = im->now;
        im->n_late = 0;
        return;
    }
    struct inode *f = names_get(&im->now, r->h.name);
    for (size_t i = 0; i < f->n_late; i++)
        content_do(&f->safe, f->late[i]);
    f->n_late = 0;
}

/* Takes the next record; false if no image differs by it. */
static inline bool image_take(struct image *im, struct record *r) {
    switch (r->h.op) {
    case J_WRITE:
    case J_TRUNCATE:
    case J_ALLOCATE:
        image_change(im, r);
        return true;
    case J_SYNC:
        image_sync(im, r);
        return true;
    case J_MARK:
    case J_MAPPED:
        return false;
    default:
        if (!r->h.name[0])
            return false; /* the folder itself is there */
        if (r->h.op == J_CREATE)
            r->ino = inode_new(r->h.name);
        names_do(&im->now, r);
        must(im->n_late < sizeof im->late / sizeof *im->late);
        im->late[im->n_late++] = r;
        return true;
    }
}

/* Is anything not synced? */
static inline bool image_late(const struct image *im) {
    bool late = im->n_late;
    for (unsigned i = 0; i < im->now.n; i++)
        late = late || (im->now.at[i].ino && im->now.at[i].ino->n_late);
    return late;
}

/* The names after the crash. */
static inline void image_names(struct names *out, const struct image *im,
                               enum image_kind kind, struct rng *r) {
    unsigned n = kind == SYNCED ? 0
                 : kind == ALL || kind == TORN
                     ? im->n_late
                     : (unsigned)rng_below(r, im->n_late + 1);
    *out = im->safe;
    for (unsigned i = 0; i < n; i++)
        names_do(out, im->late[i]);
}

/* Reads a journal; the caller keeps it to the end. */
static inline struct record *journal_read(const char *path, size_t *n) {
    size_t len, cap = 1024, at = 0;
    const uint8_t *b = (const uint8_t *)file_read(path, &len);
    struct record *all = NULL;
    for (*n = 0; at < len; ++*n) {
        if (*n % cap == 0)
            must((all = realloc(all, (*n + cap) * sizeof *all)));
        struct record *r = &all[*n];
        memcpy(&r->h, b + at, sizeof r->h);
        r->data = b + at + sizeof r->h;
        r->ino = NULL;
        must(r->h.magic == JOURNAL_MAGIC && at + sizeof r->h <= len);
        at += sizeof r->h + (r->h.op == J_ALLOCATE ? 0 : r->h.size);
    }
    must(at == len);
    return all;
}
#endif
