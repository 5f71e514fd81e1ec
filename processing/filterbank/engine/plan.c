/* Choose the band and the rate of each filter, and compute its power outside: plan.py in one pass.
 *
 * As torch operators these are fifty calls on tensors so small that calling takes most of the time.
 */
#include "lanes_fft.h"
#include "scratch.h"

#include <math.h>
#include <string.h>

static void power_of(const filters *f, long group, cvec *x) {
    const long lanes = lanes_from(group * LANES, f->filters);
    memset(x, 0, f->points * sizeof(cvec));
    for (long lane = 0; lane < lanes; lane++) {
        const float *taps = f->taps + (group * LANES + lane) * 2 * f->window;
        for (long n = 0; n < f->window; n++)
            x[n].re[lane] = taps[n], x[n].im[lane] = -taps[f->window + n];
    }
    const cvec *found = inverse_fft(x, NULL, x + f->points, x, f->points, f->roots);
    for (long k = 0; k < f->points; k++) {
        const vec power = found[k].re * found[k].re + found[k].im * found[k].im;
        for (long lane = 0; lane < lanes; lane++)
            f->power[(group * LANES + lane) * f->points + k] = power[lane];
    }
}

static double centre_of(const filters *f, const float *power) {
    double re = 0, im = 0;
    for (long k = 0; k < f->points; k++)
        re += (double)power[k] * f->roots[k].re, im += (double)power[k] * f->roots[k].im;
    const double centre = atan2(im, re);
    if (!isfinite(centre)) return 0; /* NaN in the taps: lowest_of gives the full rate */
    return centre < -M_PI / 2 ? centre + 2 * M_PI : centre;
}

static long lowest_of(const filters *f, const float *power, double centre, double *outside) {
    const long points = f->points, half = points / 2;
    const long middle = lrint(centre * points / (2 * M_PI)) + points;
    double total = 0;
    float peak = 0;
    for (long k = 0; k < points; k++) {
        total += power[k];
        if (power[k] > peak) peak = power[k];
    }
    /* Power at each distance from the middle and beyond; the largest distance above -40 dB. */
    long loud = 0;
    outside[half + 1] = 0;
    for (long d = half; d >= 0; d--) {
        const float both = power[(middle + d) % points] + power[(middle - d) % points];
        outside[d] = outside[d + 1] + both;
        if (loud == 0 && both >= 1e-4f * peak) loud = d;
    }
    long lowest = 0; /* once a rate is too low, so are all below it */
    for (long i = 0; i < f->number; i++) {
        const long rate = f->candidates[i];
        const double width = loud * (2 * M_PI / points), edge = rate * (M_PI / f->hop);
        const int sufficient = outside[rate * points / (2 * f->hop)] <= f->max_leak * total
                               && width * f->headroom <= edge;
        lowest += !sufficient;
    }
    return lowest;
}

int choose_rates(const filters *f, int threads) {
    const long groups = lane_groups(f->filters);
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (long group = 0; group < groups; group++) {
        cvec *x = scratch(2 * f->points * sizeof(cvec));
        if (!x) {
            failed = -1;
            continue;
        }
        power_of(f, group, x);
        for (long n = group * LANES; n < f->filters && n < (group + 1) * LANES; n++) {
            const float *of_filter = f->power + n * f->points;
            f->centres[n] = centre_of(f, of_filter);
            f->lowest[n] = lowest_of(f, of_filter, f->centres[n], (double *)x);
        }
    }
    return failed;
}

/* The power of filter n outside its band, at the frequencies k and -1 - k. */
int lost_power(const outside *o, int threads) {
    const long points = o->points, half = points / 2, bands = o->bands;
#pragma omp parallel for num_threads(threads)
    for (long n = 0; n < o->filters; n++)
        for (long band = 0; band < bands; band++) {
            const long first = band * half / bands, last = ((band + 1) * half + bands - 1) / bands;
            double sum = 0;
            float most = 0;
            for (long k = first; k < last; k++) {
                float outer = 0;
                for (int mirrored = 0; mirrored < 2; mirrored++) {
                    const long at = mirrored ? points - 1 - k : k;
                    double apart = fabs(at * (2 * M_PI / points) - o->centres[n]);
                    if (apart > 2 * M_PI) apart -= 2 * M_PI;
                    if (apart > M_PI) apart = 2 * M_PI - apart;
                    const float here = o->power[n * points + at];
                    if (apart > o->edges[n]) sum += here;
                    if (apart > o->inner * o->edges[n]) outer += here;
                }
                if (outer > most) most = outer;
            }
            o->mean[n * bands + band] = (float)(sum / (last - first));
            o->peak[n * bands + band] = o->edges[n] < M_PI ? most : 0.0f;
        }
    return 0;
}
