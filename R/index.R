#' Index documents
#'
#' @description
#' `rag_index()` reads documents, cuts them into passages, embeds the passages and keeps everything
#' in a directory on disk, the index. `rag_open()` opens an index made before.
#'
#' Indexing the same things again is quick: documents that did not change are left as they are. A
#' document that can't be read never stops the others; [rag_documents()] has a row for it, with the
#' reason. A path that does not exist is an error.
#'
#' @param x What to index, one of:
#'   * paths of files and folders. Folders are read with all folders in them; hidden and temporary
#'     files are left out.
#'   * texts, marked with [I()]: `I(c("A text.", "Another."))`. Names, where there are any, become
#'     the names of the documents.
#'   * a data frame with one text per row: see `text` and `id`. The other columns are kept as
#'     metadata of the documents, to be used in a `filter` (see [rag_ask()]). They may be strings,
#'     factors, numbers, logicals, dates and date-times; the last two are kept in ISO 8601 form, in
#'     UTC.
#' @param path Directory of the index, by custom with the ending `.tanya`. It is made if it doesn't
#'   exist. `NULL` makes an index that ends with the session.
#' @param ... Must be empty: the arguments after it are given by name.
#' @param text,id For a data frame: the column that holds the texts, and optionally the column that
#'   holds a unique name for each. Both are data-masked: a column name, or
#'   an expression such as `paste(judul, isi)`. A missing text counts as an empty document. Without
#'   names, rows that are equal in all columns become one document.
#' @param models The models: the name of a preset, or a row each for embedder and reader from
#'   [rag_models()]. `NULL` for those of the index, which for a new one are `"compact"`. Another
#'   reader may be given at any time; another embedder needs `update = "rebuild"`.
#' @param passages `NULL` for passages of a length that was found to work well, or
#'   `c(tokens = , overlap = )`, or one of the two: the largest size of a passage in tokens, and how
#'   many sentences it repeats from the end of the one before it.
#' @param language Whose word endings keyword search looks through: the name of a Snowball stemmer
#'   such as `"english"`. `NULL` for that of the index, which for a new one is `"indonesian"`.
#' @param precision `"bfloat16"` embeds and reads more than twice as fast with models of the BERT
#'   family, on processors that multiply such numbers (AMD since 2022, Intel Xeon since 2023); vectors
#'   are nearly the same (cosines above 0.9999), and so is what is found. On other processors it is as
#'   `"float32"`, which rounds nothing.
#'   It is kept with the index: `NULL` for that of the index, which for a new one is `"bfloat16"`.
#'   Another one needs `update = "rebuild"`.
#' @param ocr Whether to read pictures of text, as scanned pages are: `FALSE`, `TRUE` for texts in
#'   Indonesian and English, or the names that tesseract has for other languages, such as
#'   `"ind+jav"`. It needs the program tesseract and takes seconds for each page. Files that were
#'   indexed before without all of their text are read again.
#' @param update `"add"` keeps what is in the index and adds to it. `"rebuild"` first cuts and embeds
#'   all that is in the index anew, with `models`, `passages`, `language` and `precision`; the old
#'   passages go on answering until the new ones are whole.
#' @returns An index: a small object that holds the path of the directory, and nothing that can't be
#'   saved with [saveRDS()] or shared by several sessions. `print()` and `summary()` look into the
#'   directory; `summary()` gives a tibble of one row with `path`, `documents` and `passages` (how
#'   many there are), `failed` (how many files gave no text), `embedder` and `reader` (names of the
#'   models), `size_bytes`, among others.
#' @section Errors:
#' `tanya_error_file_not_found`, `tanya_error_invalid_argument`, `tanya_error_missing_dependency`
#' where `ocr` needs tesseract or a language of it, `tanya_error_model_mismatch` where
#' the index was made with other models, `tanya_error_index_locked` while another process writes to
#' it. `rag_open()`: `tanya_error_index_not_found`, `tanya_error_index_damaged`,
#' `tanya_error_index_too_new`. See [tanya_error].
#' @seealso [rag_ask()] to ask; [rag_add()], [rag_remove()] and [rag_sync()] to keep an index up to
#'   date.
#' @export
#' @examplesIf tanya::rag_available()
#' complaints <- data.frame(
#'   no = 1:3,
#'   komentar = c(
#'     "Bumbu mi goreng terlalu asin dan kemasannya sobek.",
#'     "Kurir datang terlambat dua hari ke Bandung.",
#'     "Rasa keripiknya enak, tetapi harganya naik menjadi Rp18.000."
#'   ),
#'   tahun = c(2023, 2024, 2024)
#' )
#' index <- rag_index(complaints, text = komentar, id = no)
#' index
#' rag_ask(index, "Berapa harga keripik?", filter = tahun == 2024)
rag_index <- function(x, path = NULL, ..., text = NULL, id = NULL, models = NULL,
                      passages = NULL, language = NULL, precision = NULL, ocr = FALSE,
                      update = c("add", "rebuild")) {
  check_dots(...)
  sources <- as_sources(x, enquo(text), enquo(id))
  temporary <- is.null(path)
  path <- if (temporary) tempfile("tanya-", fileext = ".tanya") else path.expand(check_string(path))
  arguments <- list(
    path = enc2utf8(path),
    sources = sources,
    passages = check_passages(passages),
    update = check_choice(update, c("add", "rebuild")),
    language = if (!is.null(language)) check_string(language),
    precision = if (!is.null(precision)) check_choice(precision, precisions),
    ocr = ocr_for_engine(ocr),
    # Last, for it is the first that needs Python.
    models = if (!is.null(models)) models_for_engine(models),
    progress = progress_callback()
  )
  report_failures(engine_call("build", arguments))
  if (temporary) {
    cli::cli_inform(c(i = "The index ends with this session; give {.arg path} to keep one."))
  }
  new_index(path)
}

#' @rdname rag_index
#' @export
rag_open <- function(path) {
  path <- path.expand(check_string(path))
  engine_call("describe", list(path = path))
  new_index(path)
}

precisions <- c("bfloat16", "float32")

new_index <- function(path) {
  structure(list(path = enc2utf8(normalizePath(path, winslash = "/"))), class = "tanya_index")
}

check_passages <- function(x, call = caller_env()) {
  if (is.null(x)) {
    return(NULL)
  }
  known <- is_named(x) && all(names(x) %in% c("tokens", "overlap")) && !anyDuplicated(names(x))
  if (!is.numeric(x) || !known) {
    abort_invalid_argument(
      "{.arg passages} must be {.code c(tokens = , overlap = )}, or `NULL`.",
      call = call
    )
  }
  lapply(as.list(x), as.integer)
}

# Documents that gave no text must not go by unseen.
report_failures <- function(documents) {
  failed <- documents$document[documents$change == "failed"]
  if (length(failed) > 0) {
    cli::cli_inform(c(
      "!" = "{length(failed)} document{?s} could not be read: {.file {failed}}.",
      i = "{.fn rag_documents} says why, in the columns {.code status} and {.code message}."
    ))
  }
}

describe_index <- function(index, call = caller_env()) {
  engine_call("describe", list(path = index$path), call)
}

#' @export
format.tanya_index <- function(x, ...) {
  about <- try_fetch(describe_index(x), tanya_error = identity)
  header <- paste0("<tanya_index> ", x$path)
  if (is_condition(about)) {
    return(c(header, paste0("! ", cnd_header(about))))
  }
  c(
    header,
    paste0(
      counted(about$documents, "document"), ", ", counted(about$passages, "passage"),
      if (about$failed > 0) paste0(" (", counted(about$failed, "document"), " could not be read)")
    ),
    paste0("Embedder: ", about$embedder, if (about$precision == "float32") " in float32"),
    paste0("Reader: ", about$reader)
  )
}

#' @export
print.tanya_index <- function(x, ...) {
  writeLines(format(x, ...))
  invisible(x)
}

#' @export
summary.tanya_index <- function(object, ...) {
  check_index(object, "object")
  about <- lapply(describe_index(object), \(field) field %||% NA)
  about <- lapply(about, \(field) if (length(field) == 1) field else list(field))
  tibble::new_tibble(about, nrow = 1L)
}

counted <- function(n, noun) {
  paste0(format(n, big.mark = ",", scientific = FALSE, trim = TRUE), " ", noun, if (n != 1) "s")
}
