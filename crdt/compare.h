/* compare.h: names what differs between the live siblings here and those in a
 * chunk of an audit: at equal clocks there must be no difference. */
#ifndef CRDT_COMPARE_H
#define CRDT_COMPARE_H
#include "crdt/chunk.h"
#include "crdt/fingerprint.h"
#include "crdt/keys.h"

enum { COMPARE_DOTS = 8, COMPARE_DOT_TEXT = 2 * ORIGIN_SIZE + 24 };

/* Live siblings that only one side has; one dot on both sides: its content
 * differs. */
struct difference {
    const char *bucket;
    slice id;
    struct dot {
        uint8_t origin[ORIGIN_SIZE];
        uint64_t seq;
    } here[COMPARE_DOTS], there[COMPARE_DOTS];
    size_t n_here, n_there;
};

/* Compares each item of the chunk's parts with t's snapshot, e16s made anew
 * from the content, and calls differs for each that is not equal; nonzero
 * ends it and is returned. The parts that were compared are added to shown;
 * those at another clock are not. */
int compare_chunk(ecrdt_txn *t, slice chunk,
                  int (*differs)(void *ctx, const struct difference *d),
                  void *ctx, struct fp *shown);

/* "ORIGIN:SEQ ORIGIN:SEQ"; "nothing" for none. */
void compare_dots_text(char out[COMPARE_DOTS * COMPARE_DOT_TEXT],
                       const struct dot *dots, size_t n);
#endif
