/* image.h: a data file and its bytes, for tests that damage it and put it
 * back. */
#ifndef TESTS_LIB_IMAGE_H
#define TESTS_LIB_IMAGE_H
#include "tests/lib/scratch.h"

static const char *file;
static uint8_t *image;
static size_t image_len;

/* The image of dir/name as it is now. */
static inline void image_take(const char *name) {
    file = scratch_path(name);
    image = (uint8_t *)file_read(file, &image_len);
}

/* The end of a test that took one. */
static inline int image_remove(void **state) {
    free(image);
    return scratch_remove(state);
}
#endif
