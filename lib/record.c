/* record.c: checksums of records, and sizes that are wrong. */
#include "lib/record.h"
#include "lib/crc32c.h"

static uint32_t checksum(slice key, const void *data, size_t n) {
    return crc32c(crc32c(0, key.data, key.len), data, n);
}

int record_seal(struct buf *value, slice key) {
    uint32_t crc = checksum(key, value->data, value->len);
    uint8_t *p = buf_extend(value, RECORD_CHECKSUM);
    if (!p)
        return value->err;
    store32(p, crc);
    return ECRDT_OK;
}

/* A value that is larger than a page must be what an overflow page of LMDB
 * holds: LMDB does not look, and reading past the file would be SIGBUS. */
static bool large_fits(slice stored, size_t page_size) {
    enum {
        HEADER = 16,
        FLAGS_AT = 10,
        PAGES_AT = 12,
        OVERFLOW_PAGE = 4,
        DIRTY = 16,
        NUMBER_BITS = 40,
        PAGES_MAX = 1 << 20
    };
    const uint8_t *head = (const uint8_t *)stored.data - HEADER;
    uint64_t number;
    uint32_t pages;
    uint16_t flags;
    memcpy(&number, head, sizeof number);
    memcpy(&flags, head + FLAGS_AT, sizeof flags);
    memcpy(&pages, head + PAGES_AT, sizeof pages);
    return (flags & ~DIRTY) == OVERFLOW_PAGE && !(number >> NUMBER_BITS) &&
           pages <= PAGES_MAX &&
           (uint64_t)pages * page_size >= HEADER + stored.len;
}

bool record_whole(slice key, slice stored, slice *value) {
    if (stored.len < RECORD_CHECKSUM)
        return false;
    const uint8_t *p = stored.data;
    size_t n = stored.len - RECORD_CHECKSUM;
    *value = slice_of(p, n);
    return load32(p + n) == checksum(key, p, n);
}

bool record_open(slice key, slice stored, size_t page_size, slice *value) {
    return (stored.len <= page_size || large_fits(stored, page_size)) &&
           record_whole(key, stored, value);
}
