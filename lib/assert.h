/* assert.h: invariants that stay on in release builds; never for bytes that
 * come from a peer, a file or the caller. */
#ifndef LIB_ASSERT_H
#define LIB_ASSERT_H
#include <stdio.h>
#include <stdlib.h>

#define INVARIANT(cond)                                                        \
    ((cond) ? (void)0 : invariant_failed(#cond, __FILE__, __LINE__))

static inline _Noreturn void invariant_failed(const char *what,
                                              const char *file, int line) {
    fprintf(stderr, "libedgecrdt: invariant broken: %s (%s:%d)\n", what, file,
            line);
    abort();
}
#endif
