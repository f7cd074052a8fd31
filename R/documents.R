#' See what an index holds
#'
#' @description
#' * `rag_documents()`: a row for each document, also for those that could not be read.
#' * `rag_passages()`: the passages that documents were cut into.
#' * `rag_text()`: the text of documents. All `start` and `end` that tanya gives are positions in
#'   it, so that `substr(rag_text(index, document), start, end)` is the answer, or the passage.
#'
#' @inheritParams rag_add
#' @param document Names of documents, as in the column `document` of everything that tanya gives.
#'   For `rag_passages()`, `NULL` means all.
#' @returns `rag_documents()`: a tibble with the columns
#'   * `document`: name in the index, for files in a folder the path within it,
#'   * `path`: where the file was, `NA` for texts held in R,
#'   * `type`: format, such as `"pdf"`,
#'   * `title`: the document's own title, `NA` if it has none,
#'   * `pages`, `passages`, `characters`: how many; `pages` is `NA` for formats without pages,
#'   * `hash`: SHA-256 of the file or text,
#'   * `indexed_at`: when, in UTC (ISO 8601),
#'   * `status`: `"indexed"`, or what hindered it, such as `"needs_ocr"` or `"encrypted"`,
#'   * `message`: what a person should know about it, or `NA`,
#'   * `metadata`: a list column of named lists, for `tidyr::unnest_wider()`.
#'
#'   `rag_passages()`: a tibble with `passage_id`, `document`, `ordinal` (from 1 in each document),
#'   `start` and `end` (characters of the document's text, the first is 1, `end` included), `page`
#'   (`NA` where there are none), `place` (heading, sheet or the like), `text`, and `context` (what
#'   the embedder was told besides, such as the headings above).
#'
#'   `rag_text()`: a character vector as long as `document`, `NA` for `NA`.
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(I(c(
#'   cuti = "Cuti tahunan karyawan tetap 14 hari.",
#'   dinas = "Uang makan perjalanan dinas Rp200.000 per hari."
#' )))
#' rag_documents(index)
#' rag_passages(index, "cuti")
#' answers <- rag_ask(index, "Berapa uang makan?")
#' substr(rag_text(index, answers$document), answers$start, answers$end)
rag_documents <- function(index) {
  check_index(index)
  engine_call("documents", list(path = index$path))
}

#' @rdname rag_documents
#' @export
rag_passages <- function(index, document = NULL) {
  check_index(index)
  if (!is.null(document)) document <- check_complete_text(document)
  engine_call("passages", list(path = index$path, documents = to_engine(document)))
}

#' @rdname rag_documents
#' @export
rag_text <- function(index, document) {
  check_index(index)
  document <- check_text(document)
  names <- unique(document[!is.na(document)])
  texts <- vapply(names, \(name) engine_call("text", list(path = index$path, document = name)), "")
  unname(texts[match(document, names)])
}
