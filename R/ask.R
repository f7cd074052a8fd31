#' Ask
#'
#' @description
#' Answers questions in the words of the documents. For each question the `k` nearest passages are
#' found (see [rag_retrieve()]) and read by the reader, a model that marks the answer in a passage or
#' tells that there is none.
#'
#' An answer is always a piece of a document, never made up. Where the documents hold no answer that
#' is good enough, `answer` is `NA`.
#'
#' @param index An index, from [rag_index()] or [rag_open()].
#' @param question Questions, a character vector. All are answered in one go, which is quicker than
#'   one call for each. Missing or blank ones are an error.
#' @param ... Must be empty: the arguments after it are given by name.
#' @param n How many answers for each question, at most.
#' @param k How many passages to read for each question. More find answers that stand in unlikely
#'   places, and take longer: the time goes with `k`.
#' @param threshold Answers with a lower score are declined: a number from 0 to 1. `NULL` for the
#'   one that [rag_calibrate()] found for the index, or else 0.25: an answer is given where its chance
#'   of being right is at least one in four, with the score beside it. 0 to get an answer always.
#' @param method How passages are found: by meaning (`"cosine"`), by words (`"keyword"`), or by both.
#' @param filter Which documents to look at: an expression on their metadata and on the columns of
#'   [rag_documents()] (but `passages`), such as `tahun >= 2024 & jenis == "SOP"`. See *Filters*.
#' @param rerank `NULL`, or a model that reads the first 30 passages found together with the question
#'   and ranks them anew: the directory or hub name of any cross-encoder that sentence-transformers
#'   can load, such as `"cross-encoder/mmarco-mMiniLMv2-L12-H384-v1"`. It often ranks better, and
#'   takes some seconds for each question. Whether it pays on your documents, [rag_evaluate()] tells.
#' @returns A tibble of class `tanya_answers`, with a row for each question, or up to `n`, in the
#'   order of the questions:
#'   * `question`: as given,
#'   * `answer`: the answer, or `NA` where there is none with a score of `threshold` or more,
#'   * `score`: how likely it is that the answer is right, from 0 to 1,
#'   * `document`: its name,
#'   * `page`: page or slide, `NA` in formats that have none,
#'   * `start`, `end`: where the answer stands: its first and last character in the document's text
#'     ([rag_text()]), counted from 1,
#'   * `passage`: the passage around it,
#'   * `retrieval_score`: how near the passage is to the question,
#'   * `margin`: log-odds of the answer against "no answer here", less what its passage loses by its
#'     rank, before they are calibrated to `score`; may be any number,
#'   * `rank`: 1 for the best answer to a question,
#'   * `place`: what the place is called in the document: a heading, a sheet and cell,
#'   * `candidate`: the same as `answer`, but also there when it was declined,
#'   * `support`: in how many places the same answer was found, 0 where it was declined,
#'   * `elsewhere`: a list column of tibbles with the other places: `document`, `page`, `start`,
#'     `end`, `place`.
#'
#'   Where an answer was declined, there is one row for the question, and all that tells of a place
#'   is `NA`.
#' @section Filters:
#' A filter is written like one for `dplyr::filter()`, but evaluated by the index, before passages
#' are ranked. It may hold `==`, `!=`, `<`, `<=`, `>`, `>=`, `%in%`, `is.na()`,
#' `startsWith(column, text)`, `grepl(text, column, fixed = TRUE)`, `&`, `|`, `!` and parentheses. One side of a comparison is a column; the other is anything that R can evaluate to a
#' value: `tahun >= batas`, `jenis %in% c("SOP", "SK")`, `tanggal < as.Date("2024-07-01")`. Where a
#' variable has the name of a column, say `.env$tahun`, or `!!tahun`. Dates are compared in their ISO
#' 8601 form.
#' @section Errors:
#' `tanya_error_invalid_argument`, `tanya_error_question_too_long`, `tanya_error_index_not_found` and
#' others: see [tanya_error].
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))
#' answers <- rag_ask(index, c(
#'   "Berapa hari cuti tahunan karyawan tetap?",
#'   "Siapa presiden Prancis?"
#' ))
#' answers
#' answers$candidate
rag_ask <- function(index, question, ..., n = 1, k = 5, threshold = NULL,
                    method = c("hybrid", "cosine", "keyword"), filter = NULL, rerank = NULL) {
  check_dots(...)
  check_index(index)
  arguments <- list(
    path = index$path,
    questions = to_engine(check_complete_text(question)),
    n = check_count(n),
    k = check_count(k),
    threshold = if (!is.null(threshold)) check_probability(threshold),
    method = check_choice(method, retrieval_methods),
    filter = filter_for_engine(enquo(filter)),
    rerank = if (!is.null(rerank)) check_string(rerank),
    progress = progress_callback()
  )
  answers <- engine_call("ask", arguments)
  reader <- engine_call("reader", list(path = index$path))
  new_answers(
    answers,
    threshold = threshold %||% reader$threshold,
    abstains = reader$abstains,
    asked = arguments[c("path", "k", "method", "filter", "rerank")]
  )
}
