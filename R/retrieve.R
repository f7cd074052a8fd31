#' Find the passages nearest to a question
#'
#' The first half of [rag_ask()]: passages that are about what the question is about, best first.
#'
#' @inheritParams rag_ask
#' @param k How many passages for each question.
#' @returns A tibble with `k` rows for each question, fewer where the index has fewer passages:
#'   * `question`, as given,
#'   * `rank`: from 1,
#'   * `document`, `page`, `place`, `start`, `end`, `passage`: where the passage stands, and its
#'     text, as in [rag_ask()],
#'   * `retrieval_score`: what `method` ranks by; higher is nearer,
#'   * `cosine`: cosine of the angle between the embeddings of question and passage, from -1 to 1,
#'   * `bm25`: BM25 score of the words that both have, 0 or more, `NA` where it was not needed,
#'   * `passage_id`: as in [rag_passages()].
#' @section Errors:
#' `tanya_error_invalid_argument`, `tanya_error_index_not_found` and others: see [tanya_error].
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(I(c(
#'   cuti = "Cuti tahunan karyawan tetap 14 hari.",
#'   dinas = "Uang makan perjalanan dinas Rp200.000 per hari."
#' )))
#' rag_retrieve(index, "Berapa lama libur karyawan?", k = 1)
rag_retrieve <- function(index, question, ..., k = 5, method = c("hybrid", "cosine", "keyword"),
                         filter = NULL) {
  check_dots(...)
  check_index(index)
  arguments <- list(
    path = index$path,
    questions = to_engine(check_complete_text(question)),
    k = check_count(k),
    method = check_choice(method, retrieval_methods),
    filter = filter_for_engine(enquo(filter)),
    progress = progress_callback()
  )
  engine_call("retrieve", arguments)
}

retrieval_methods <- c("hybrid", "cosine", "keyword")
