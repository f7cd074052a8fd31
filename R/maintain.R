#' Look after an index
#'
#' `rag_check()` looks for damage in the files of an index, and on demand recovers what is left.
#' `rag_compact()` gives back the space of documents that were removed or replaced.
#'
#' @param index An index, from [rag_index()] or [rag_open()]. For `rag_check()` also the directory of
#'   one that can't be opened any more.
#' @param ... Must be empty: the arguments after it are given by name.
#' @param repair `TRUE` to recover what is left.
#' @returns `rag_check()`: a tibble with a row for each thing that is wrong, none where all is well:
#'   * `kind`: what sort of thing it is,
#'   * `name`: the file, document or passage,
#'   * `message`: what is wrong with it,
#'   * `repaired`: whether it was put right.
#'
#'   `rag_compact()`: `index`, invisibly.
#' @section Errors:
#' `tanya_error_index_locked`, `tanya_error_index_read_only`. See [tanya_error].
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(I(c(cuti = "Cuti tahunan karyawan tetap 14 hari.")))
#' rag_check(index)
#' rag_compact(index)
rag_check <- function(index, ..., repair = FALSE) {
  check_dots(...)
  path <- if (is_string(index)) path.expand(index) else check_index(index)$path
  engine_call("check", list(path = path, repair = check_flag(repair)))
}

#' @rdname rag_check
#' @export
rag_compact <- function(index) {
  check_index(index)
  engine_call("compact", list(path = index$path))
  invisible(index)
}
