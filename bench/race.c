/* race.c: runs the same work on several sides in turn, round after round. Many
 * short rounds tell more than few long ones: a machine that others use stands
 * still for a while, which spoils the rounds it falls into, not their median.
 */
#include "bench/bench.h"

/* How many operations take side 1 a slice: whole transactions, doubled until
 * the time is long enough to tell. All sides do the same, so that their data
 * sets grow alike and are warm. */
static uint64_t pick_size(const struct side *sides, int n, struct work w) {
    for (w.n = w.batch;; w.n *= 2) {
        double took = 0;
        for (int s = 0; s < n; s++) {
            double begin = now();
            sides[s].run(sides[s].db, &w);
            took = s <= 1 ? now() - begin : took;
        }
        if (took >= conf.slice / 4) {
            double txns = (double)w.n / w.batch * conf.slice / took;
            return (txns < 1 ? 1 : (uint64_t)txns) * w.batch;
        }
    }
}

void race(const struct side *sides, int n, struct work w, struct times *out) {
    w.n = pick_size(sides, n, w);
    out->rounds = conf.rounds;
    out->sides = n;
    for (int r = 0; r < conf.rounds; r++)
        for (int i = 0; i < n; i++) {
            int s = (r + i) % n;
            double begin = now();
            sides[s].run(sides[s].db, &w);
            out->t[r][s] = (now() - begin) / (double)w.n;
        }
}
