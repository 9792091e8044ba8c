/* support.h: helpers of the tests: scratch folders, random numbers that can
 * be replayed, an allocator that fails on demand, files and hex. */
#ifndef TESTS_SUPPORT_SUPPORT_H
#define TESTS_SUPPORT_SUPPORT_H
#include "lib/bytes.h"

/* ---- scratch folders ---- */

/* Makes a fresh folder in TEST_TMPDIR, else /dev/shm, else /tmp, and gives
 * its path, to be passed to tmpdir_remove(). Ends the program on failure. */
char *tmpdir_make(void);

/* Removes the folder with all it holds and frees the path; NULL is fine. */
void tmpdir_remove(char *path);

/* "dir/name" in a ring of 8 static buffers. */
const char *path_join(const char *dir, const char *name);

/* ---- random numbers ---- */

/* xorshift64*; seed it with rng_seed() or any nonzero number. */
struct rng {
    uint64_t s;
};

/* Takes TEST_SEED from the environment, else a fresh seed, and prints it as
 * a TAP comment. */
struct rng rng_seed(void);
uint64_t rng_u64(struct rng *r);
/* Uniform enough in [0, bound); bound is not 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
void rng_bytes(struct rng *r, void *out, size_t n);
/* A number of random bit length: small ones are as likely as large ones. */
uint64_t rng_magnitude(struct rng *r);

/* ---- allocator ---- */

/* Makes the library allocate through us; before the first ecrdt_open(). */
void fault_alloc_install(void);
/* The n-th allocation from now on fails (1 = the next); 0 = none. */
void fault_alloc_at(unsigned long n);
/* Did the wanted failure happen since fault_alloc_at()? */
bool fault_alloc_hit(void);
/* Blocks of the library that are not freed. */
long fault_alloc_live(void);

/* ---- bytes ---- */

/* The string as a slice that borrows it. */
slice slice_str(const char *s);

/* An ecrdt_sink that appends to a struct buf. */
int buf_sink(void *buf, const void *data, size_t len);

/* Reads a whole file, NUL behind it; the caller frees it. Ends the program
 * if it cannot. */
char *file_read(const char *path, size_t *len);
void file_write(const char *path, const void *data, size_t len);

/* Decodes hex digits, ignoring '-' and blanks; returns the bytes written.
 * Ends the program on anything else or past max. */
size_t hex_decode(uint8_t *out, size_t max, const char *hex);

/* Milliseconds of the monotonic clock. */
uint64_t now_ms(void);

/* Does fn abort() (a broken invariant)? Runs it in a child. */
bool aborts(void (*fn)(void));

/* ---- behind the macros of test.h ---- */
void test_check_code(int got, int want, const char *call, const char *file,
                     int line);
void *test_check_handle(void *handle, const char *call, const char *file,
                        int line);
void test_check_slice(slice a, slice b, const char *file, int line);
#endif
