/* setting.h: numbers that belong to a store and may be changed at any time. */
#ifndef CRDT_SETTING_H
#define CRDT_SETTING_H
#include "crdt/store.h"

/* As set, or the default. 0 or < 0. */
int setting_read(ecrdt_txn *t, enum ecrdt_setting which, uint64_t *value);

/* Sets it from the commit on, if it is another one. ECRDT_ERANGE with a
 * sentence, and no change; other negative codes stick. */
int setting_write(ecrdt_txn *t, enum ecrdt_setting which, uint64_t value);

/* The row's name, "gc-retention"; NULL past the last setting. */
const char *setting_name(enum ecrdt_setting which);
#endif
