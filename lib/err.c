/* err.c: codes, their texts, and the sentence of each thread's last error. */
#include "lib/err.h"
#include "lib/assert.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local int last_code;
static _Thread_local char last_sentence[ERR_SENTENCE];

int err_set(int code, const char *fmt, ...) {
    INVARIANT(code < 0);
    char next[ERR_SENTENCE]; /* fmt's arguments may lie in last_sentence */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(next, sizeof next, fmt, ap);
    va_end(ap);
    memcpy(last_sentence, next, strlen(next) + 1);
    last_code = code;
    return code;
}

int err_null(const char *call) {
    if (last_code < 0)
        return last_code;
    return err_set(ECRDT_EINVAL,
                   "%s was given NULL: pass the handle that its opening call "
                   "returned",
                   call);
}

int err_nomem(size_t size_bytes) {
    return err_set(ECRDT_ENOMEM,
                   "could not allocate %zu bytes: the process is out of memory",
                   size_bytes);
}

static int code_of_errno(int errnum) {
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return ECRDT_EFULL;
    case ENOMEM:
        return ECRDT_ENOMEM;
    case ENOENT:
    case ENOTDIR:
        return ECRDT_ENOENT;
    case EROFS:
        return ECRDT_ERDONLY;
    case EINVAL:
    case ENAMETOOLONG:
        return ECRDT_EINVAL;
    default:
        return ECRDT_EIO;
    }
}

/* What to do, where the system's words do not tell. */
static const char *remedy_of_errno(int errnum) {
    switch (errnum) {
    case EACCES:
        return "; whoever runs this needs the right to it, as its owner or by "
               "its group";
    case EROFS:
        return "; mount it for writing, or open the store with ECRDT_RDONLY";
    case ENOSPC:
    case EDQUOT:
        return "; free space there";
    case EMFILE:
        return "; raise the limit on open files";
    default:
        return "";
    }
}

int err_errno(int errnum, const char *what, const char *path) {
    return err_set(code_of_errno(errnum), "%s %s: %s%s", what, path,
                   strerror(errnum), remedy_of_errno(errnum));
}

int ecrdt_errcode(void) {
    return last_code;
}

const char *ecrdt_errmsg(void) {
    return last_sentence;
}

const char *ecrdt_strerror(int code) {
    switch (code) {
#define ERR_CASE(name, value, text)                                            \
    case value:                                                                \
        return "ECRDT_" #name ": " text;
        ECRDT_ERRORS(ERR_CASE)
#undef ERR_CASE
    default:
        return "ECRDT_?: no such code";
    }
}

#define VERSION_STR2(x) #x
#define VERSION_STR(x)  VERSION_STR2(x)

const char *ecrdt_version(void) {
    return VERSION_STR(ECRDT_VERSION_MAJOR) "." VERSION_STR(
        ECRDT_VERSION_MINOR) "." VERSION_STR(ECRDT_VERSION_PATCH);
}
