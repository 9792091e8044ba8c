/* mutant.h: rules that a test build can switch off, to see a test fail:
 * MUTANT(name) is 0, and 1 under -DMUTANT_name=1. See tests/mutants.txt. */
#ifndef LIB_MUTANT_H
#define LIB_MUTANT_H

#define MUTANT(name)                  MUTANT_VALUE(MUTANT_##name)
#define MUTANT_VALUE(macro)           MUTANT_PROBE(macro)
#define MUTANT_PROBE(value)           MUTANT_SECOND(MUTANT_MARK_##value 1, 0, 0)
#define MUTANT_MARK_1                 0,
#define MUTANT_SECOND(...)            MUTANT_TAKE(__VA_ARGS__)
#define MUTANT_TAKE(ignored, is, ...) is
#endif
