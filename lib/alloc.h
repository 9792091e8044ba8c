/* alloc.h: the library's own memory, through one replaceable function. */
#ifndef LIB_ALLOC_H
#define LIB_ALLOC_H
#include <stdbool.h>
#include <stddef.h>

/* n zeroed objects of size bytes; NULL, with the thread's error set, when
 * there is no memory. */
void *alloc_zeroed(size_t n, size_t size);

/* Resizes p (may be NULL) to n objects of size bytes; NULL, error set and p
 * untouched, when there is no memory. n * size must not be 0. */
void *alloc_resize(void *p, size_t n, size_t size);

/* A NUL-terminated copy. */
char *alloc_strdup(const char *s);

/* Frees p; NULL is fine. */
void alloc_free(void *p);

/* Grows *p, an array with room for *cap objects, to hold at least n.
 * 0 or ECRDT_ENOMEM. */
int alloc_grow(void *p, size_t *cap, size_t n, size_t size);

/* From now on ecrdt_set_allocator() is refused. */
void alloc_freeze(void);
#endif
