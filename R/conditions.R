#' Errors that tanya raises
#'
#' @description
#' Every error that tanya raises on purpose has the class `tanya_error` and a class of its own,
#' `tanya_error_<code>`. Both are part of the interface: a script can rely on them, and does not
#' have to read messages.
#'
#' | Class | Meaning |
#' | --- | --- |
#' | `tanya_error_python_unavailable` | No usable Python, or one that lacks packages. Has a field `reason`: `"not_found"`, `"broken"`, `"too_old"` or `"packages"`. |
#' | `tanya_error_installation` | [rag_install()] could not finish. |
#' | `tanya_error_invalid_argument` | An argument has a value that makes no sense. |
#' | `tanya_error_file_not_found` | A path to index does not exist. |
#' | `tanya_error_document` | A document gave no text. While indexing, this is a row of [rag_documents()] and no error. |
#' | `tanya_error_model` | Parent of `tanya_error_model_unavailable` (no source has it), `_model_invalid` (the files are no usable model) and `_model_mismatch` (the index was made with another one). |
#' | `tanya_error_index` | Parent of `tanya_error_index_not_found`, `_index_damaged`, `_index_too_new`, `_index_full`, `_index_locked` and `_index_read_only`. |
#' | `tanya_error_question_too_long` | A question leaves no room for a passage beside it. |
#' | `tanya_error_missing_dependency` | A call needs an optional package or program. |
#' | `tanya_error_out_of_memory` | Python ran out of memory. |
#' | `tanya_error_internal` | Python raised an error that nobody foresaw. Please report it. |
#'
#' @section Fields:
#' * `message`: what went wrong.
#' * `hint`: the way out, or `""`.
#' * `details`: a list of facts for programs, such as the models that were tried.
#' * `traceback`: the Python traceback as one string, `""` where the error comes from R.
#'
#' @section Handling errors:
#' ```r
#' answers <- tryCatch(
#'   rag_ask(rag_open("perusahaan.tanya"), "Berapa hari cuti tahunan?"),
#'   tanya_error_index_not_found = \(cnd) NULL,
#'   tanya_error = \(cnd) {
#'     message(conditionMessage(cnd))
#'     writeLines(cnd$traceback)
#'     NULL
#'   }
#' )
#' ```
#' @name tanya_error
#' @keywords internal
NULL

# All errors pass through here. `bullets` may hold cli markup, evaluated in `envir`; text that comes
# from Python or from the user must reach it as a value ("{path}"), never be pasted into it.
abort_tanya <- function(code, bullets, ..., hint = "", details = list(), traceback = "",
                        parent = NULL, call = caller_env(), envir = parent.frame()) {
  cli::cli_abort(
    c(bullets, if (nzchar(hint)) c(i = "{hint_text}")),
    class = condition_classes(code),
    ...,
    hint = cli::ansi_strip(hint),
    details = details,
    traceback = traceback,
    parent = parent,
    call = call,
    .envir = env(envir, hint_text = hint)
  )
}

condition_classes <- function(code) {
  family <- intersect(sub("_.*", "", code), c("document", "index", "model"))
  paste0("tanya_error", c(paste0("_", unique(c(code, family))), ""))
}

abort_invalid_argument <- function(bullets, ..., call = caller_env(), envir = parent.frame()) {
  abort_tanya("invalid_argument", bullets, ..., call = call, envir = envir)
}

abort_python_unavailable <- function(reason, fact, hint = NULL, ..., call = caller_env()) {
  hint <- hint %||% cli::format_inline(
    "Run {.run tanya::rag_install()} to set up a Python for tanya, ",
    "or {.run tanya::rag_sitrep()} to see what there is."
  )
  abort_tanya(
    "python_unavailable",
    c("Python is not ready for tanya.", x = "{fact}"),
    reason = reason, hint = hint, ...,
    call = call
  )
}

# An error that the engine sent, as `bridge.call()` describes it.
abort_engine <- function(error, call = caller_env()) {
  message <- error$message
  abort_tanya(
    error$code,
    "{message}",
    hint = error$hint %||% "",
    details = parse_json(error$details %||% "{}"),
    traceback = error$traceback %||% "",
    call = call
  )
}

# An error that Python raised past the bridge.
abort_internal <- function(cnd, call = caller_env()) {
  abort_tanya(
    "internal", "Python raised an error that tanya did not foresee.",
    parent = cnd, call = call
  )
}
