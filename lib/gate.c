/* gate.c: a counter of users behind a mutex, and a timed wait for none. */
#include "lib/gate.h"
#include "lib/assert.h"
#include <errno.h>
#include <time.h>

void gate_init(struct gate *g) {
    *g = (struct gate){.inside = 0};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->change, &attr);
    pthread_condattr_destroy(&attr);
}

void gate_free(struct gate *g) {
    INVARIANT(g->inside == 0);
    pthread_mutex_destroy(&g->mutex);
    pthread_cond_destroy(&g->change);
}

void gate_enter(struct gate *g) {
    pthread_mutex_lock(&g->mutex);
    while (g->shut)
        pthread_cond_wait(&g->change, &g->mutex);
    g->inside++;
    pthread_mutex_unlock(&g->mutex);
}

void gate_leave(struct gate *g) {
    pthread_mutex_lock(&g->mutex);
    INVARIANT(g->inside > 0);
    if (--g->inside == 0)
        pthread_cond_broadcast(&g->change);
    pthread_mutex_unlock(&g->mutex);
}

static struct timespec in_ms(uint32_t ms) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    uint64_t ns = (uint64_t)at.tv_nsec + (uint64_t)ms * 1000000;
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    return at;
}

bool gate_shut(struct gate *g, uint32_t wait_ms) {
    struct timespec at = in_ms(wait_ms);
    int rc = 0;
    pthread_mutex_lock(&g->mutex);
    while (g->shut)
        pthread_cond_wait(&g->change, &g->mutex);
    g->shut = true;
    while (g->inside && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&g->change, &g->mutex, &at);
    bool alone = g->inside == 0;
    if (!alone) {
        g->shut = false;
        pthread_cond_broadcast(&g->change);
    }
    pthread_mutex_unlock(&g->mutex);
    return alone;
}

void gate_open(struct gate *g) {
    pthread_mutex_lock(&g->mutex);
    INVARIANT(g->shut && g->inside == 0);
    g->shut = false;
    pthread_cond_broadcast(&g->change);
    pthread_mutex_unlock(&g->mutex);
}
