/* senses.h: what the process under test sees of its machine: clocks that the
 * simulation sets, randomness from a seed, a disk that flushes and fills. */
#ifndef FUZZ_SIM_SENSES_H
#define FUZZ_SIM_SENSES_H
#include "lib/buf.h"
#include <sys/types.h>

enum { SENSES_FILES = 16 };

/* A data file that is watched: each time the store flushes it, it is copied,
 * so that a crash of its machine can put back what was durable. A full disk
 * has no block left but those that the file has: it ends where it ended, or
 * where the blocks end that were promised to it. */
struct senses_file {
    ino_t ino; /* 0: not in use */
    ino_t was; /* the last one; another file has no promises */
    bool keep; /* copy it at each flush */
    bool full;
    off_t promised; /* by fallocate() */
    off_t end;      /* full: it does not grow past it */
    struct buf image;
};

struct senses {
    bool on;         /* else all is as the system has it */
    uint64_t now_ms; /* since the simulation began */
    int64_t skew_ms; /* of the wall clock of who runs now */
    struct senses_file file[SENSES_FILES];
};
extern struct senses senses;

/* Turns them on, with randomness from seed. */
void senses_begin(uint64_t seed);

/* Bytes from the same stream that the library takes. */
void senses_random(void *out, size_t n);

/* Without all the rest: the wall clock stands at ms from now on. */
void senses_set_wall_ms(uint64_t ms);

/* The wall clock of who runs now, since 1970. */
uint64_t senses_wall_ms(void);

/* Real milliseconds, for progress and figures alone. */
uint64_t senses_real_ms(void);

/* Watches the file of this path as the i-th: false if there is none. */
bool senses_watch(size_t i, const char *path);

/* The i-th file's disk is full: it may grow by more bytes, and into its
 * promised blocks if those are real. */
void senses_fill(size_t i, const char *path, off_t more, bool promised);

/* Copies what the open file holds into out (emptied). 0, or -1 with errno. */
int senses_copy(int fd, struct buf *out);
#endif
