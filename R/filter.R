# A filter as the user wrote it -> the JSON that the engine reads: nested arrays with the operator
# first, ["and", [">=", "tahun", 2024], ["==", "jenis", "SOP"]].

filter_for_engine <- function(quo, call = caller_env()) {
  if (quo_is_null(quo)) {
    return(NULL)
  }
  tree <- filter_tree(quo_get_expr(quo), quo_get_env(quo), call)
  tree <- exact_numbers(tree)
  as.character(jsonlite::toJSON(tree, auto_unbox = TRUE, null = "null", json_verbatim = TRUE))
}

# jsonlite writes 15 digits of a number, and two numbers that differ in the 16th would be one.
exact_numbers <- function(x) {
  if (is.list(x)) {
    return(lapply(x, exact_numbers))
  }
  if (!is.double(x)) {
    return(x)
  }
  digits <- sub("Inf", "1e999", sprintf("%.17g", x), fixed = TRUE)
  several <- inherits(x, "AsIs")
  structure(if (several) paste0("[", toString(digits), "]") else digits, class = "json")
}

# `2024 <= tahun` is the same as `tahun >= 2024`.
mirrored <- c("==" = "==", "!=" = "!=", "<" = ">", "<=" = ">=", ">" = "<", ">=" = "<=")

filter_tree <- function(expr, env, call) {
  # `!!` of a quosure brings its own environment.
  if (is_quosure(expr)) {
    return(filter_tree(quo_get_expr(expr), quo_get_env(expr), call))
  }
  operator <- if (is_call(expr) && is_symbol(expr[[1]])) as_string(expr[[1]]) else ""
  column <- filter_column(expr)
  if (operator == "(") {
    filter_tree(expr[[2]], env, call)
  } else if (operator %in% c("&", "|")) {
    both <- lapply(as.list(expr[-1]), filter_tree, env, call)
    c(list(if (operator == "&") "and" else "or"), both)
  } else if (operator == "!") {
    list("not", filter_tree(expr[[2]], env, call))
  } else if (operator %in% names(mirrored)) {
    filter_comparison(operator, expr, env, call)
  } else if (operator == "%in%" && !is.null(filter_column(expr[[2]]))) {
    list("in", filter_column(expr[[2]]), I(filter_value(expr[[3]], env, call)))
  } else if (operator == "is.na" && !is.null(filter_column(expr[[2]]))) {
    list("is_na", filter_column(expr[[2]]))
  } else if (operator == "startsWith" && !is.null(filter_column(expr[[2]]))) {
    list("starts_with", filter_column(expr[[2]]), filter_scalar(expr[[3]], env, call))
  } else if (operator == "grepl" && is_fixed_search(expr)) {
    list("contains", filter_column(expr[[3]]), filter_scalar(expr[[2]], env, call))
  } else if (!is.null(column)) {
    list("==", column, TRUE)
  } else {
    abort_filter(expr, call)
  }
}

filter_comparison <- function(operator, expr, env, call) {
  left <- filter_column(expr[[2]])
  right <- filter_column(expr[[3]])
  if (!is.null(left)) {
    list(operator, left, filter_scalar(expr[[3]], env, call))
  } else if (!is.null(right)) {
    list(mirrored[[operator]], right, filter_scalar(expr[[2]], env, call))
  } else {
    abort_filter(expr, call)
  }
}

# The index knows no regular expressions.
is_fixed_search <- function(expr) {
  length(expr) == 4 && isTRUE(expr$fixed) && !is.null(filter_column(expr[[3]]))
}

# The name of a column: a bare name, `.data$name` or `.data[["name"]]`; NULL for all else.
filter_column <- function(expr) {
  if (is_symbol(expr)) {
    as_string(expr)
  } else if (is_call(expr, c("$", "[[")) && is_symbol(expr[[2]], ".data")) {
    if (is_symbol(expr[[3]])) as_string(expr[[3]]) else if (is_string(expr[[3]])) expr[[3]]
  }
}

filter_scalar <- function(expr, env, call) {
  value <- filter_value(expr, env, call)
  if (length(value) != 1) {
    abort_invalid_argument(
      c(
        "{.code {as_label(expr)}} in {.arg filter} must be one value, not {length(value)}.",
        i = "To compare with several, use `%in%`."
      ),
      call = call
    )
  }
  value
}

# An empty data mask, for the sake of the pronoun `.env`.
filter_value <- function(expr, env, call) {
  value <- eval_tidy(expr, data = list(), env = env)
  value <- as_metadata(value, as_label(expr), call)
  if (anyNA(value)) {
    abort_invalid_argument(
      c(
        "{.code {as_label(expr)}} in {.arg filter} must not be missing.",
        i = "To find missing values, use {.fn is.na}."
      ),
      call = call
    )
  }
  if (is.character(value)) enc2utf8(value) else value
}

abort_filter <- function(expr, call) {
  abort_invalid_argument(
    c(
      "{.arg filter} can't hold {.code {as_label(expr)}}.",
      i = "It compares a column with a value by `==`, `!=`, `<`, `<=`, `>`, `>=`, `%in%`, `is.na()`,
           `startsWith(column, text)` or `grepl(text, column, fixed = TRUE)`, joined by `&`, `|`
           and `!`."
    ),
    call = call
  )
}
