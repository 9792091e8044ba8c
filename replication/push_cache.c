/* push_cache.c: encodes a chunk once for all links whose peers lack the
 * same. */
#include "replication/push_cache.h"
#include "lib/mutant.h"

static void forget(struct encoded *e) {
    ranges_free(&e->base);
    ranges_free(&e->after);
    buf_free(&e->bytes);
    *e = (struct encoded){0};
}

void push_cache_free(struct push_cache *c) {
    for (size_t i = 0; i < PUSH_CACHE; i++)
        forget(&c->e[i]);
}

static bool fits(const struct encoded *e, const struct mirror *m,
                 const struct chunk_budget *budget) {
    return !m->theirs.some && e->view == m->view &&
           e->version == m->view->version &&
           e->budget.max_bytes == budget->max_bytes &&
           e->budget.max_items == budget->max_items &&
           (ranges_eq(&e->base, &m->peer) || MUTANT(wrongbase));
}

static int reuse(const struct encoded *e, struct mirror *m) {
    m->tail.arrival = e->arrival;
    int rc = ranges_copy(&m->tail.pushed, &m->view->state->ranges);
    return rc < 0 ? rc : ranges_copy(&m->peer, &e->after);
}

int push_cache_build(struct push_cache *c, ecrdt_txn *t, struct mirror *m,
                     const struct chunk_budget *budget,
                     const struct encoded **out) {
    int rc = ranges_init(&m->peer);
    for (size_t i = 0; i < PUSH_CACHE && rc == ECRDT_OK; i++)
        if (fits(&c->e[i], m, budget)) {
            *out = &c->e[i];
            c->reuses++;
            rc = reuse(&c->e[i], m);
            return rc < 0 ? rc : 1;
        }
    struct encoded *e = &c->e[c->next];
    if (e->bytes.cap > PUSH_CACHE_BYTES)
        buf_free(&e->bytes);
    buf_clear(&e->bytes);
    e->view = NULL;
    if (rc == ECRDT_OK)
        rc = ranges_copy(&e->base, &m->peer);
    m->tail.heard = &m->heard->ranges;
    if (rc == ECRDT_OK)
        rc = chunk_build_within(t, m->bucket, &m->theirs, &m->peer, budget,
                                &m->tail, &e->bytes, &e->built);
    if (rc <= 0)
        return rc;
    rc = ranges_copy(&e->after, &m->peer);
    if (rc < 0)
        return rc;
    c->builds++;
    *out = e;
    if (m->theirs.some || e->built.alone)
        return 1; /* it fits this peer alone */
    c->next = (c->next + 1) % PUSH_CACHE;
    e->view = m->view;
    e->version = m->view->version;
    e->budget = *budget;
    e->arrival = m->tail.arrival;
    return 1;
}
