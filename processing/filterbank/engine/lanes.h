/* LANES numbers side by side, which the compiler turns into the processor's own vectors. */
#define LANES 8

/* Number of groups of LANES for `count` rows; the last may not be full. */
static inline long lane_groups(long count) { return (count + LANES - 1) / LANES; }

/* Rows of the group that begins at `first`, LANES at most. */
static inline long lanes_from(long first, long count) {
    return count - first < LANES ? count - first : LANES;
}

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int mask __attribute__((vector_size(4 * LANES)));
