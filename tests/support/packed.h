/* packed.h: msgpack values as our codec and msgpack-c see them. */
#ifndef TESTS_SUPPORT_PACKED_H
#define TESTS_SUPPORT_PACKED_H
#include "lib/pack.h"

/* Bytes from hex digits; buf_free() them. */
struct buf packed_from_hex(const char *hex);

/* A message of six values that has each kind. */
void packed_message(struct buf *b);

/* Each asks for one value of its kind and fails u if it is another. */
void packed_ask_nil(struct unpack *u);
void packed_ask_bool(struct unpack *u);
void packed_ask_uint(struct unpack *u);
void packed_ask_bin(struct unpack *u);
void packed_ask_array(struct unpack *u);

/* Does ask find what it wants at the start of s? */
bool packed_accepts(void (*ask)(struct unpack *), slice s);

/* Reads one value of any kind and writes it again to b. */
void packed_transcode(struct unpack *u, struct buf *b);

/* Is s one value in the form that our writer has for it? The bytes are read
 * from a block of their exact size, so that sanitizers see a step too far.
 * What is accepted must come out of the writer unchanged. */
bool packed_canonical(slice s);

/* What our writer makes of the value that msgpack-c reads from s; false if
 * it is damaged, not one value, or has a type that we do not write. msgpack-c
 * allocates by the counts it reads. */
bool packed_reference(struct buf *b, slice s);
#endif
