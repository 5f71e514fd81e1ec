/* What filters pass outside the bands that they are given: lost_energy.py in one pass. */
#include "scratch.h"

typedef struct {
    const float *energy; /* (filters, clips, frames) */
    const float *wide;   /* (bands, clips, frames): energies of the signal in wide bands */
    const float *mean;   /* (filters, bands): power of each filter there outside its own band */
    const float *peak;
    float *lost; /* (filters, clips, frames) */
    char *bad;   /* the same: whether too much may be lost */
    long filters, clips, frames, bands;
    long whole; /* frames from a frame to the ends of its filters, rounded down */
    float part; /* and what is left */
    float most; /* part of a frame's energy that may be lost */
    float floor;
} losses;

static float at(const float *wide, long frame, long frames) {
    return frame >= 0 && frame < frames ? wide[frame] : 0.0f;
}

/* Of one clip: -> how many frames are bad, or -1 when there is no memory. */
static long of_clip(const losses *l, long clip) {
    const long frames = l->frames, whole = l->whole;
    float *ends = scratch(sizeof(float) * frames * (2 * l->bands + 1));
    if (!ends) return -1;
    float *near = ends + l->bands * frames, *at_most = near + l->bands * frames;
    for (long band = 0; band < l->bands; band++) {
        const float *wide = l->wide + (band * l->clips + clip) * frames;
        for (long t = 0; t < frames; t++) {
            const float inner = at(wide, t - whole, frames) + at(wide, t + whole, frames);
            const float outer = at(wide, t - whole - 1, frames) + at(wide, t + whole + 1, frames);
            ends[band * frames + t] = 0.5f * ((1.0f - l->part) * inner + l->part * outer);
            float largest = 0.0f;
            for (long other = t - whole - 1; other <= t + whole + 1; other++) {
                const float here = at(wide, other, frames);
                if (here > largest) largest = here;
            }
            near[band * frames + t] = largest;
        }
    }
    long count = 0;
    for (long n = 0; n < l->filters; n++) {
        const float *mean = l->mean + n * l->bands, *peak = l->peak + n * l->bands;
        const float *energy = l->energy + (n * l->clips + clip) * frames;
        float *lost = l->lost + (n * l->clips + clip) * frames;
        char *bad = l->bad + (n * l->clips + clip) * frames;
        for (long t = 0; t < frames; t++) lost[t] = at_most[t] = 0.0f;
        for (long band = 0; band < l->bands; band++)
            for (long t = 0; t < frames; t++) {
                lost[t] += mean[band] * ends[band * frames + t];
                at_most[t] += peak[band] * near[band * frames + t];
            }
        for (long t = 0; t < frames; t++) {
            const float known = energy[t] < l->floor ? l->floor : energy[t];
            bad[t] = at_most[t] > l->most * known;
            count += bad[t];
        }
    }
    return count;
}

/* -> whether any frame is bad, or -1 when there is no memory. */
int lost_energy(const losses *l, int threads) {
    long count = 0, failed = 0;
#pragma omp parallel for reduction(+ : count, failed) num_threads(threads)
    for (long clip = 0; clip < l->clips; clip++) {
        const long found = of_clip(l, clip);
        count += found < 0 ? 0 : found;
        failed += found < 0;
    }
    return failed ? -1 : count > 0;
}
