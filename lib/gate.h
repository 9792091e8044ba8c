/* gate.h: counts the threads that use something, and lets one of them change
 * it while nobody does. */
#ifndef LIB_GATE_H
#define LIB_GATE_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t change;
    uint32_t inside;
    bool shut;
};

/* Makes an open gate that nobody has entered. */
void gate_init(struct gate *g);

/* Frees it; nobody may be inside. */
void gate_free(struct gate *g);

/* Enters, waiting while the gate is shut. A thread may enter repeatedly. */
void gate_enter(struct gate *g);

/* Takes one gate_enter() back, in whatever thread. */
void gate_leave(struct gate *g);

/* Shuts the gate and waits until nobody is inside: true, and gate_open() is
 * due; false after wait_ms, and it is open again. */
bool gate_shut(struct gate *g, uint32_t wait_ms);

/* Lets those in who wait. */
void gate_open(struct gate *g);
#endif
