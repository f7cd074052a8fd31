#' Fit scores and threshold to your own questions
#'
#' @description
#' The reader comes with scores that were fitted on encyclopedia articles and invented office texts.
#' Your documents and questions are of another kind. With some dozens of questions whose answers you know,
#' among them some that the documents don't answer, `rag_calibrate()` fits both anew for one index,
#' and keeps them in it.
#'
#' Evaluate on other questions than those you calibrated with: on the same ones the figures flatter.
#'
#' @inheritParams rag_evaluate
#' @param gold As in [rag_evaluate()]; or `NULL` to go back to the reader's own.
#' @returns A tibble with the rows `"before"` and `"after"` and the columns `when`, `threshold` (score
#'   below which answers are declined), `temperature` and `bias`: the score is
#'   `plogis((margin - bias) / temperature)`.
#' @section Errors:
#' `tanya_error_invalid_argument` where the reader was not trained to decline, or where the questions
#' are all answered right or all wrong, so that there is nothing to tell apart. See [tanya_error].
#' @references Platt (1999), "Probabilistic outputs for support vector machines".
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))
#' gold <- read.csv(system.file("extdata", "gold.csv", package = "tanya"))
#' rag_calibrate(index, gold[seq(1, nrow(gold), by = 4), ])
#' rag_calibrate(index, NULL)
rag_calibrate <- function(index, gold, ..., k = 5, method = c("hybrid", "cosine", "keyword"),
                          rerank = NULL) {
  check_dots(...)
  check_index(index)
  if (is.null(gold)) {
    return(engine_call("reset_calibration", list(path = index$path)))
  }
  gold <- as_gold(gold)
  engine_call("calibrate", list(
    path = index$path,
    questions = to_engine(gold$question),
    answers = lapply(gold$answers, to_engine),
    documents = if (!is.null(gold$document)) to_engine(gold$document),
    k = check_count(k),
    method = check_choice(method, retrieval_methods),
    rerank = if (!is.null(rerank)) check_string(rerank),
    progress = progress_callback()
  ))
}
