/* err.h: the thread's last error: a code and a full sentence. */
#ifndef LIB_ERR_H
#define LIB_ERR_H
#include "edgecrdt.h"

enum { ERR_SENTENCE = 1024 };

/* Notes the error of this thread and returns code. The sentence says what
 * was tried, on what, why it failed and what to do. */
int err_set(int code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The error of a call that got a NULL handle: this thread's first error is
 * kept if there is one. Returns a negative code. */
int err_null(const char *call);

/* ENOMEM with the size that was asked for. */
int err_nomem(size_t size_bytes);

/* EIO, EFULL, ENOMEM, ENOENT, ... by errno, with the sentence "what path:
 * strerror" and, where that does not tell it, what to do. */
int err_errno(int errnum, const char *what, const char *path);
#endif
