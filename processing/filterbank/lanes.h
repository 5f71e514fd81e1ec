/* LANES numbers side by side, which the compiler turns into the processor's own vectors. */
#define LANES 8

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int mask __attribute__((vector_size(4 * LANES)));
