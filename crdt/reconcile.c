/* reconcile.c: compares fingerprints of ranges with what is here, splits what
 * differs, and raises clocks where nothing does. */
#include "crdt/reconcile.h"
#include "crdt/clocks.h"
#include "crdt/fork.h"
#include "crdt/fp_scan.h"
#include "crdt/items.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include "lib/mutant.h"

static int begin(struct reconcile *r, ecrdt_txn *t,
                 const uint8_t key[RECONCILE_KEY]) {
    struct fp *out[] = {&r->raise, &r->same, &r->split, &r->leaf_parts,
                        &r->want};
    char name[ECRDT_MAX_BUCKET_NAME + 1] = {0};
    memcpy(name, r->ask.bucket.data, r->ask.bucket.len);
    int rc = fp_scan_begin(&r->scan, t, name, &r->ask.f, key);
    r->here = rc == 1;
    r->leaf = RECONCILE_LEAF;
    struct bucket *bk = r->scan.bk;
    r->gen = r->here ? bk->head.gen : 0;
    for (size_t i = 0; i < sizeof out / sizeof *out && rc >= 0; i++) {
        out[i]->bucket = r->ask.bucket;
        out[i]->flags = r->ask.flags & FP_AUDIT;
        out[i]->gen = r->gen;
        rc = vv_copy(&out[i]->f, &r->ask.f);
        if (rc == ECRDT_OK && r->here)
            rc = clocks_vector(t, bk, CLOCK_FLOOR, &out[i]->floor);
    }
    if (rc == ECRDT_OK) { /* the sender's floor is in the FP */
        rc = vv_join(&r->raise.floor, &r->ask.floor);
        r->same.gen = r->ask.gen;
        r->raise.chains = r->ask.chains;
        r->ask.chains = (struct chain_lists){0};
    }
    if (rc == ECRDT_OK)
        rc = vv_join(&r->split.f, &r->split.floor);
    return rc < 0 ? rc : ECRDT_OK;
}

int reconcile_compare(struct reconcile *r, ecrdt_txn *t, slice body,
                      const uint8_t key[RECONCILE_KEY]) {
    r->compare = true;
    buf_put(&r->bytes, body.data, body.len);
    if (r->bytes.err)
        return r->bytes.err;
    int rc = fp_decode(buf_slice(&r->bytes), true, &r->ask);
    if (rc == ECRDT_ECORRUPT)
        return err_set(ECRDT_EPEER, "the peer sent a malformed fingerprint");
    size_t n = r->ask.n ? r->ask.n : 1;
    r->fan =
        RECONCILE_WIDE / n > RECONCILE_FAN ? RECONCILE_WIDE / n : RECONCILE_FAN;
    return rc < 0 ? rc : begin(r, t, key);
}

int reconcile_sum(struct reconcile *r, ecrdt_txn *t, struct fp *ask, size_t fan,
                  const uint8_t key[RECONCILE_KEY]) {
    buf_put(&r->bytes, ask->bucket.data, ask->bucket.len);
    r->ask = *ask;
    *ask = (struct fp){0};
    r->ask.bucket = buf_slice(&r->bytes);
    r->fan = fan;
    return r->bytes.err ? r->bytes.err : begin(r, t, key);
}

void reconcile_free(struct reconcile *r) {
    fp_scan_end(&r->scan);
    fp_free(&r->ask);
    fp_free(&r->raise);
    fp_free(&r->same);
    fp_free(&r->split);
    fp_free(&r->leaf_parts);
    fp_free(&r->want);
    buf_free(&r->bytes);
    *r = (struct reconcile){0};
}

/* ---- one part --------------------------------------------------------------
 */

static const struct item_id *block_hi(const struct reconcile *r, size_t i) {
    return i + 1 < r->scan.n ? &r->scan.blocks[i + 1].lo
                             : fp_hi(&r->ask.parts[r->at]);
}

/* Tells in m, which has look, the chains of our clock in block i down to the
 * peer's heads: 1 if some of those are shown to lie elsewhere; 0; < 0. */
static int vouch(struct reconcile *r, struct fp *m, struct reconcile_look *look,
                 size_t i) {
    struct bucket *bk = r->scan.bk;
    size_t range = r->scan.blocks[i].range, clk = r->ask.parts[r->at].clk;
    if (r->ask.flags & FP_AUDIT || clk >= r->ask.n_clks)
        return 0;
    if (look->known && look->range == range && look->clk == clk)
        return look->off;
    int rc = fork_vouch(r->scan.t, bk, &bk->rs.r[range].clk, &r->ask.clks[clk],
                        &m->chains);
    *look = (struct reconcile_look){rc >= 0, rc == 1, range, clk};
    return rc;
}

/* Adds the part's stretches in our ranges, each at our clock, to m; look: with
 * the chains behind it, but for those with another branch. */
static int add_at_ours(struct reconcile *r, struct fp *m,
                       struct reconcile_look *look) {
    const struct fp_scan *s = &r->scan;
    if (m->n + s->n > FP_PARTS_MAX)
        return ECRDT_OK;
    for (size_t i = 0; i < s->n; i++) {
        uint32_t no;
        int rc = look ? vouch(r, m, look, i) : 0;
        if (rc == 1)
            continue;
        if (rc == 0)
            rc = fp_add_clock(m, &s->bk->rs.r[s->blocks[i].range].clk, &no);
        if (rc < 0 || !fp_add(m, &s->blocks[i].lo, block_hi(r, i), no, true))
            return rc < 0 ? rc : ECRDT_ENOMEM;
    }
    return ECRDT_OK;
}

/* Adds the part at the clock in the FP. */
static int add_at_theirs(struct reconcile *r, struct fp *m) {
    const struct fp_part *p = &r->ask.parts[r->at];
    uint32_t no;
    int rc = fp_add_clock(m, &r->ask.clks[p->clk], &no);
    return rc < 0                                  ? rc
           : fp_add(m, &p->lo, fp_hi(p), no, true) ? ECRDT_OK
                                                   : ECRDT_ENOMEM;
}

/* Adds the part's blocks with their sums. A message that is full leaves the
 * rest to the next talk. */
static int add_split(struct reconcile *r) {
    const struct fp_scan *s = &r->scan;
    if (r->split.n + s->n > FP_PARTS_MAX)
        return ECRDT_OK;
    for (size_t i = 0; i < s->n; i++) {
        const struct fp_block *b = &s->blocks[i];
        uint32_t no;
        int rc = vouch(r, &r->split, &r->split_look, i);
        if (rc == 1)
            continue; /* chunks will meet, and merge the branches */
        if (rc == 0)
            rc = fp_add_clock(&r->split, &s->bk->rs.r[b->range].clk, &no);
        struct fp_part *p =
            rc < 0 ? NULL
                   : fp_add(&r->split, &b->lo, block_hi(r, i), no, false);
        if (!p)
            return rc < 0 ? rc : ECRDT_ENOMEM;
        p->count = b->count;
        memcpy(p->sum, b->sum, FP_SUM);
    }
    return ECRDT_OK;
}

/* In an audit: is the part at the clock in the FP here, too? */
static bool comparable(const struct reconcile *r) {
    const struct fp_part *p = &r->ask.parts[r->at];
    return r->here &&
           ranges_at(&r->scan.bk->rs, &p->lo, fp_hi(p), &r->ask.clks[p->clk]);
}

static int part_audited(struct reconcile *r, bool equal, uint64_t count) {
    if (equal)
        return add_at_theirs(r, &r->same);
    return count <= r->leaf ? add_at_theirs(r, &r->leaf_parts) : ECRDT_OK;
}

static int part_done(struct reconcile *r) {
    const struct fp_part *p = &r->ask.parts[r->at];
    uint8_t sum[FP_SUM];
    uint64_t count = fp_scan_total(&r->scan, sum);
    if (!r->compare)
        return add_split(r);
    bool equal = count == p->count && !memcmp(sum, p->sum, FP_SUM);
    r->compared++;
    r->differing += !equal;
    if (r->ask.flags & FP_AUDIT)
        return part_audited(r, equal, count);
    int rc;
    if (equal) {
        rc = add_at_theirs(r, &r->raise);
        return rc < 0 ? rc : add_at_ours(r, &r->same, &r->same_look);
    }
    bool dense = r->ask.n >= RECONCILE_WIDE && 2 * r->differing > r->compared;
    if (count > (dense ? RECONCILE_DENSE : r->leaf))
        return add_split(r);
    rc = add_at_theirs(r, &r->leaf_parts);
    return rc < 0 ? rc : add_at_ours(r, &r->want, NULL);
}

int reconcile_step(struct reconcile *r, uint64_t items) {
    bool audit = r->compare && r->ask.flags & FP_AUDIT;
    for (; r->at < r->ask.n && (r->here || audit); r->at++) {
        if (audit && !comparable(r)) {
            if (add_at_theirs(r, &r->want) < 0)
                return ECRDT_ENOMEM;
            continue;
        }
        const struct fp_part *p = &r->ask.parts[r->at];
        int rc = r->scan.n ? ECRDT_OK
                           : fp_scan_range(&r->scan, &p->lo, fp_hi(p), r->fan);
        if (rc == ECRDT_OK)
            rc = fp_scan_step(&r->scan, &items);
        if (rc <= 0)
            return rc;
        rc = part_done(r);
        if (rc < 0)
            return rc;
        r->scan.n = 0;
    }
    return 1;
}

/* ---- beginning a talk ------------------------------------------------------
 */

/* Adds the stretches of our range i in which the peer is below our floor, and
 * not empty. */
static int ask_about(const struct ranges *mine, size_t i,
                     const struct ranges *peer, struct fp *m) {
    const struct item_id *end = ranges_hi(mine, i);
    struct ranges_walk w =
        ranges_pieces(peer, item_id_slice(&mine->r[i].lo),
                      end ? item_id_slice(end) : slice_of(NULL, 0));
    int rc = ECRDT_OK;
    while (rc == ECRDT_OK && m->n < FP_PARTS_MAX && ranges_piece(&w)) {
        const struct vv *clk = &peer->r[w.i].clk;
        struct item_id lo, hi;
        uint32_t no;
        if (!clk->n || vv_le(&m->floor, clk))
            continue;
        item_id_set(&lo, w.lo);
        item_id_set(&hi, w.hi);
        rc = fp_add_clock(m, clk, &no);
        if (rc == ECRDT_OK && !fp_add(m, &lo, hi.len ? &hi : NULL, no, false))
            rc = ECRDT_ENOMEM;
    }
    return rc;
}

int reconcile_ask(ecrdt_txn *t, const char *bucket, const struct ranges *peer,
                  const struct vv *f_peer, struct fp *m) {
    struct bucket *bk;
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc <= 0)
        return rc;
    rc = clocks_load(t, bk);
    if (rc == ECRDT_OK)
        rc = clocks_vector(t, bk, CLOCK_FLOOR, &m->floor);
    m->bucket = ecrdt_str(bk->name);
    m->gen = bk->head.gen;
    if (rc == ECRDT_OK)
        rc = vv_copy(&m->f, f_peer);
    if (rc == ECRDT_OK)
        rc = vv_join(&m->f, &m->floor);
    for (size_t i = 0; i < bk->rs.n && peer->n && rc == ECRDT_OK; i++)
        rc = ask_about(&bk->rs, i, peer, m);
    return rc;
}

int reconcile_items(ecrdt_txn *t, const char *bucket, uint64_t *n) {
    struct bucket *bk;
    *n = 0;
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc <= 0)
        return rc;
    rc = txn_head(t, bk);
    if (rc == ECRDT_OK)
        *n = bk->head.live + bk->head.tombs;
    return rc;
}

/* ---- a random range --------------------------------------------------------
 */

/* A place between the first and the last id: what they share, then a byte
 * between theirs, then random ones. 1; 0 if there are no items. */
static int random_place(struct items *c, const struct bucket *bk,
                        uint64_t random, struct item_key *out) {
    struct item_id first;
    uint8_t prefix[BUCKET_PREFIX];
    slice key = item_key_prefix(prefix, bk->id), rec;
    int rc = items_seek(c, &key, &rec);
    if (rc <= 0 || !item_key_in(key, bk->id))
        return rc < 0 ? rc : 0;
    item_id_set(&first, item_key_id_of(key));
    key = item_key_prefix(prefix, bk->id + 1);
    rc = items_before(c, &key, &rec);
    if (rc <= 0 || !item_key_in(key, bk->id))
        return rc < 0 ? rc : 0;
    slice last = item_key_id_of(key);
    const uint8_t *b = last.data;
    uint8_t id[ITEM_ID_MAX];
    size_t n = 0;
    while (n < first.len && n < last.len && first.b[n] == b[n])
        n++;
    memcpy(id, b, n);
    if (n < first.len && n < last.len) {
        id[n] = (uint8_t)(first.b[n] +
                          (random & 0xff) % (uint64_t)(b[n] - first.b[n] + 1));
        for (n++; n < ITEM_ID_MAX && (random >>= 8) != 0;)
            id[n++] = (uint8_t)random;
    }
    item_key_set(out, bk->id, slice_of(id, n), 0);
    return 1;
}

/* The id that lies *n items before key, or the lowest where the bucket begins;
 * leaves in *n what there was not. */
static int step_back(struct items *c, const struct bucket *bk, slice key,
                     uint64_t *n, struct item_id *out) {
    slice rec;
    int rc = 1;
    while (*n && (rc = items_before(c, &key, &rec)) == 1 &&
           item_key_in(key, bk->id)) {
        item_id_set(out, item_key_id_of(key));
        --*n;
    }
    if (*n)
        out->len = 0;
    return rc;
}

/* The same forwards; *bounded: there is one. */
static int step_on(struct items *c, const struct bucket *bk, slice key,
                   uint64_t n, struct item_id *out, bool *bounded) {
    slice rec;
    int rc = items_seek(c, &key, &rec);
    for (; rc == 1 && item_key_in(key, bk->id) && n; n--)
        rc = items_next(c, &key, &rec);
    *bounded = rc == 1 && item_key_in(key, bk->id);
    if (*bounded)
        item_id_set(out, item_key_id_of(key));
    return rc;
}

int reconcile_random(ecrdt_txn *t, const char *bucket, uint64_t random,
                     uint64_t items, struct item_id *lo, struct item_id *hi,
                     bool *bounded) {
    struct item_key from;
    struct items c;
    struct bucket *bk;
    uint64_t before = items / 2;
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc == 1)
        rc = items_open(&c, t);
    else
        return rc;
    if (rc < 0)
        return rc;
    rc = random_place(&c, bk, random, &from);
    *bounded = false;
    if (rc == 1) {
        slice key = item_key_db(&from);
        item_id_set(lo, item_key_id(&from));
        rc = step_back(&c, bk, key, &before, lo);
        if (rc >= 0)
            rc = step_on(&c, bk, key, items - items / 2 + before, hi, bounded);
        rc = rc < 0 ? rc : 1;
    }
    items_close(&c);
    return rc;
}

/* ---- raising ---------------------------------------------------------------
 */

/* Before anything else: does a clock know a twin of this store (PROTOCOL D5)?
 * Then it is not for the incarnation that the store has from here on. 1 = so
 * it was. */
static int check_own(ecrdt_txn *t, struct bucket *bk, const struct fp *m) {
    int rc = 0;
    for (size_t i = 0; i < m->n_clks && rc == 0 && !MUTANT(fptwin); i++)
        rc = twin_check(t, bk, &m->clks[i]);
    return rc;
}

/* A raised stretch costs a clock of its own until its neighbours follow. */
enum { RAISE_ENTRIES_MAX = 1 << 18 };

static bool too_many_cuts(const struct bucket *bk, const struct vv *clk) {
    return bk->rs.n + 2 > RANGES_MAX ||
           bk->rs.n * (clk->n + 1) > RAISE_ENTRIES_MAX;
}

static int raise_part(ecrdt_txn *t, struct bucket *bk, const struct fp *m,
                      const struct fp_part *p, struct raise_report *r) {
    const struct vv *clk = &m->clks[p->clk];
    size_t from, to;
    bool whole = p->lo.len == 0 && !p->bounded;
    if (!whole && too_many_cuts(bk, clk)) {
        r->refused++;
        return ECRDT_OK;
    }
    int rc = clocks_cut(bk, item_id_slice(&p->lo), &from);
    to = bk->rs.n;
    if (rc == ECRDT_OK && p->bounded)
        rc = clocks_cut(bk, item_id_slice(&p->hi), &to);
    if (rc == ECRDT_OK && !p->bounded)
        to = bk->rs.n;
    for (; from < to && rc >= 0; from++) {
        rc = fork_raise_by(t, bk, &bk->rs.r[from].clk, clk, &m->chains);
        r->doubtful += rc == 0;
    }
    return rc < 0 ? rc : ECRDT_OK;
}

/* Tombs that both left out are claimed by the clock as well: the floor says
 * that they may be missing here. */
static int raise_floor(ecrdt_txn *t, struct bucket *bk, const struct fp *m) {
    int rc = ECRDT_OK;
    if (!MUTANT(fptomb) && !MUTANT(noinherit)) {
        rc = clocks_raise_all(t, bk, CLOCK_FLOOR, &m->f);
        if (rc == ECRDT_OK)
            rc = clocks_raise_all(t, bk, CLOCK_FLOOR, &m->floor);
    }
    return rc;
}

int reconcile_raise(ecrdt_txn *t, const struct fp *m, struct raise_report *r) {
    char name[ECRDT_MAX_BUCKET_NAME + 1] = {0};
    struct bucket *bk;
    *r = (struct raise_report){0};
    memcpy(name, m->bucket.data, m->bucket.len);
    int rc = m->n ? txn_bucket(t, name, false, &bk) : 0;
    if (rc <= 0)
        return rc;
    rc = clocks_load(t, bk);
    if (rc == ECRDT_OK && bk->head.gen != m->gen && !MUTANT(nogen)) {
        r->stale = true;
        return ECRDT_OK;
    }
    if (rc == ECRDT_OK)
        rc = check_own(t, bk, m);
    if (rc == 1) {
        r->doubtful = (uint32_t)m->n;
        return ECRDT_OK;
    }
    for (size_t i = 0; i < m->n && rc == ECRDT_OK; i++)
        rc = raise_part(t, bk, m, &m->parts[i], r);
    ranges_join_equal(&bk->rs);
    bk->ranges_dirty = true;
    if (rc == ECRDT_OK && r->refused < m->n)
        rc = raise_floor(t, bk, m);
    return rc < 0 ? db_stick(t->db, rc) : ECRDT_OK;
}
