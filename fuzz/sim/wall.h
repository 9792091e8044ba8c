/* wall.h: the wall clock of the replica whose turn it is: os_wall_ms() tells
 * it once it was set. */
#ifndef FUZZ_SIM_WALL_H
#define FUZZ_SIM_WALL_H
#include <stdint.h>

/* Milliseconds since 1970 from now on. */
void wall_set_ms(uint64_t ms);
#endif
