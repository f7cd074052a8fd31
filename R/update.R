#' Keep an index up to date
#'
#' @description
#' * `rag_add()` adds documents to an index; those of the same name take the place of the old.
#' * `rag_remove()` takes documents out of it.
#' * `rag_sync()` makes the index hold what a folder holds: new and changed files are read, files
#'   that are gone are taken out. It never touches the files themselves. A new file that has the
#'   name of a document from elsewhere gets the folder's name before its own.
#'
#' Each shows in the index at once, also for other sessions that have it open. Stopped halfway, they
#' leave the index whole, and the next run goes on where this one ended.
#'
#' @inheritParams rag_index
#' @param index An index, from [rag_index()] or [rag_open()].
#' @param document Names of documents, as in [rag_documents()].
#' @param folder A folder of documents.
#' @param dry_run `TRUE` to be told what would be done, and do nothing.
#' @returns A tibble with a row for each document that was looked at:
#'   * `document`: its name,
#'   * `change`: `"new"`, `"changed"`, `"unchanged"`, `"failed"`, `"gone"` (its file was deleted) or
#'     `"removed"`,
#'   * `status`: `"indexed"`, or what hindered it, such as `"needs_ocr"` or `"encrypted"`,
#'   * `message`: what a person should know about it, or `NA`.
#'
#'   `rag_add()` gives it invisibly.
#' @section Errors:
#' `tanya_error_invalid_argument` for names that the index doesn't have, `tanya_error_index_locked`
#' while another process writes to it, `tanya_error_index_read_only`, and those of [rag_index()]. See
#' [tanya_error].
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(I(c(cuti = "Cuti tahunan karyawan tetap 14 hari.")))
#' rag_add(index, I(c(dinas = "Uang makan perjalanan dinas Rp200.000 per hari.")))
#' rag_remove(index, "cuti")
#' rag_documents(index)
rag_add <- function(index, x, ..., text = NULL, id = NULL, ocr = FALSE) {
  check_dots(...)
  check_index(index)
  arguments <- list(
    path = index$path,
    sources = as_sources(x, enquo(text), enquo(id)),
    ocr = ocr_for_engine(ocr),
    progress = progress_callback()
  )
  documents <- engine_call("add", arguments)
  report_failures(documents)
  invisible(documents)
}

#' @rdname rag_add
#' @export
rag_remove <- function(index, document) {
  check_index(index)
  document <- check_complete_text(document)
  engine_call("remove", list(path = index$path, documents = to_engine(document)))
}

#' @rdname rag_add
#' @export
rag_sync <- function(index, folder, ..., ocr = FALSE, dry_run = FALSE) {
  check_dots(...)
  check_index(index)
  arguments <- list(
    path = index$path,
    folder = path.expand(check_string(folder)),
    dry_run = check_flag(dry_run),
    ocr = ocr_for_engine(ocr),
    progress = progress_callback()
  )
  engine_call("sync", arguments)
}
