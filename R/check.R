# Argument checks, made once, at the exported boundary. Each gives back its argument in the form
# that the engine takes.

check_text <- function(x, arg = caller_arg(x), call = caller_env()) {
  if (is.factor(x)) {
    x <- as.character(x)
  }
  if (!is.character(x)) {
    abort_invalid_argument(
      "{.arg {arg}} must be a character vector, not {.obj_type_friendly {x}}.",
      call = call
    )
  }
  unname(enc2utf8(as.character(x)))
}

check_complete_text <- function(x, arg = caller_arg(x), call = caller_env()) {
  force(arg) # Before `x` is another.
  x <- check_text(x, arg, call)
  bad <- which(is.na(x) | !nzchar(trimws(x)))
  if (length(bad) > 0) {
    abort_invalid_argument(
      c(
        "{.arg {arg}} must not hold missing or blank values.",
        x = "Look at {cli::qty(length(bad))}position{?s} {bad}."
      ),
      details = list(positions = bad),
      call = call
    )
  }
  x
}

check_string <- function(x, arg = caller_arg(x), call = caller_env()) {
  if (!is_string(x) || is.na(x) || !nzchar(x)) {
    abort_invalid_argument("{.arg {arg}} must be a single string.", call = call)
  }
  enc2utf8(x)
}

check_count <- function(x, arg = caller_arg(x), call = caller_env()) {
  whole <- is.numeric(x) && length(x) == 1 && is.finite(x) && x == trunc(x)
  if (!whole || x < 1 || x > .Machine$integer.max) {
    abort_invalid_argument("{.arg {arg}} must be a whole number, 1 or more.", call = call)
  }
  as.integer(x)
}

check_probability <- function(x, arg = caller_arg(x), call = caller_env()) {
  if (!is.numeric(x) || length(x) != 1 || is.na(x) || x < 0 || x > 1) {
    abort_invalid_argument("{.arg {arg}} must be a number from 0 to 1.", call = call)
  }
  as.double(x)
}

check_flag <- function(x, arg = caller_arg(x), call = caller_env()) {
  if (!is_bool(x)) {
    abort_invalid_argument("{.arg {arg}} must be `TRUE` or `FALSE`.", call = call)
  }
  x
}

# tesseract's names of languages, NULL where pictures are not to be read.
ocr_for_engine <- function(x, arg = caller_arg(x), call = caller_env()) {
  if (is_bool(x)) {
    return(if (x) "ind+eng")
  }
  if (!is_string(x) || is.na(x) || !grepl("^[[:alnum:]_/-]+([+][[:alnum:]_/-]+)*$", x)) {
    abort_invalid_argument(
      c(
        "{.arg {arg}} must be `TRUE`, `FALSE`, or languages of tesseract.",
        i = "Several go together with a plus: {.val ind+eng}."
      ),
      call = call
    )
  }
  x
}

# `choices` in the manner of `match.arg()`: an argument left at its default is the whole vector.
check_choice <- function(x, choices, arg = caller_arg(x), call = caller_env()) {
  if (identical(x, choices)) {
    return(choices[[1]])
  }
  if (!is_string(x) || !x %in% choices) {
    abort_invalid_argument("{.arg {arg}} must be one of {.or {.val {choices}}}.", call = call)
  }
  x
}

check_index <- function(x, arg = caller_arg(x), call = caller_env()) {
  if (!inherits(x, "tanya_index")) {
    abort_invalid_argument(
      c(
        "{.arg {arg}} must be an index, not {.obj_type_friendly {x}}.",
        i = "Make one with {.fn rag_index}, or open one with {.fn rag_open}."
      ),
      call = call
    )
  }
  x
}

# One row of the answers of rag_ask(), with what was asked as its attribute.
check_answer <- function(answers, row, columns, call = caller_env()) {
  if (!inherits(answers, "tanya_answers") || is.null(attr(answers, "asked"))) {
    abort_invalid_argument("{.arg answers} must come from {.fn rag_ask}.", call = call)
  }
  lacking <- setdiff(columns, names(answers))
  if (length(lacking) > 0) {
    abort_invalid_argument("{.arg answers} lacks the column{?s} {.val {lacking}}.", call = call)
  }
  row <- check_count(row, call = call)
  if (row > nrow(answers)) {
    abort_invalid_argument(
      "There is no row {row}: {.arg answers} has {nrow(answers)}.",
      call = call
    )
  }
  answers[row, ]
}

check_dots <- function(..., call = caller_env()) {
  if (...length() > 0) {
    extra <- names2(list2(...))
    extra <- ifelse(nzchar(extra), paste0("`", extra, "`"), "one without a name")
    abort_invalid_argument("Arguments that this function does not have: {extra}.", call = call)
  }
}
