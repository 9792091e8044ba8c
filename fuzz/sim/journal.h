/* journal.h: what happened in a run, as a file of JSON lines that `report`
 * draws.
 *
 * One object a line. Times are virtual milliseconds since the run began, and
 * never go back. Replicas are numbers from 0. Unknown members and kinds are
 * to be ignored by a reader. The kinds ("k"):
 *
 *   {"k":"run","journal":1,"seed":17,"command":"edgecrdt-sim replay 17",
 *    "replicas":6,"profile":"all"}
 *       The first line. replicas: the most there ever are; one that was never
 *       up has no other line.
 *   {"k":"step","t":120,"n":14,"r":0,"what":"txn","text":"set a=7, add s/1"}
 *       Step n of the plan begins at replica r (-1: at none). what is of:
 *       txn wait export import cut partition stall slow heal crash stop start
 *       save restore clone wipe skew gc subscribe peers retire fold forget
 *       full verify, or "settle" where the end begins.
 *   {"k":"msg","t":121,"id":88,"from":0,"to":2,"m":"CHUNK","bytes":412}
 *       Bytes leave. m is of: HANDSHAKE HELLO CLOCK CHUNK COMPLETE FP SAME
 *       BYE OTHER for a link (what weighs most of what leaves at once), EXPORT
 *       for a message of ecrdt_export().
 *   {"k":"recv","t":140,"id":88}
 *       They arrived, the last of them. None: they were lost.
 *   {"k":"fault","t":200,"id":5,"what":"partition","a":[0,1],"b":[2,3]}
 *       A condition begins: partition and stall (nothing goes from a to b;
 *       partition: nor back), slow (a to b), down (a: crashed, stopped or
 *       not yet started), skew (a, with "ms"), full (a's disk).
 *   {"k":"end","t":900,"id":5}
 *       That condition ends. None: it lasts to the end.
 *   {"k":"state","t":200,"r":1,"digest":"8f03...","missing":12,"events":80}
 *       What r holds now: the digest over all buckets (16 bytes in hex), how
 *       many events of all made so far its clock lacks, and how many there
 *       are. Written when it changed.
 *   {"k":"verdict","t":5000,"ok":true,"text":"...","hash":"9c1e..."}
 *       The last line. ok is false if a property is broken, text then says
 *       which and where; hash is that of the final state. */
#ifndef FUZZ_SIM_JOURNAL_H
#define FUZZ_SIM_JOURNAL_H
#include "lib/bytes.h"
#include <stdio.h>

struct journal {
    FILE *f;          /* NULL: nothing is written */
    uint64_t next_id; /* of messages and conditions */
    uint64_t now_ms;  /* the run's, kept by its owner */
};

/* A file to write to, with the first line; path NULL: none. 0 or a negative
 * code with a sentence. */
int journal_open(struct journal *j, const char *path, uint64_t seed,
                 const char *command, unsigned replicas, const char *profile);

/* Closes it; 0 or a negative code if not all was written. */
int journal_close(struct journal *j);

/* Step n of the plan begins; r -1: at no replica. */
void journal_step(struct journal *j, unsigned n, int r, const char *what,
                  const char *text);

/* Bytes leave: their id. */
uint64_t journal_msg(struct journal *j, unsigned from, unsigned to,
                     const char *m, size_t bytes);

/* They arrived. */
void journal_recv(struct journal *j, uint64_t id);

/* A condition between the replicas of two sets of bits begins: its id. b 0:
 * it has one side. ms: of a skew, else 0. */
uint64_t journal_fault(struct journal *j, const char *what, uint32_t a,
                       uint32_t b, int64_t ms);

/* It ends; id 0 is none. */
void journal_end(struct journal *j, uint64_t id);

/* What replica r holds. */
void journal_state(struct journal *j, unsigned r, const uint8_t digest[16],
                   unsigned missing, unsigned events);

/* The last line. */
void journal_verdict(struct journal *j, bool ok, const char *text,
                     const uint8_t hash[16]);
#endif
