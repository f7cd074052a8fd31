#' Compare two evaluations
#'
#' @description
#' Two evaluations of the same questions, say with two values of `k`, two presets of models or before
#' and after [rag_calibrate()], differ by chance too. `rag_compare()` gives the differences with
#' intervals from a paired bootstrap over the questions: where an interval holds 0, these questions
#' can't tell the two apart.
#'
#' @param first,second Evaluations from [rag_evaluate()] of the same questions, in the same order.
#' @returns A tibble with a row for each figure (`right`, `f1`, `exact_match`, `forced_f1` and
#'   `recall_at_5`) and the columns `figure`, `first` and `second` (means over the questions, from
#'   0 to 1), `difference` (second less first), and `low` and `high`, the ends of its 95 % interval.
#' @references Koehn (2004), "Statistical Significance Tests for Machine Translation Evaluation".
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))
#' gold <- read.csv(system.file("extdata", "gold.csv", package = "tanya"))[1:12, ]
#' rag_compare(rag_evaluate(index, gold, k = 1), rag_evaluate(index, gold, k = 5))
rag_compare <- function(first, second) {
  if (!inherits(first, "tanya_evaluation") || !inherits(second, "tanya_evaluation")) {
    abort_invalid_argument("{.arg first} and {.arg second} must come from {.fn rag_evaluate}.")
  }
  if (!identical(first$question, second$question)) {
    abort_invalid_argument(
      "{.arg first} and {.arg second} must be about the same questions in the same order."
    )
  }
  figures <- list(
    right = \(x) as.double(x$right),
    f1 = \(x) x$f1,
    exact_match = \(x) x$exact_match,
    forced_f1 = \(x) ifelse(lengths(x$gold) > 0, x$forced_f1, NA),
    recall_at_5 = \(x) ifelse(lengths(x$gold) > 0, !is.na(x$passage_rank) & x$passage_rank <= 5, NA)
  )
  rows <- lapply(names(figures), \(name) {
    a <- figures[[name]](first)
    b <- figures[[name]](second)
    asked <- !is.na(a) & !is.na(b)
    interval <- engine_call("compare", list(
      first = to_engine(as.double(a[asked])), second = to_engine(as.double(b[asked]))
    ))
    tibble::tibble(figure = name, first = mean(a[asked]), second = mean(b[asked]), !!!interval)
  })
  do.call(rbind, rows)
}
