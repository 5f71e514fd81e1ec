/* Responses of filters at the bins of their bands, LANES filters side by side.
 *
 * band_responses.py has the same in torch operators and explains the factors: the taps are shifted
 * to the first bin of their band, a short FFT gives the response on a coarse grid, and every bin is
 * interpolated from `points` neighbours there. Backward is the transpose of each step, from the last
 * to the first.
 */
#include "lanes_fft.h"
#include "scratch.h"

#include <string.h>

static inline cfloat *row_of(const responses *r, long filter) {
    return (cfloat *)r->rows[filter];
}
static inline cfloat conjugate(cfloat w) { return (cfloat){w.re, -w.im}; }
static inline cvec exchanged(cvec a) { return (cvec){a.im, a.re}; }

static long lanes_of(const responses *r, long group) {
    return lanes_from(group * LANES, r->filters);
}

/* Sizes of one group of filters. */
typedef struct {
    long lanes;
    long most;   /* largest number of bins */
    long grid;   /* points of the grid around these bins */
    long coarse; /* points of the FFT */
    long before; /* index of the first of them in the FFT, modulo `coarse` */
} sizes;

static sizes sizes_of(const responses *r, long group) {
    sizes s = {.lanes = lanes_of(r, group), .coarse = r->size / r->step};
    for (long lane = 0; lane < s.lanes; lane++)
        if (r->bins[group * LANES + lane] > s.most) s.most = r->bins[group * LANES + lane];
    s.grid = (s.most + r->step - 1) / r->step + r->points - 1;
    s.before = s.coarse - (r->points - 1) / 2;
    return s;
}

/* Phase of the shift to the first bin: step from tap to tap, and present value, as indices of
 * `roots`. */
typedef struct {
    long step[LANES], at[LANES];
} phases;

static phases start_phases(const responses *r, long group, long sign) {
    phases now = {{0}, {0}};
    for (long lane = 0; lane < lanes_of(r, group); lane++) {
        const long step = sign * r->starts[group * LANES + lane] % r->size;
        now.step[lane] = step < 0 ? step + r->size : step;
    }
    return now;
}

/* Factors of the next tap. */
static cvec next_factor(const responses *r, phases *now, float of_tap) {
    cvec factor;
    for (int lane = 0; lane < LANES; lane++) {
        const cfloat root = r->roots[now->at[lane]];
        factor.re[lane] = root.re * of_tap;
        factor.im[lane] = root.im * of_tap;
        now->at[lane] += now->step[lane];
        if (now->at[lane] >= r->size) now->at[lane] -= r->size;
    }
    return factor;
}

static inline cvec product(cvec a, cvec b) {
    return (cvec){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* One bin from its neighbours, and the transpose; inlined with a constant `points`. */
static inline __attribute__((always_inline)) cvec between(const cvec *near, const float *weights,
                                                          const long points) {
    cvec sum = {{0}, {0}};
    for (long p = 0; p < points; p++) sum = plus(sum, scaled(near[p], weights[p]));
    return sum;
}
static inline __attribute__((always_inline)) void apart(cvec bin, cvec *near, const float *weights,
                                                        const long points) {
    for (long p = 0; p < points; p++) near[p] = plus(near[p], scaled(bin, weights[p]));
}

static int forward(const responses *r, long group) {
    const sizes s = sizes_of(r, group);
    cvec *x = scratch((2 * s.coarse + s.grid) * sizeof(cvec)), *points = x + 2 * s.coarse;
    if (!x) return 1;
    memset(x, 0, s.coarse * sizeof(cvec));
    phases now = start_phases(r, group, 1);
    for (long n = 0; n < r->window; n++) {
        cvec tap = {{0}, {0}};
        for (long lane = 0; lane < s.lanes; lane++) {
            const cfloat value = r->taps[(group * LANES + lane) * r->window + n];
            tap.re[lane] = value.re, tap.im[lane] = value.im;
        }
        x[n] = product(tap, next_factor(r, &now, r->of_taps[n]));
    }
    const cvec *signal = inverse_fft(x, NULL, x + s.coarse, x, s.coarse, r->coarse_roots);
    for (long i = 0; i < s.grid; i++)
        points[i] = times(signal[(s.before + i) % s.coarse], r->of_grid[i]);
    for (long k = 0; k < s.most; k++) {
        const cvec *near = points + k / r->step;
        const float *weights = r->weights + k % r->step * r->points;
        const cvec bin = r->points == 8 ? between(near, weights, 8) : between(near, weights, 1);
        const cvec response = times(bin, r->of_bins[k]);
        for (long lane = 0; lane < s.lanes; lane++)
            if (k < r->bins[group * LANES + lane])
                row_of(r, group * LANES + lane)[k] = (cfloat){response.re[lane], response.im[lane]};
    }
    return 0;
}

static int backward(const responses *r, long group) {
    const sizes s = sizes_of(r, group);
    cvec *x = scratch((2 * s.coarse + s.grid) * sizeof(cvec)), *points = x + 2 * s.coarse;
    if (!x) return 1;
    memset(x, 0, s.coarse * sizeof(cvec));
    memset(points, 0, s.grid * sizeof(cvec));
    for (long k = 0; k < s.most; k++) {
        cvec above = {{0}, {0}};
        for (long lane = 0; lane < s.lanes; lane++)
            if (k < r->bins[group * LANES + lane]) {
                const cfloat value = row_of(r, group * LANES + lane)[k];
                above.re[lane] = value.re, above.im[lane] = value.im;
            }
        const cvec bin = times(above, conjugate(r->of_bins[k]));
        cvec *near = points + k / r->step;
        const float *weights = r->weights + k % r->step * r->points;
        if (r->points == 8)
            apart(bin, near, weights, 8);
        else
            apart(bin, near, weights, 1);
    }
    for (long i = 0; i < s.grid; i++)
        x[(s.before + i) % s.coarse] = exchanged(times(points[i], conjugate(r->of_grid[i])));
    const cvec *signal = inverse_fft(x, NULL, x + s.coarse, x, s.coarse, r->coarse_roots);
    phases now = start_phases(r, group, -1);
    for (long n = 0; n < r->window; n++) {
        const cvec tap = product(exchanged(signal[n]), next_factor(r, &now, r->of_taps[n]));
        for (long lane = 0; lane < s.lanes; lane++)
            r->taps[(group * LANES + lane) * r->window + n] =
                (cfloat){tap.re[lane], tap.im[lane]};
    }
    return 0;
}

static int run(const responses *r, int (*step)(const responses *, long), int threads) {
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (long group = 0; group < lane_groups(r->filters); group++)
        if (step(r, group)) failed = -1;
    return failed;
}

int band_responses(const responses *r, int threads) { return run(r, forward, threads); }
int band_responses_backward(const responses *r, int threads) { return run(r, backward, threads); }
