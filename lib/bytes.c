/* bytes.c: the one function of slices that is not inline. */
#include "lib/bytes.h"

ecrdt_slice ecrdt_str(const char *nul_terminated) {
    return slice_of(nul_terminated,
                    nul_terminated ? strlen(nul_terminated) : 0);
}
