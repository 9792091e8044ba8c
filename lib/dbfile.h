/* dbfile.h: the files of an LMDB environment seen as bytes: what must hold
 * before they are mapped, and the room kept behind the last page. */
#ifndef LIB_DBFILE_H
#define LIB_DBFILE_H
#include "lib/bytes.h"

/* May path/data.mdb be mapped? 1 yes, 0 there is none, ECRDT_ECORRUPT (cut
 * off, foreign, damaged in its first pages) or ECRDT_EVERSION. tables tells
 * how many named tables it must hold. Reading is begun of the first pages of
 * those called soon (NULL at the end; or NULL), so that a cold disk fetches
 * them while the environment is opened. */
int dbfile_check(const char *path, unsigned tables, const char *const *soon);

/* The same of the open file fd, path only for the sentence, and of the first
 * page of a table, or with NULL of that of the free pages: 1, or < 0. */
int dbfile_check_root(const char *path, int fd, const char *table);

/* The size of the map that the newest commit asks for; 0 if it cannot be read,
 * or is just being written. */
uint64_t dbfile_map_bytes(int fd);

/* Makes path/lock.mdb, if need be, with disk blocks for all its reader slots:
 * LMDB maps it sparse, and on a full disk the first touch would be SIGBUS. */
int dbfile_make_lock(const char *path, uint32_t mode, uint32_t readers,
                     bool rdonly);

enum { DBFILE_RESERVE = 512 << 10 };

/* Allocates n bytes of the data file from used on: a small commit still fits
 * when the disk is full, and a damaged pointer into a last page ends in zeros,
 * not in SIGBUS. Never shrinks the file. 1 done, 0 the filesystem cannot,
 * ECRDT_EFULL without a sentence. */
int dbfile_reserve(int fd, uint64_t used, uint64_t n);

/* Frees the blocks of n bytes from at on, which read as zeros then; the file
 * keeps its size. false: the filesystem cannot. */
bool dbfile_punch(int fd, uint64_t at, uint64_t n);

/* Allocates them again, if there is room. */
void dbfile_fill(int fd, uint64_t at, uint64_t n);

/* Bytes of the disk that the file takes up. */
uint64_t dbfile_bytes_held(int fd);

/* Is the disk of path full? LMDB reports a short write as EIO. */
bool dbfile_disk_full(const char *path);

/* The folder inside path where a new data.mdb is made, empty: written to
 * name. A creator that was killed may have left one. */
int dbfile_begin_new(const char *path, char *name, size_t size);

/* Puts the data.mdb of that folder in place, durably; removes the folder. */
int dbfile_end_new(const char *path, const char *name, uint32_t mode);

/* Removes that folder with what is in it. */
void dbfile_abort_new(const char *name);

/* Removes path/data.mdb if it is there. */
void dbfile_remove(const char *path);
#endif
