/* LANES numbers side by side, which the compiler turns into the processor's own vectors. */
#ifndef LANES
#define LANES 8
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int mask __attribute__((vector_size(4 * LANES)));
