/* dump.h: every live key of a store as plain msgpack, for any other tool. */
#ifndef CRDT_DUMP_H
#define CRDT_DUMP_H
#include "edgecrdt.h"

/* Writes one msgpack map per live key to out, in the order of buckets and
 * keys, from one snapshot:
 *
 *   {bucket, type: "register", key, values: [{value, by, wall_ms, logical}]}
 *   {bucket, type: "set",      key, elements: [element]}
 *   {bucket, type: "counter",  key, value: integer}
 *
 * bucket and type are str; key, value, element and by (16 bytes) are bin.
 * values holds the concurrent values, the one that is read first.
 * 0, ECRDT_ECANCELED if out stopped it, or an error of the store. */
int dump_store(ecrdt_store *s, ecrdt_sink out, void *ctx);
#endif
