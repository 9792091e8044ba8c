/* journal.h: what the recorder writes down of a store's folder, in the order
 * in which it happened, and the replayer reads. */
#ifndef TESTS_CRASH_JOURNAL_H
#define TESTS_CRASH_JOURNAL_H
#include <stddef.h>
#include <stdint.h>

enum journal_op {
    J_CREATE = 1, /* an empty file                                     */
    J_WRITE,      /* data at offset; arg 1: durable at once (O_DSYNC)  */
    J_TRUNCATE,   /* to offset bytes                                   */
    J_ALLOCATE,   /* offset, size; arg: mode of fallocate()            */
    J_SYNC,       /* of a file, or of a folder's names if arg is 1     */
    J_RENAME,     /* to the name in data                               */
    J_UNLINK,
    J_FOLDER, /* made; J_UNLINK removes it                         */
    J_MAPPED, /* mapped for shared writing, which is not recorded  */
    J_MARK    /* by the program: arg says what, offset a number    */
};

enum { JOURNAL_MAGIC = 0x4a4c4e31, JOURNAL_NAME = 64 };

/* Followed by size bytes of data, but not for J_ALLOCATE. */
struct journal_head {
    uint32_t magic, op, arg, unused;
    uint64_t offset, size;
    char name[JOURNAL_NAME]; /* inside the folder; "" is itself */
};

/* What a program says through the recorder. */
enum journal_mark {
    MARK_STARTS = 1, /* step number offset is about to begin        */
    MARK_DONE,       /* it was acknowledged                         */
    MARK_DURABLE,    /* so was the durability of all steps up to it */
    MARK_PEER        /* a peer holds all up to it; data: its export */
};

/* Writes a mark to the journal; NULL without a recorder. */
void recorder_mark(uint32_t what, uint64_t number, const void *data,
                   size_t size) __attribute__((weak, visibility("default")));
#endif
