#' Read documents
#'
#' Reads files as [rag_index()] does and gives their texts, without an index and without any model.
#' A file that can't be read is a row with the reason, and stops nothing.
#'
#' @inheritParams rag_index
#' @param paths Paths of files and folders. Folders are read with all folders in them; hidden and
#'   temporary files are left out.
#' @returns A tibble with a row for each document, in the order of the paths. A file may hold
#'   several documents: an archive, or a mail with attachments.
#'   * `document`: the name that it would have in an index,
#'   * `path`: where the file is,
#'   * `type`: format, such as `"pdf"`,
#'   * `title`: the document's own title, `NA` if it has none,
#'   * `pages`, `characters`: how many; `pages` is `NA` for formats without pages,
#'   * `status`: `"ok"`, or what hindered it, such as `"needs_ocr"` or `"encrypted"`,
#'   * `message`: what a person should know about it, or `NA`,
#'   * `text`: the text, `NA` where there is none,
#'   * `places`: a list column of tibbles with the pages, headings and so on: `kind` (`"page"`,
#'     `"slide"`, `"sheet"`, `"row"`, `"heading"` or `"section"`), `label`, `number` (`NA` for a
#'     heading), `level` (of a heading, 1 at the top, `NA` for the rest), and `start` and `end`, so
#'     that `substr(text, start, end)` is what the place holds. A heading's place is its whole
#'     section.
#' @section Errors:
#' `tanya_error_file_not_found` for a path that does not exist, `tanya_error_missing_dependency`
#' where `ocr` needs tesseract or a language of it. See [tanya_error].
#' @seealso [rag_register_format()] for formats that tanya does not know.
#' @export
#' @examplesIf tanya::rag_available()
#' folder <- system.file("extdata", "perusahaan", package = "tanya")
#' documents <- rag_read(folder)
#' documents
#' documents$places[[1]]
rag_read <- function(paths, ..., ocr = FALSE) {
  check_dots(...)
  paths <- check_complete_text(paths)
  arguments <- list(
    sources = list(kind = "paths", paths = to_engine(path.expand(paths))),
    ocr = ocr_for_engine(ocr),
    progress = progress_callback()
  )
  documents <- engine_call("read", arguments)
  documents$places <- lapply(documents$places, as_document_places)
  documents
}

as_document_places <- function(x) {
  tibble::tibble(
    kind = as.character(x$kind),
    label = as.character(x$label),
    number = as.integer(x$number),
    level = as.integer(x$level),
    start = as.integer(x$start),
    end = as.integer(x$end)
  )
}

#' Teach tanya another kind of file
#'
#' Until the end of the session, files with the suffix are read by a function of yours, wherever
#' tanya reads files. It goes before the way that tanya may have of its own to read them.
#'
#' The function runs in this R session, one file at a time and without a limit on its time. A file
#' that it fails on gets the status `"failed"`, with the error's message, and stops nothing. Files
#' inside archives and mails are not given to it. In an index, files that did not change since they
#' were indexed are not read again, except those that could not be read.
#'
#' @param suffix The end of the files' names with its dot, such as `".xyz"`. Upper and lower case
#'   are the same.
#' @param read A function of a path that gives the file's text, a character vector; several elements
#'   are lines. `NULL` to go back to how it was.
#' @returns The function that was there before, or `NULL`, invisibly.
#' @seealso [rag_read()], to try it.
#' @export
#' @examplesIf tanya::rag_available()
#' rag_register_format(".catatan", \(path) sub("^# ", "", readLines(path)))
#' file <- tempfile(fileext = ".catatan")
#' writeLines(c("# Rapat Senin", "Gudang Cirebon ditutup mulai Maret."), file)
#' rag_read(file)$text
#' rag_register_format(".catatan", NULL)
rag_register_format <- function(suffix, read) {
  suffix <- tolower(check_string(suffix))
  if (!grepl("^[.][^.[:space:]/\\\\]+$", suffix)) {
    abort_invalid_argument(
      "{.arg suffix} must be a dot and what comes after it, such as {.val .xyz}."
    )
  }
  if (!is.null(read) && !is.function(read)) {
    abort_invalid_argument(
      "{.arg read} must be a function or `NULL`, not {.obj_type_friendly {read}}."
    )
  }
  before <- the$formats[[suffix]]
  the$formats[[suffix]] <- if (!is.null(read)) reply_with(read)
  # Python need not be started for this: engine_bridge() passes it on when it is.
  if (!is.null(the$bridge)) {
    engine_call("register_format", list(suffix = suffix, convert = the$formats[[suffix]]))
  }
  invisible(attr(before, "read"))
}

# `read` as the engine calls it: its text, or why there is none, in a list that becomes a dict.
reply_with <- function(read) {
  structure(
    function(path) {
      tryCatch(
        list(text = as_one_text(read(path))),
        error = \(cnd) list(error = cli::ansi_strip(conditionMessage(cnd)))
      )
    },
    read = read
  )
}

as_one_text <- function(x) {
  if (!is.character(x) || anyNA(x)) {
    cli::cli_abort("The function must give a character vector without missing values.")
  }
  paste(enc2utf8(x), collapse = "\n")
}
