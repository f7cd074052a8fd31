#' Evaluate answers
#'
#' @description
#' Asks questions whose answers you know and compares. Each miss comes with its reason, so that you
#' can tell what to do about it: add a document, raise `k`, lower the threshold (see
#' [rag_calibrate()]), or accept that the reader preferred another piece of text.
#'
#' @inheritParams rag_ask
#' @param gold A data frame with the columns
#'   * `question`,
#'   * `answer`: the answer in the words of the document; several acceptable ones as a list column,
#'     or separated by `" || "`; missing or empty where the documents hold no answer,
#'   * `document` (optional): the document that holds it, as [rag_documents()] names it.
#'
#'   Other columns are ignored.
#' @returns A tibble of class `tanya_evaluation` with a row for each question, in their order:
#'   * `question`, `gold` (a list column), `answer`, `candidate`, `score`, `document`: as asked and
#'     answered (see [rag_ask()]), and `gold_document`,
#'   * `outcome`: `"right"`, `"rightly declined"`, or why it was missed: `"document not indexed"`,
#'     `"passage not retrieved"`, `"below the threshold"`, `"another span preferred"`,
#'     `"not declined"`,
#'   * `right`: whether the outcome is one of the first two. An answer is right where it comes from
#'     the gold document and shares enough words with a gold answer (F1 of at least 0.5),
#'   * `f1`, `exact_match`: from 0 to 1, as SQuAD 2.0 defines them; `forced_f1` is the F1 of the best
#'     candidate, whether declined or not,
#'   * `passage_rank`: rank of the first passage that holds the answer, `NA` where there is none among
#'     the first 1,000.
#'
#'   `summary()` gives a tibble of one row with the figures over all questions: `answerable_right`,
#'   `unanswerable_declined`, `f1`, `exact_match`, `answerable_f1`, `forced_f1`, `recall_at_1`, `_3`,
#'   `_5`, `_10`, `mrr`, `ndcg_at_10`, `ece` (expected calibration error of the score) and
#'   `seconds_per_question`.
#' @seealso [autoplot()][autoplot.tanya_evaluation] to plot an evaluation, [rag_compare()] to compare two.
#' @references Rajpurkar, Jia and Liang (2018), "Know What You Don't Know: Unanswerable Questions for
#'   SQuAD", arXiv:1806.03822.
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))
#' gold <- read.csv(system.file("extdata", "gold.csv", package = "tanya"))
#' evaluation <- rag_evaluate(index, gold[1:12, ])
#' evaluation
#' summary(evaluation)
rag_evaluate <- function(index, gold, ..., k = 5, threshold = NULL,
                         method = c("hybrid", "cosine", "keyword"), rerank = NULL) {
  check_dots(...)
  check_index(index)
  gold <- as_gold(gold)
  value <- engine_call("evaluate", list(
    path = index$path,
    questions = to_engine(gold$question),
    answers = lapply(gold$answers, to_engine),
    documents = if (!is.null(gold$document)) to_engine(gold$document),
    k = check_count(k),
    threshold = if (!is.null(threshold)) check_probability(threshold),
    method = check_choice(method, retrieval_methods),
    rerank = if (!is.null(rerank)) check_string(rerank),
    progress = progress_callback()
  ))
  reader <- engine_call("reader", list(path = index$path))
  verdicts <- from_engine(value$verdicts)
  figures <- from_engine(value$figures)
  tibble::new_tibble(
    verdicts,
    nrow = nrow(verdicts), class = "tanya_evaluation", threshold = threshold %||% reader$threshold,
    figures = tibble::as_tibble(set_names(as.list(figures$value), figures$figure))
  )
}

# Known answers as list(question, answers, document): `answers` is a list of character vectors, of
# length 0 where there is no answer.
as_gold <- function(gold, call = caller_env()) {
  if (!is.data.frame(gold) || !all(c("question", "answer") %in% names(gold))) {
    abort_invalid_argument(
      "{.arg gold} must be a data frame with the columns {.code question} and {.code answer}.",
      call = call
    )
  }
  answers <- gold$answer
  if (!is.list(answers)) {
    answers <- strsplit(as.character(answers), " || ", fixed = TRUE)
  }
  list(
    question = check_complete_text(as.character(gold$question), arg = "gold$question", call = call),
    answers = lapply(answers, \(x) {
      x <- enc2utf8(as.character(x))
      x[!is.na(x) & nzchar(x)]
    }),
    document = if ("document" %in% names(gold)) na_to_blank(as.character(gold$document))
  )
}

#' @export
tbl_sum.tanya_evaluation <- function(x, ...) {
  figures <- attr(x, "figures")
  header <- NextMethod()
  names(header)[[1]] <- "Evaluation"
  percent <- \(share) paste0(format(round(100 * share, 1)), " %")
  c(
    header,
    "Answerable" = paste(figures$answerable, "questions,", percent(figures$answerable_right), "right"),
    "Unanswerable" = paste(
      figures$unanswerable, "questions,", percent(figures$unanswerable_declined), "declined"
    )
  )
}

#' @export
summary.tanya_evaluation <- function(object, ...) attr(object, "figures")
