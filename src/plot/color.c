/*
 * color.c - colours for numbers.
 *
 * Viridis (Smith and van der Walt 2015) grows evenly in lightness, so equal steps look equal, in
 * grey and without colour vision too. Signed values get blue and red about white (ColorBrewer's
 * RdBu, Brewer 1994). Both are given at even steps, with straight lines between.
 */
#include <limn/plot.h>
#include <math.h>

static const unsigned char viridis[][3] = {
    {68, 1, 84},    {72, 40, 120},  {62, 74, 137},  {49, 104, 142}, {38, 130, 142},
    {31, 158, 137}, {53, 183, 121}, {110, 206, 88}, {181, 222, 43}, {253, 231, 37}};
static const unsigned char diverging[][3] = {{33, 102, 172},  {103, 169, 207}, {209, 229, 240},
                                             {255, 255, 255}, {253, 219, 199}, {239, 138, 98},
                                             {178, 24, 43}};
static const unsigned char greys[][3] = {{40, 40, 46}, {240, 240, 240}};

limn_color limn_color_at(limn_color_map map, double x) {
  static const struct {
    const unsigned char (*steps)[3];
    int n;
  } maps[] = {{viridis, 10}, {diverging, 7}, {greys, 2}};
  if (isnan(x)) return (limn_color){0.85, 0.85, 0.85};
  int last = maps[map].n - 1;
  double at = (x < 0 ? 0 : x > 1 ? 1 : x) * last;
  int i = at >= last ? last - 1 : (int)at;
  const unsigned char *a = maps[map].steps[i], *b = maps[map].steps[i + 1];
  double t = at - i, mixed[3];
  for (int k = 0; k < 3; k++)
    mixed[k] = (a[k] + (b[k] - a[k]) * t) / 255;
  return (limn_color){mixed[0], mixed[1], mixed[2]};
}
