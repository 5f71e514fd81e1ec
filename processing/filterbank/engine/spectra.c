/* Spectra as pooled_bands.c reads them: LANES rows side by side, (rows / LANES rounded up, bins, re
 * and im, LANES), the bins from `lowest` on. Bins below 0 and above size / 2, those of a real signal,
 * are conjugates of others.
 */
#include "lanes_fft.h"
#include "scratch.h"

#include <string.h>

int pack_spectra(const packing *p, int threads) {
    const long groups = lane_groups(p->rows), bins = p->bins, block = 512;
    const long blocks = (bins + block - 1) / block;
#pragma omp parallel for collapse(2) num_threads(threads)
    for (long group = 0; group < groups; group++)
        for (long part = 0; part < blocks; part++) {
            const long last = (part + 1) * block < bins ? (part + 1) * block : bins;
            for (long k = part * block; k < last; k++) {
                cvec z = {{0}, {0}};
                for (long lane = 0; lane < lanes_from(group * LANES, p->rows); lane++) {
                    const cfloat *row = p->spectra + (group * LANES + lane) * p->half;
                    const cfloat value = real_bin(row, k + p->lowest, p->size);
                    z.re[lane] = value.re;
                    z.im[lane] = value.im;
                }
                p->packed[group * bins + k] = z;
            }
        }
    return 0;
}

/* Two samples in one complex number: half the points. Exchanged: what follows is a forward
 * transform. A few pairs of all lanes at a time, which fit the first cache. */
static void gather(const blocks *b, long group, cvec *x) {
    const long pairs = 128;
    memset(x, 0, b->size / 2 * sizeof(cvec));
    for (long begin = 0; begin < b->size; begin += 2 * pairs)
        for (long lane = 0; lane < lanes_from(group * LANES, b->clips * b->blocks); lane++) {
            const long row = group * LANES + lane;
            const long shift = row % b->blocks * b->step - b->in_front;
            const float *wav = b->wavs + row / b->blocks * b->samples;
            const long end = begin + 2 * pairs < b->size ? begin + 2 * pairs : b->size;
            const long last = end + shift < b->samples ? end : b->samples - shift;
            long n = begin + shift < 0 ? -shift : begin;
            float *to = (float *)x + lane;
            if (n % 2 && n < last) to[(n - 1) * LANES] = wav[shift + n], n++;
            for (; n + 1 < last; n += 2) {
                to[n * LANES + LANES] = wav[shift + n];
                to[n * LANES] = wav[shift + n + 1];
            }
            if (n < last) to[n * LANES + LANES] = wav[shift + n];
        }
}

int block_spectra(const blocks *b, int threads) {
    const long groups = lane_groups(b->clips * b->blocks), size = b->size, half = size / 2;
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (long group = 0; group < groups; group++) {
        cvec *x = scratch((3 * half + 1) * sizeof(cvec)), *whole = x + 2 * half;
        if (!x) {
            failed = -1;
            continue;
        }
        gather(b, group, x);
        const cvec *points = inverse_fft(x, NULL, x + half, x, half, b->half_roots);
        for (long k = 0; k <= half; k++) { /* the spectra of the even and of the odd samples */
            const cvec z = points[k == half ? 0 : k], w = points[k == 0 ? 0 : half - k];
            const cvec even = {0.5f * (z.im + w.im), 0.5f * (z.re - w.re)};
            const cvec odd = {0.5f * (z.re + w.re), 0.5f * (w.im - z.im)};
            const cfloat turn = {b->roots[k].re, -b->roots[k].im};
            whole[k] = plus(even, times(odd, turn));
        }
        cvec *to = b->packed + group * b->bins;
        for (long k = 0; k < b->bins; k++) {
            const long bin = k + b->lowest, at = stored_bin(bin, size);
            to[k] = whole[at];
            if (at != bin) to[k].im = -to[k].im;
        }
    }
    return failed;
}
