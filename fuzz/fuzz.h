/* fuzz.h: what the fuzz targets share: a check that ends the run, bytes taken
 * from the input, and small stores that go back to a known state at once.
 *
 * A target is fuzz_<name>.c: one LLVMFuzzerTestOneInput() that decodes, and
 * checks what must hold of it. Its head names the sources that it is after
 * ("Covers: ..."); fuzz/seeds/<name>/ holds its seeds (make_seeds.c makes
 * them), fuzz/<name>.dict its words, if it has any.
 *
 * Wall clock and random numbers are the harness's (fuzz.c): the same input
 * does the same twice. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H
#include "crdt/store.h"
#include <stdio.h>
#include <stdlib.h>

/* The target: runs one input; 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program with a finding unless cond holds. */
#define FUZZ_CHECK(cond)                                                       \
    do {                                                                       \
        if (!(cond))                                                           \
            fuzz_fail(#cond, __FILE__, __LINE__);                              \
    } while (0)

/* The end of a check that failed. */
_Noreturn void fuzz_fail(const char *what, const char *file, int line);

/* Checks a result: >= 0, or an error code of ours. */
void fuzz_code(int rc, const char *file, int line);
#define FUZZ_CODE(rc) fuzz_code(rc, __FILE__, __LINE__)

/* ---- the input, taken bit by bit: zeros when it is used up ---- */

struct fuzz_in {
    const uint8_t *p, *end;
};

/* The next byte. */
uint8_t fuzz_byte(struct fuzz_in *in);

/* A number below bound, which is not 0, of two bytes. */
uint32_t fuzz_below(struct fuzz_in *in, uint32_t bound);

/* The next n bytes, or what is left. */
slice fuzz_take(struct fuzz_in *in, size_t n);

/* ---- the world ---- */

/* What os_wall_ms() tells. */
extern uint64_t fuzz_now_ms;

/* The scratch folder of this process, made at the first call and removed at
 * its end. */
const char *fuzz_dir(void);

/* A file of that name in it with this content, mode 0600; its path. */
const char *fuzz_file(const char *name, slice content);

/* ---- stores ---- */

enum { FUZZ_STORES = 3 };
#define FUZZ_B "b"

/* Store number i, open. It is as new, or as fill made it when it was asked
 * for first; fuzz_reset() takes all of them back there. */
ecrdt_store *fuzz_store(size_t i, void (*fill)(size_t i));
void fuzz_reset(void);

/* Closes store i and opens it as another process would; NULL, with an error,
 * if it cannot be opened any more. */
ecrdt_store *fuzz_reopen(size_t i);

/* Content for a store: keys of all types, deletes, two buckets. Store 1 also
 * has all that store 0 has; so siblings. */
void fuzz_content(size_t i);

/* to gets all that from has, in one export; both are open. */
void fuzz_pull(size_t to, size_t from);

/* Digests of all buckets of store i, in the order of names. */
struct fuzz_state {
    uint8_t digest[16];
    uint64_t txn, buckets;
};
struct fuzz_state fuzz_look(size_t i);
bool fuzz_same(const struct fuzz_state *a, const struct fuzz_state *b);

/* ecrdt_verify() has no finding; it is shown if it has. */
void fuzz_verify(size_t i);
#endif
