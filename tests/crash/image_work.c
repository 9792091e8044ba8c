/* image_work.c: the program that is recorded: a store that writes step after
 * step, meets a peer now and then, and marks what was acknowledged.
 *
 *     image_work STORE LEVEL STEPS
 */
#include "tests/crash/journal.h"
#include "tests/crash/steps.h"

static ecrdt_store *store, *peer;
static struct crash_bytes summary, delta;

static void mark(uint32_t what, uint64_t n, const struct crash_bytes *b) {
    if (recorder_mark)
        recorder_mark(what, n, b ? b->data : NULL, b ? b->len : 0);
}

static void give(ecrdt_store *from, ecrdt_store *to) {
    ecrdt_import_report r;
    summary.len = delta.len = 0;
    must(ecrdt_summary(to, crash_keep, &summary) == 0);
    must(ecrdt_export(from, slice_of(summary.data, summary.len),
                      sizeof delta.data / 2, crash_keep, &delta) == 0);
    must(ecrdt_import(to, slice_of(delta.data, delta.len), &r) == 0);
    must(!r.ahead && !r.refused);
}

/* The peer learns all there is, and gives what it wrote itself. */
static void meet(uint64_t i) {
    char number[32];
    give(store, peer);
    delta.len = 0;
    must(ecrdt_export(peer, slice_of(NULL, 0), sizeof delta.data / 2,
                      crash_keep, &delta) == 0);
    mark(MARK_PEER, i - 1, &delta);
    ecrdt_txn *t = ecrdt_write(peer);
    ecrdt_reg_set(t, "b", ECRDT_STR("p"), step_name(number, 'n', i));
    must(ecrdt_commit(t) == 0);
    give(peer, store);
}

static void one_step(uint64_t i, bool full) {
    mark(MARK_STARTS, i, NULL);
    if (step_meets(i)) {
        meet(i);
    } else {
        ecrdt_txn *t = ecrdt_write(store);
        step_write(t, i);
        must(ecrdt_commit(t) == 0);
    }
    mark(MARK_DONE, i, NULL);
    if (i % 7 == 0)
        must(ecrdt_flush(store) == 0);
    if (full || i % 7 == 0)
        mark(MARK_DURABLE, i, NULL);
    if (i % STEP_WIDE == STEP_WIDE_FIRST + 2) /* gives space back, too */
        must(ecrdt_gc(store, 0, 0, NULL) >= 0);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    bool full = !strcmp(argv[2], "full");
    char beside[600];
    snprintf(beside, sizeof beside, "%s.peer", argv[1]);
    store = crash_open(argv[1], full ? ECRDT_FULL : ECRDT_RELAXED);
    peer = crash_open(beside, ECRDT_EPHEMERAL);
    must(store && peer);
    for (uint64_t i = 1; i <= (uint64_t)atoi(argv[3]); i++)
        one_step(i, full);
    must(ecrdt_close(store) == 0 && ecrdt_close(peer) == 0);
    return 0;
}
