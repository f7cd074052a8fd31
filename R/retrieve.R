#' Find the passages nearest to a question
#'
#' `rag_retrieve()` is the first half of [rag_ask()]: passages that are about what the question is
#' about, best first. `rag_similar()` looks for passages that say something like a text: other
#' complaints like this one, other rules on the same matter.
#'
#' @inheritParams rag_ask
#' @param text Texts, a character vector: for each, passages that are like it. A passage that says
#'   the same as the text is left out.
#' @param k How many passages for each question, or text.
#' @returns A tibble with `k` rows for each question, fewer where the index has fewer passages:
#'   * `question`, as given; `text` from `rag_similar()`,
#'   * `rank`: from 1,
#'   * `document`, `page`, `place`, `start`, `end`, `passage`: where the passage stands, and its
#'     text, as in [rag_ask()],
#'   * `retrieval_score`: what `method` or `rerank` ranks by; higher is nearer,
#'   * `cosine`: cosine of the angle between the embeddings of question and passage, from -1 to 1,
#'     `NA` where it was not needed,
#'   * `bm25`: BM25 score of the words that both have, 0 or more, `NA` where it was not needed,
#'   * `passage_id`: as in [rag_passages()],
#'   * `elsewhere`: see *Copies*.
#' @section Copies:
#' The same text in two files does not take two places: a passage whose words, one after the other,
#' are all in a better one is not a row of its own. It is listed with the better one in `elsewhere`,
#' a list column of tibbles with `document`, `page`, `start`, `end` and `place`. White space, case
#' and bullets don't count; a single figure that differs does, and so do other headings above.
#' @section Errors:
#' `tanya_error_invalid_argument`, `tanya_error_index_not_found` and others: see [tanya_error].
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(I(c(
#'   cuti = "Cuti tahunan karyawan tetap 14 hari.",
#'   dinas = "Uang makan perjalanan dinas Rp200.000 per hari."
#' )))
#' rag_retrieve(index, "Berapa lama libur karyawan?", k = 1)
#' rag_similar(index, "Karyawan kontrak berhak cuti 6 hari.", k = 1)
rag_retrieve <- function(index, question, ..., k = 5, method = c("hybrid", "cosine", "keyword"),
                         filter = NULL, rerank = NULL) {
  check_dots(...)
  check_index(index)
  arguments <- list(
    path = index$path,
    questions = to_engine(check_complete_text(question)),
    k = check_count(k),
    method = check_choice(method, retrieval_methods),
    filter = filter_for_engine(enquo(filter)),
    rerank = if (!is.null(rerank)) check_string(rerank),
    progress = progress_callback()
  )
  with_places(engine_call("retrieve", arguments))
}

#' @rdname rag_retrieve
#' @export
rag_similar <- function(index, text, ..., k = 5, filter = NULL) {
  check_dots(...)
  check_index(index)
  arguments <- list(
    path = index$path,
    texts = to_engine(check_complete_text(text)),
    k = check_count(k),
    filter = filter_for_engine(enquo(filter)),
    progress = progress_callback()
  )
  found <- with_places(engine_call("similar", arguments))
  names(found)[names(found) == "question"] <- "text"
  found
}

retrieval_methods <- c("hybrid", "cosine", "keyword")
