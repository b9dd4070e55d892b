/*
 * 4_positions.c - telling positions apart: sines and cosines of many wavelengths.
 *
 * Attention sees a set: shuffle the tokens and every one gathers the same as before. So each
 * position gets a code of its own, which is added to its token's embedding. Here the code is made
 * of waves, two dimensions to a wavelength (Vaswani et al. 2017, section 3.5), for pair i = 0, 1, 2
 * ... of d/2:
 *
 *   PE(p, 2i)   = sin(p / 10000^(2i/d))
 *   PE(p, 2i+1) = cos(p / 10000^(2i/d))
 *
 * The first pair is a fast wave that tells neighbours apart, the last a slow one that tells the
 * beginning of a text from its end. GPT-2 does not use them: it learns a vector for each position.
 */
#include "lesson.h"

enum { N = 32, D = LESSON_D, PAIRS = D / 2 };

/*
 * Surprise: in the notebook's loop i steps by two, so it already is the 2i of the formula. Its
 * exponent doubles it once more, 4i/d, and the waves grow long twice as fast. Of eight dimensions
 * the first pair is right, since 0 doubled is 0; over 32 positions the others hardly move:
 * dimension 2 reaches sin(0.31) where the paper's goes through a whole half wave. They carry
 * little.
 *
 * A width that is odd ends with a sine that has no cosine.
 */
static void make_tables(board *b, float *notebook, float *paper) {
  float odd[5 * 7];
  limn_nn_positions(N, D, LIMN_NN_EXPONENT_DOUBLED, notebook);
  limn_nn_positions(N, D, LIMN_NN_EXPONENT_PAPER, paper);
  limn_nn_positions(5, 7, LIMN_NN_EXPONENT_DOUBLED, odd);
  SHOW(b, "4.PE", "the notebook's exponent", notebook, N, D);
  SHOW(b, "4.PE_paper", "the paper's", paper, N, D);
  SHOW(b, "4.PE_odd", "seven dimensions, the notebook's exponent", odd, 5, 7);
  SAY(b,
      "At position %d dimension 2 is sin(%.2f) with the notebook's exponent, sin(%.2f) with "
      "the paper's.",
      N - 1, (N - 1) / pow(10000, 4.0 / D), (N - 1) / pow(10000, 2.0 / D));
}

/*
 * The table is (positions, dimensions); a chart wants a line for each dimension, so it is turned.
 */
static limn_status draw_dimensions(board *b, int line, const char *file, const char *title,
                                   const char *says, float *table) {
  static const char *const legends[] = {"dim 0 (sin)", "dim 1 (cos)", "dim 2 (sin)"};
  limn_tensor all = limn_tensor_view(table, 2, (int64_t[]){N, D});
  limn_tensor turned = limn_tensor_transpose(&all, 0, 1);
  limn_figure *f;
  if (!b->draw) return LIMN_OK;
  limn_status status = limn_figure_new(380, 230, &f, &b->err);
  if (status != LIMN_OK) return status;
  limn_line_chart chart = {.y = limn_tensor_narrow(&turned, 0, 0, 3),
                           .legends = legends,
                           .title = title,
                           .x_title = "token position",
                           .y_title = "encoding value"};
  limn_figure_lines(f, (limn_area){8, 8, 366, 214}, &chart);
  status = b->draw(b, line, file, says, f);
  limn_figure_free(f);
  return status;
}

static limn_status draw_both(board *b, float *notebook, float *paper) {
  limn_status status =
      draw_dimensions(b, __LINE__, "4-positions-notebook", "The notebook's exponent, 4i/d",
                      "Dimension 2 hardly leaves 0.", notebook);
  if (status == LIMN_OK)
    status = draw_dimensions(b, __LINE__, "4-positions-paper", "The paper's exponent, 2i/d",
                             "The same three dimensions as the paper has them.", paper);
  return status;
}

/*
 * The wavelength of pair i, in positions, is 2 pi 10000^(2i/d) in the paper and
 * 2 pi 10000^(4i/d) in the notebook: on a logarithmic scale one line is twice as steep.
 */
static limn_status draw_wavelengths(board *b) {
  static const char *const legends[] = {"notebook", "paper"};
  float powers[2][PAIRS];
  limn_figure *f;
  if (!b->draw) return LIMN_OK;
  limn_status status = limn_figure_new(380, 230, &f, &b->err);
  if (status != LIMN_OK) return status;
  for (int i = 0; i < PAIRS; i++) {
    powers[0][i] = (float)log10(2 * 3.141592653589793 * pow(10000, 4.0 * i / D));
    powers[1][i] = (float)log10(2 * 3.141592653589793 * pow(10000, 2.0 * i / D));
  }
  limn_line_chart chart = {.y = limn_tensor_view(powers[0], 2, (int64_t[]){2, PAIRS}),
                           .legends = legends,
                           .title = "How long the wave of each pair is",
                           .x_title = "pair of dimensions",
                           .y_title = "log10 of positions"};
  limn_figure_lines(f, (limn_area){8, 8, 366, 214}, &chart);
  status =
      b->draw(b, __LINE__, "4-positions-difference",
              "The notebook's last wave takes six million positions, the paper's six thousand.", f);
  limn_figure_free(f);
  return status;
}

static limn_status positions(board *b) {
  float notebook[N * D], paper[N * D];
  make_tables(b, notebook, paper);
  limn_status status = draw_both(b, notebook, paper);
  return status == LIMN_OK ? draw_wavelengths(b) : status;
}

LESSON(4, "4. Where a token stands", positions)
