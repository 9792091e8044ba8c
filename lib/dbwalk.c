/* dbwalk.c: walks the B-trees of an LMDB 0.9 file as bytes. What it trusts it
 * has checked: a damaged file costs a finding, never a signal. */
#include "lib/dbwalk.h"
#include "lib/alloc.h"
#include "lib/dbraw.h"
#include "lib/err.h"
#include "lib/record.h"
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LINE = 256, TABLES_MAX = 32, NAME_MAX_BYTES = 32, UNIT = 2 };

/* One table, or the list of free pages. */
struct tree {
    char name[NAME_MAX_BYTES];
    struct raw_db db;
    bool is_free, is_main;
    uint64_t branch, leaf, overflow, entries; /* that were seen */
    /* The key before, or the separator that all that follow must reach. */
    uint8_t key[RAW_KEY_MAX];
    size_t key_len;
    bool has_key, may_equal;
};

struct walk {
    struct dbwalk *out;
    uint64_t page_size, last;
    uint64_t *used; /* a bit for each page */
    uint8_t *pages; /* one for each level */
    uint8_t *held;  /* by nodes of the page at hand: each unit of it */
    uint8_t *big;   /* a value of overflow pages */
    size_t big_cap;
    struct tree named[TABLES_MAX];
    unsigned n_named;
    int stop;
};

static void find(struct walk *w, uint64_t *count, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void find(struct walk *w, uint64_t *count, const char *fmt, ...) {
    char line[LINE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    ++*count;
    if (!w->stop && w->out->find && w->out->find(w->out->ctx, line))
        w->stop = err_set(ECRDT_ECANCELED, "the sink stopped the check");
}

/* A finding on a page of a tree: LMDB must not see it. */
static bool bad(struct walk *w, const struct tree *t, uint64_t page,
                const char *what) {
    find(w, &w->out->broken, "page %llu, table '%s': %s",
         (unsigned long long)page, t->name, what);
    return false;
}

/* ---- pages ----------------------------------------------------------------
 */

/* Counts a run of pages as used, once. */
static bool take(struct walk *w, const struct tree *t, uint64_t page,
                 uint64_t n) {
    if (page < 2 || page > w->last || n > w->last - page + 1)
        return bad(w, t, page, "it lies outside of the file");
    for (uint64_t i = page; i < page + n; i++) {
        uint64_t bit = UINT64_C(1) << (i % 64);
        if (w->used[i / 64] & bit)
            return bad(w, t, i, "it is used twice");
        w->used[i / 64] |= bit;
    }
    w->out->pages += n;
    return true;
}

static size_t even(size_t n) {
    return n + (n & 1);
}

/* A node of a page whose header was checked. */
struct node {
    slice key;
    const uint8_t *value; /* in a leaf, inside the page */
    size_t size;          /* of it */
    uint64_t child;
    uint16_t flags;
    size_t bytes; /* of the page that it takes up */
};

static bool node_read(const struct walk *w, const uint8_t *p, bool leaf,
                      unsigned i, struct node *out) {
    struct raw_node raw;
    struct raw_page head;
    uint16_t at;
    memcpy(&head, p, sizeof head);
    memcpy(&at, p + sizeof head + sizeof at * i, sizeof at);
    if (at < head.upper || at % UNIT || at + sizeof raw > w->page_size)
        return false;
    memcpy(&raw, p + at, sizeof raw);
    *out = (struct node){.flags = raw.flags,
                         .size = raw.size_low | (size_t)raw.size_high << 16,
                         .value = p + at + sizeof raw + raw.key_size,
                         .key = slice_of(p + at + sizeof raw, raw.key_size)};
    out->child = (uint64_t)raw.flags << 32 | out->size;
    size_t held = !leaf                 ? 0
                  : raw.flags & RAW_BIG ? sizeof out->child
                                        : out->size;
    out->bytes = even(sizeof raw + raw.key_size + held);
    return raw.key_size <= RAW_KEY_MAX && at + out->bytes <= w->page_size;
}

/* Do the nodes fill the page from its upper bound to its end, none inside
 * another? */
static bool nodes_fit(struct walk *w, const uint8_t *p, bool leaf, unsigned n) {
    struct raw_page head;
    struct node node;
    memcpy(&head, p, sizeof head);
    memset(w->held, 0, w->page_size / UNIT);
    size_t at, filled = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!node_read(w, p, leaf, i, &node))
            return false;
        at = (size_t)((const uint8_t *)node.key.data - p) -
             sizeof(struct raw_node);
        for (size_t b = at / UNIT; b < (at + node.bytes) / UNIT; b++)
            if (w->held[b])
                return false;
        memset(w->held + at / UNIT, 1, node.bytes / UNIT);
        filled += node.bytes;
    }
    return filled == w->page_size - head.upper;
}

/* Reads a page of a tree to the buffer of its level: its nodes, or -1. */
static int page_read(struct walk *w, struct tree *t, uint64_t no,
                     unsigned level) {
    struct raw_page head;
    uint8_t *p = w->pages + level * w->page_size;
    bool leaf = level + 1 == t->db.depth;
    if (!take(w, t, no, 1))
        return -1;
    if (!raw_read(w->out->fd, p, w->page_size, no * w->page_size))
        return bad(w, t, no, "it cannot be read") - 1;
    memcpy(&head, p, sizeof head);
    if (head.number != no || head.flags != (leaf ? RAW_LEAF : RAW_BRANCH))
        return bad(w, t, no, "it is another page than it should be") - 1;
    unsigned n = (head.lower - (unsigned)sizeof head) / 2;
    /* LMDB lets the list of free pages have branches of one node. */
    unsigned least = leaf || t->is_free ? 1 : 2;
    if (head.lower < sizeof head || head.lower % 2 || head.upper % UNIT ||
        head.lower > head.upper || head.upper > w->page_size || n < least ||
        !nodes_fit(w, p, leaf, n))
        return bad(w, t, no, "its nodes do not lie as they should") - 1;
    *(leaf ? &t->leaf : &t->branch) += 1;
    return (int)n;
}

/* ---- keys -----------------------------------------------------------------
 */

static int compare(const struct tree *t, slice a, slice b) {
    if (!t->is_free)
        return slice_cmp(a, b);
    uint64_t x, y;
    memcpy(&x, a.data, sizeof x);
    memcpy(&y, b.data, sizeof y);
    return (x > y) - (x < y);
}

/* Is the key behind all before it? A separator is the least that may follow
 * it. */
static bool in_order(struct tree *t, slice key, bool separator) {
    if (!key.len || (t->is_free && key.len != sizeof(uint64_t)))
        return false;
    slice before = slice_of(t->key, t->key_len);
    int c = t->has_key ? compare(t, key, before) : 1;
    if (c < 0 || (c == 0 && !t->may_equal))
        return false;
    memcpy(t->key, key.data, key.len);
    t->key_len = key.len;
    t->has_key = true;
    t->may_equal = separator;
    return true;
}

/* ---- rows -----------------------------------------------------------------
 */

/* A list of pages that transaction freed: its length, then from high to low. */
static bool free_list(struct walk *w, struct tree *t, uint64_t page, slice key,
                      const uint8_t *value, size_t size) {
    uint64_t freed_by, n, no, above = w->last + 1;
    memcpy(&freed_by, key.data, sizeof freed_by);
    if (size < sizeof n || size % sizeof n || freed_by > w->out->txn)
        return bad(w, t, page, "a list of free pages is malformed");
    memcpy(&n, value, sizeof n);
    if (n > size / sizeof n - 1)
        return bad(w, t, page, "a list of free pages is too short");
    for (uint64_t i = 1; i <= n; i++, above = no) {
        memcpy(&no, value + i * sizeof no, sizeof no);
        if (no >= above)
            return bad(w, t, page, "a list of free pages is out of order");
        if (!take(w, t, no, 1))
            return false;
    }
    return true;
}

static bool table_row(struct walk *w, struct tree *t, uint64_t page,
                      const struct node *node) {
    struct raw_db db;
    if (!t->is_main || node->flags != RAW_TABLE || node->size != sizeof db ||
        node->key.len >= NAME_MAX_BYTES || w->n_named == TABLES_MAX)
        return bad(w, t, page, "the record of a table is malformed");
    struct tree *sub = &w->named[w->n_named++];
    *sub = (struct tree){0};
    memcpy(sub->name, node->key.data, node->key.len);
    memcpy(&sub->db, node->value, sizeof db);
    return true;
}

static bool grow_big(struct walk *w, size_t n) {
    if (alloc_grow(&w->big, &w->big_cap, n, 1) == ECRDT_OK)
        return true;
    w->stop = ECRDT_ENOMEM;
    return false;
}

/* A value in overflow pages, read to w->big. LMDB leaves a run as it is when a
 * smaller value takes its place. */
static bool big_value(struct walk *w, struct tree *t, uint64_t page,
                      const struct node *node) {
    struct raw_page head;
    uint64_t no;
    uint32_t count;
    memcpy(&no, node->value, sizeof no);
    uint64_t n = (sizeof head + node->size + w->page_size - 1) / w->page_size;
    if (no > w->last ||
        !raw_read(w->out->fd, &head, sizeof head, no * w->page_size))
        return bad(w, t, page, "a large value of it is outside of the file");
    memcpy(&count, &head.lower, sizeof count);
    if (head.number != no || head.flags != RAW_OVERFLOW || count < n)
        return bad(w, t, no, "it does not begin a large value");
    if (!take(w, t, no, count))
        return false;
    t->overflow += count;
    return grow_big(w, node->size) &&
           (raw_read(w->out->fd, w->big, node->size,
                     no * w->page_size + sizeof head) ||
            bad(w, t, no, "it cannot be read"));
}

static bool row(struct walk *w, struct tree *t, uint64_t page,
                const struct node *node) {
    const uint8_t *value = node->value;
    slice whole;
    t->entries++;
    w->out->rows++;
    if (!in_order(t, node->key, false))
        return bad(w, t, page, "its keys are out of order");
    if (node->flags & RAW_TABLE)
        return table_row(w, t, page, node);
    if (node->flags & ~RAW_BIG)
        return bad(w, t, page, "a node of it is of an unknown kind");
    if (node->flags & RAW_BIG) {
        if (!big_value(w, t, page, node))
            return false;
        value = w->big;
    }
    if (t->is_free)
        return free_list(w, t, page, node->key, value, node->size);
    if (!record_whole(node->key, slice_of(value, node->size), &whole))
        find(w, &w->out->damaged, "page %llu, table '%s': a record is damaged",
             (unsigned long long)page, t->name);
    return true;
}

/* ---- trees ----------------------------------------------------------------
 */

/* A page and all below it. A finding ends the page it is on, not the walk. */
static void walk_page(struct walk *w, struct tree *t, uint64_t no,
                      unsigned level) {
    const uint8_t *p = w->pages + level * w->page_size;
    bool leaf = level + 1 == t->db.depth;
    int n = page_read(w, t, no, level);
    for (int i = 0; i < n && !w->stop; i++) {
        struct node node;
        node_read(w, p, leaf, (unsigned)i, &node);
        if (leaf && !row(w, t, no, &node))
            return;
        if (leaf)
            continue;
        if (i && !in_order(t, node.key, true)) {
            bad(w, t, no, "its keys are out of order");
            return;
        }
        walk_page(w, t, node.child, level + 1);
    }
}

static void walk_tree(struct walk *w, struct tree *t) {
    const struct raw_db *db = &t->db;
    uint64_t before = w->out->broken;
    bool empty = db->root == RAW_NO_PAGE;
    if (db->flags != (t->is_free ? RAW_FREE_FLAGS : 0) ||
        db->depth > RAW_DEPTH_MAX || empty != !db->depth) {
        find(w, &w->out->broken, "table '%s': its record is malformed",
             t->name);
        return;
    }
    if (!empty)
        walk_page(w, t, db->root, 0);
    if (w->stop || w->out->broken != before)
        return;
    if (t->branch != db->branch || t->leaf != db->leaf ||
        t->overflow != db->overflow || t->entries != db->entries)
        find(w, &w->out->broken,
             "table '%s': its record says %llu rows, there are %llu; or their "
             "pages differ",
             t->name, (unsigned long long)db->entries,
             (unsigned long long)t->entries);
}

/* ---- the file -------------------------------------------------------------
 */

static int same_size(const struct raw_meta *m, uint64_t page_size) {
    return m->dbs[0].pad == page_size
               ? ECRDT_OK
               : err_set(ECRDT_ECORRUPT, "a meta page is damaged");
}

/* The meta page of the snapshot, or the one that took its place: who holds a
 * snapshot keeps the pages of all that follow it, too. Read twice, for another
 * process may be writing it. */
static int read_meta(const struct dbwalk *out, struct raw_meta *m) {
    enum { LOOKS = 1000 };
    struct raw_meta first;
    uint64_t size;
    if (!raw_read(out->fd, &first, sizeof first, 0))
        return err_set(ECRDT_ECORRUPT, "the first page cannot be read");
    size = first.dbs[0].pad;
    if (size < RAW_PAGE_MIN || size > RAW_PAGE_MAX || size & (size - 1))
        return err_set(ECRDT_ECORRUPT, "the first page is damaged");
    for (int i = 0; i < LOOKS; i++)
        if (raw_read(out->fd, &first, sizeof first, size * (out->txn & 1)) &&
            raw_read(out->fd, m, sizeof *m, size * (out->txn & 1)) &&
            !memcmp(m, &first, sizeof first))
            return m->txn >= out->txn ? same_size(m, size) : ECRDT_EBUSY;
    return ECRDT_EBUSY;
}

static int begin(struct walk *w, const struct raw_meta *m) {
    w->page_size = m->dbs[0].pad;
    w->last = m->last;
    w->used = alloc_zeroed(w->last / 64 + 1, sizeof *w->used);
    w->pages = alloc_zeroed(RAW_DEPTH_MAX, w->page_size);
    w->held = alloc_zeroed(w->page_size, 1);
    return w->used && w->pages && w->held ? ECRDT_OK : ECRDT_ENOMEM;
}

static void end(struct walk *w) {
    alloc_free(w->used);
    alloc_free(w->pages);
    alloc_free(w->held);
    alloc_free(w->big);
}

static struct tree free_pages(const struct raw_meta *m) {
    return (struct tree){
        .name = "free pages", .is_free = true, .db = m->dbs[0]};
}

/* Are the pages from first to the last free? */
static bool all_free(struct walk *w, const struct raw_meta *m, uint64_t first) {
    struct tree unused = free_pages(m);
    walk_tree(w, &unused);
    bool yes = !w->out->broken;
    for (uint64_t i = first; yes && i <= w->last; i++)
        yes = w->used[i / 64] >> (i % 64) & 1;
    return yes;
}

int dbwalk_reaches(int fd, const struct raw_meta *m) {
    struct dbwalk out = {.fd = fd, .txn = m->txn};
    struct walk w = {.out = &out};
    struct stat st;
    if (fstat(fd, &st)) /* not lseek(): LMDB writes where that points to */
        return 0;
    uint64_t size = (uint64_t)st.st_size, pages = size / m->dbs[0].pad;
    if (m->last < pages)
        return 1;
    /* The list names a page in 8 bytes of the file. */
    if (m->last - pages >= size / sizeof m->last)
        return 0;
    int rc = begin(&w, m);
    if (rc == ECRDT_OK)
        rc = all_free(&w, m, pages);
    end(&w);
    return w.stop ? w.stop : rc;
}

static void walk_all(struct walk *w, const struct raw_meta *m) {
    struct tree unused = free_pages(m);
    struct tree tables = {.name = "heads", .is_main = true, .db = m->dbs[1]};
    walk_tree(w, &tables);
    for (unsigned i = 0; i < w->n_named && !w->stop; i++)
        walk_tree(w, &w->named[i]);
    if (w->n_named < w->out->tables && !w->out->broken && !w->stop)
        find(w, &w->out->broken, "the record of a table is missing");
    if (!w->stop)
        walk_tree(w, &unused);
    uint64_t held = 0;
    for (uint64_t i = 0; i <= w->last / 64; i++)
        held += (uint64_t)__builtin_popcountll(w->used[i]);
    w->out->lost = w->last + 1 - 2 - held;
}

int dbwalk(struct dbwalk *out) {
    struct walk w = {.out = out};
    struct raw_meta m;
    out->pages = out->rows = out->broken = out->damaged = out->lost = 0;
    int rc = read_meta(out, &m);
    if (rc == ECRDT_OK)
        rc = dbwalk_reaches(out->fd, &m);
    if (rc == 0)
        rc = err_set(ECRDT_ECORRUPT,
                     "a meta page is damaged, or the file is cut off");
    if (rc == 1)
        rc = begin(&w, &m);
    if (rc == ECRDT_OK) {
        out->txn = m.txn;
        walk_all(&w, &m);
    }
    end(&w);
    return rc < 0 ? rc : w.stop;
}
