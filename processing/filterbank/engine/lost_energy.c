/* Estimate the energy lost by band-limiting and flag frames above a bound: lost_energy.py. */
#include "lanes.h"
#include "scratch.h"

#include <string.h>

typedef struct {
    const float *energy; /* (filters, clips, frames) */
    const float *wide;   /* (bands, clips, frames): energies of the signal in wide bands */
    const float *mean;   /* (filters, bands): power of each filter there outside its own band */
    const float *peak;
    float *lost; /* (filters, clips, frames) */
    char *flagged; /* the same: more than the bound may be lost */
    long filters, clips, frames, bands;
    long whole; /* half a filter in hops, rounded down */
    float part; /* the remainder */
    float bound; /* fraction of a frame's energy that may be lost */
    float floor;
} losses;

/* One clip: -> 1 if any frame is flagged, else 0; -1 when there is no memory. */
static int estimate_clip(const losses *l, long clip) {
    const long frames = l->frames, reach = l->whole + 1, bands = l->bands;
    const long row = lane_groups(frames) * LANES;
    float *ends = scratch(sizeof(float) * (2 * bands * row + row + 2 * reach));
    if (!ends) return -1;
    float *near = ends + bands * row, *padded = near + bands * row;
    memset(padded, 0, sizeof(float) * (row + 2 * reach));
    for (long band = 0; band < bands; band++) {
        float *at_ends = ends + band * row, *largest = near + band * row;
        memcpy(padded + reach, l->wide + (band * l->clips + clip) * frames, sizeof(float) * frames);
        memset(largest, 0, sizeof(float) * row);
        for (long t = 0; t < row; t++) {
            const float outer = padded[t] + padded[t + 2 * reach];
            const float inner = padded[t + 1] + padded[t + 2 * reach - 1];
            at_ends[t] = 0.5f * ((1.0f - l->part) * inner + l->part * outer);
        }
        for (long step = 0; step <= 2 * reach; step++)
            for (long t = 0; t < row; t++)
                largest[t] = padded[t + step] > largest[t] ? padded[t + step] : largest[t];
    }
    int any = 0;
    for (long n = 0; n < l->filters; n++) {
        const float *mean = l->mean + n * bands, *peak = l->peak + n * bands;
        const float *energy = l->energy + (n * l->clips + clip) * frames;
        float *lost = l->lost + (n * l->clips + clip) * frames;
        char *flagged = l->flagged + (n * l->clips + clip) * frames;
        for (long first = 0; first < frames; first += LANES) {
            vec sum = {0}, at_most = {0};
            for (long band = 0; band < bands; band++) {
                sum += mean[band] * *(const vec *)(ends + band * row + first);
                at_most += peak[band] * *(const vec *)(near + band * row + first);
            }
            for (long t = first; t < first + LANES && t < frames; t++) {
                const float known = energy[t] < l->floor ? l->floor : energy[t];
                lost[t] = sum[t - first];
                flagged[t] = at_most[t - first] > l->bound * known;
                any |= flagged[t];
            }
        }
    }
    return any;
}

/* -> 1 if any frame is flagged, else 0; -1 when there is no memory. `power` is (2, filters, bands):
 * mean and peak. */
int lost_energy(const float *energy, const float *wide, const float *power, float *lost,
                char *flagged, long filters, long clips, long frames, long bands, long whole,
                double part, double bound, double floor, int threads) {
    const losses all = {energy, wide,   power,       power + filters * bands, lost,         flagged,
                        filters, clips, frames,      bands,                   whole, (float)part,
                        (float)bound,   (float)floor};
    int any = 0, failed = 0;
#pragma omp parallel for reduction(| : any, failed) num_threads(threads)
    for (long clip = 0; clip < clips; clip++) {
        const int status = estimate_clip(&all, clip);
        any |= status > 0;
        failed |= status < 0;
    }
    return failed ? -1 : any;
}
