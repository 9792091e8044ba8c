/* crc32c.h: the Castagnoli checksum that guards stored records. */
#ifndef LIB_CRC32C_H
#define LIB_CRC32C_H
#include <stddef.h>
#include <stdint.h>

/* CRC-32C (RFC 3720 B.4) of the n bytes at p, continued from crc: start with
 * 0; crc32c(crc32c(0, a), b) is the checksum of a followed by b. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* The same by tables, whatever the processor offers; tests compare the two. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);
#endif
