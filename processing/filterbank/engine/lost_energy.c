/* Estimate the energy lost by band-limiting and flag frames above a bound: corrections.py. */
#include "engine.h"
#include "lanes.h"
#include "scratch.h"

#include <string.h>

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

int lost_energy(const losses *l, int threads) {
    int any = 0, failed = 0;
#pragma omp parallel for reduction(| : any, failed) num_threads(threads)
    for (long clip = 0; clip < l->clips; clip++) {
        const int status = estimate_clip(l, clip);
        any |= status > 0;
        failed |= status < 0;
    }
    return failed ? -1 : any;
}
