#' See why an answer was given, or none
#'
#' @description
#' For one answer of [rag_ask()]: the passages that were read, how each was found, and the best span
#' that the reader saw in it. The question is asked again with the same settings.
#'
#' @param answers Answers from [rag_ask()], or a row of them.
#' @param row Which row to explain.
#' @returns A tibble of class `tanya_explanation` with a row for each passage that was read, in the order in
#'   which they were found:
#'   * `rank`, `document`, `page`, `place`: of the passage,
#'   * `retrieval_score`, `cosine`, `bm25`: what it was found by (see [rag_retrieve()]),
#'   * `candidate`, `margin`, `score`: the best span in it (see [rag_ask()]),
#'   * `verdict`: `"answer"` for the span that was given, `"below the threshold"`, or `"lower"` or
#'     `"higher"` for one with a lower or higher score than the answer. Of an answer that is not the
#'     best span of its passage, as those of a rank above 1 may be, the best one is shown,
#'   * `start`, `end`: of the span in the document's text, and `passage`.
#' @section Errors:
#' `tanya_error_invalid_argument` where the question has another answer now: documents or calibration
#' were changed after it was asked, or rows of several calls were put together, of which only the
#' settings of the first are known. See [tanya_error].
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))
#' answers <- rag_ask(index, "Berapa hari cuti tahunan karyawan tetap?")
#' rag_explain(answers)
rag_explain <- function(answers, row = 1) {
  answer <- check_answer(answers, row, c("question", "answer", "score", "document", "start"))
  question <- list(question = enc2utf8(answer$question))
  evidence <- engine_call("explain", c(question, attr(answer, "asked")))
  verdict <- ifelse(evidence$score > answer$score, "higher", "lower")
  verdict[evidence$score < attr(answers, "threshold")] <- "below the threshold"
  # A declined question has no document, and so no answer among the passages.
  given <- evidence$document %in% answer$document & evidence$start %in% answer$start
  verdict[given] <- "answer"
  if (!is.na(answer$answer) && 1L %in% answer[["rank"]] && !any(given)) {
    abort_invalid_argument(c(
      "The question {.val {answer$question}} has another answer now.",
      i = "Ask it again with {.fn rag_ask}, and explain the answers of one call."
    ))
  }
  evidence <- tibble::add_column(evidence, verdict = verdict, .after = "score")
  tibble::new_tibble(
    evidence,
    nrow = nrow(evidence), class = "tanya_explanation",
    question = answer$question, threshold = attr(answers, "threshold")
  )
}

#' @export
tbl_sum.tanya_explanation <- function(x, ...) {
  header <- NextMethod()
  names(header)[[1]] <- "Explanation"
  c(
    header,
    "Question" = attr(x, "question"),
    "Threshold" = format(round(attr(x, "threshold"), 2))
  )
}
