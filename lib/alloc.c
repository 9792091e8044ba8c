/* alloc.c: checked allocation through the hook of ecrdt_set_allocator(). */
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/bytes.h"
#include "lib/err.h"
#include <stdatomic.h>
#include <stdlib.h>

static void *libc_resize(void *p, size_t n, void *ctx) {
    (void)ctx;
    if (n)
        return realloc(p, n);
    free(p);
    return NULL;
}

static void *(*hook)(void *p, size_t n, void *ctx) = libc_resize;
static void *hook_ctx;
static atomic_bool frozen;

void alloc_freeze(void) {
    atomic_store(&frozen, true);
}

int ecrdt_set_allocator(void *(*re)(void *p, size_t n, void *ctx), void *ctx) {
    if (atomic_load(&frozen))
        return err_set(ECRDT_EBUSY, "cannot replace the allocator: a store was "
                                    "opened already; set it before the first "
                                    "ecrdt_open()");
    hook = re ? re : libc_resize;
    hook_ctx = ctx;
    return ECRDT_OK;
}

void *alloc_resize(void *p, size_t n, size_t size) {
    size_t bytes;
    if (!mul_size(n, size, &bytes)) {
        err_nomem(SIZE_MAX);
        return NULL;
    }
    INVARIANT(bytes > 0);
    void *q = hook(p, bytes, hook_ctx);
    if (!q)
        err_nomem(bytes);
    return q;
}

void *alloc_zeroed(size_t n, size_t size) {
    void *p = alloc_resize(NULL, n, size);
    if (p)
        memset(p, 0, n * size);
    return p;
}

char *alloc_strdup(const char *s) {
    size_t n = strlen(s) + 1;
    char *p = alloc_resize(NULL, n, 1);
    if (p)
        memcpy(p, s, n);
    return p;
}

void alloc_free(void *p) {
    if (p)
        hook(p, 0, hook_ctx);
}

int alloc_grow(void *p, size_t *cap, size_t n, size_t size) {
    if (n <= *cap)
        return ECRDT_OK;
    size_t want = *cap ? *cap : 8;
    while (want < n)
        want = want > SIZE_MAX / 2 ? n : want * 2;
    void *array; /* *p is a pointer of another type: no plain access */
    memcpy(&array, p, sizeof array);
    array = alloc_resize(array, want, size);
    if (!array)
        return ECRDT_ENOMEM;
    memcpy(p, &array, sizeof array);
    *cap = want;
    return ECRDT_OK;
}
