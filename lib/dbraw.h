/* dbraw.h: the layout of an LMDB 0.9 file on this machine, for the code that
 * reads it as bytes before, or instead of, LMDB. */
#ifndef LIB_DBRAW_H
#define LIB_DBRAW_H
#include "lib/bytes.h"
#include <errno.h>
#include <unistd.h>

struct raw_page { /* header of every page */
    uint64_t number;
    uint16_t pad, flags, lower, upper;
};
struct raw_db {
    uint32_t pad; /* of the first one: the page size */
    uint16_t flags, depth;
    uint64_t branch, leaf, overflow, entries, root;
};
struct raw_meta {
    struct raw_page page;
    uint32_t magic, version;
    uint64_t address, mapsize;
    struct raw_db dbs[2]; /* of free pages, of the named tables */
    uint64_t last, txn;
};
/* A node: behind it its key, then in a leaf its value. In a branch the first
 * three are the number of a page, from low to high. */
struct raw_node {
    uint16_t size_low, size_high, flags, key_size;
};
enum {
    RAW_MAGIC = (int)0xBEEFC0DE,
    RAW_VERSION = 1,
    RAW_FREE_FLAGS = 8, /* MDB_INTEGERKEY */
    RAW_DEPTH_MAX = 32,
    RAW_KEY_MAX = 511,
    RAW_PAGE_MIN = 512,
    RAW_PAGE_MAX = 65536,
    /* flags of a page */
    RAW_BRANCH = 1,
    RAW_LEAF = 2,
    RAW_OVERFLOW = 4, /* its lower and upper are the count of its pages */
    RAW_META = 8,
    /* flags of a node in a leaf */
    RAW_BIG = 1,  /* its value is the number of an overflow page */
    RAW_TABLE = 2 /* its value is a struct raw_db */
};
#define RAW_NO_PAGE UINT64_MAX

/* Reads n bytes at a place of the file; false if they are not all there. */
static inline bool raw_read(int fd, void *out, size_t n, uint64_t at) {
    ssize_t got;
    do
        got = pread(fd, out, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)n;
}
#endif
