/* LANES numbers side by side, which the compiler turns into the processor's own vectors. */
#define LANES 8

/* Groups of LANES that `count` make, the last of which may not be full. */
static inline long lane_groups(long count) { return (count + LANES - 1) / LANES; }

/* How many there are from `first` on, LANES at most. */
static inline long lanes_from(long first, long count) {
    return count - first < LANES ? count - first : LANES;
}

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int mask __attribute__((vector_size(4 * LANES)));
