#' Plot an evaluation
#'
#' @param object From [rag_evaluate()].
#' @param type What to show:
#'   * `"reliability"`: how often answers were right against their score, in ten bins. On the
#'     diagonal, a score is what it says.
#'   * `"threshold"`: answerable questions answered right, and unanswerable ones declined, for every
#'     threshold. The dashed line is the one in force.
#'   * `"recall"`: share of the answerable questions whose passage is among the first k found.
#' @param ... Not used.
#' @returns A ggplot object. Needs the package ggplot2.
#' @exportS3Method ggplot2::autoplot
#' @examplesIf tanya::rag_available() && requireNamespace("ggplot2", quietly = TRUE)
#' index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))
#' gold <- read.csv(system.file("extdata", "gold.csv", package = "tanya"))
#' evaluation <- rag_evaluate(index, gold[seq(1, nrow(gold), by = 6), ])
#' ggplot2::autoplot(evaluation, "recall")
autoplot.tanya_evaluation <- function(object, type = c("reliability", "threshold", "recall"), ...) {
  check_installed("ggplot2", "to plot an evaluation.")
  switch(check_choice(type, c("reliability", "threshold", "recall")),
    reliability = plot_reliability(object),
    threshold = plot_threshold(object),
    recall = plot_recall(object)
  )
}

plot_reliability <- function(object) {
  # The score is about the candidate, whether it was given as the answer or not.
  right <- candidate_is_right(object)
  bin <- pmin(floor(object$score * 10), 9)
  bins <- data.frame(
    score = as.vector(tapply(object$score, bin, mean)),
    right = as.vector(tapply(right, bin, mean)),
    questions = as.vector(tapply(right, bin, length))
  )
  ggplot2::ggplot(bins, ggplot2::aes(.data$score, .data$right)) +
    ggplot2::geom_abline(colour = "grey60", linetype = "dashed") +
    ggplot2::geom_line(colour = plot_colours[[1]]) +
    ggplot2::geom_point(ggplot2::aes(size = .data$questions), colour = plot_colours[[1]]) +
    ggplot2::scale_size_area(max_size = 6) +
    ggplot2::coord_fixed(xlim = c(0, 1), ylim = c(0, 1)) +
    ggplot2::labs(x = "Score", y = "Share right", size = "Questions") +
    ggplot2::theme_minimal()
}

# From the right document, too, where the known answers name it.
candidate_is_right <- function(object) {
  object$outcome %in% c("right", "below the threshold")
}

plot_threshold <- function(object) {
  answerable <- lengths(object$gold) > 0
  right <- candidate_is_right(object)
  thresholds <- seq(0, 1, by = 0.01)
  share <- \(of, is) vapply(thresholds, \(threshold) mean(is(object$score[of], threshold, of)), 0)
  curves <- data.frame(
    threshold = rep(thresholds, 2),
    share = c(
      share(answerable, \(score, threshold, of) score >= threshold & right[of]),
      share(!answerable, \(score, threshold, of) score < threshold)
    ),
    of = rep(c("Answerable, answered right", "Unanswerable, declined"), each = length(thresholds))
  )
  curves <- curves[!is.nan(curves$share), ]
  ggplot2::ggplot(curves, ggplot2::aes(.data$threshold, .data$share, colour = .data$of)) +
    ggplot2::geom_vline(xintercept = attr(object, "threshold"), colour = "grey60", linetype = "dashed") +
    ggplot2::geom_line(linewidth = 0.8) +
    ggplot2::scale_colour_manual(values = plot_colours) +
    ggplot2::ylim(0, 1) +
    ggplot2::labs(x = "Threshold", y = "Share of questions", colour = NULL) +
    ggplot2::theme_minimal() +
    ggplot2::theme(legend.position = "top")
}

plot_recall <- function(object) {
  ranks <- object$passage_rank[lengths(object$gold) > 0]
  depths <- 1:20
  recall <- data.frame(
    k = depths,
    recall = vapply(depths, \(k) mean(!is.na(ranks) & ranks <= k), 0)
  )
  ggplot2::ggplot(recall, ggplot2::aes(.data$k, .data$recall)) +
    ggplot2::geom_line(colour = plot_colours[[1]]) +
    ggplot2::geom_point(colour = plot_colours[[1]]) +
    ggplot2::ylim(0, 1) +
    ggplot2::labs(x = "Passages found (k)", y = "Recall") +
    ggplot2::theme_minimal()
}

# Told apart by people who see colours differently, too (Okabe and Ito).
plot_colours <- c(
  "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000"
)
