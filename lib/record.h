/* record.h: what every record on disk ends in: the CRC-32C of its key and
 * value, because LMDB has no checksums. */
#ifndef LIB_RECORD_H
#define LIB_RECORD_H
#include "lib/buf.h"

enum { RECORD_CHECKSUM = 4 };

/* Appends the checksum to value. 0 or ECRDT_ENOMEM. */
int record_seal(struct buf *value, slice key);

/* The value of a stored record that LMDB has found in pages of page_size
 * bytes; false if its size or its checksum is wrong. */
bool record_open(slice key, slice stored, size_t page_size, slice *value);

/* The same of bytes that were read in another way than through LMDB's map. */
bool record_whole(slice key, slice stored, slice *value);
#endif
