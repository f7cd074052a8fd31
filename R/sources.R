# What the user hands over to be indexed, in the form that the engine takes:
# list(kind = "paths", paths) or list(kind = "texts", texts, ids, metadata).
as_sources <- function(x, text, id, call = caller_env()) {
  if (is.data.frame(x)) {
    return(sources_from_data(x, text, id, call))
  }
  if (!quo_is_null(text) || !quo_is_null(id)) {
    abort_invalid_argument(
      "{.arg text} and {.arg id} name columns, so {.arg x} must be a data frame.",
      call = call
    )
  }
  if (inherits(x, "AsIs")) {
    sources_from_texts(unclass(x), call)
  } else {
    sources_from_paths(x, call)
  }
}

sources_from_paths <- function(x, call) {
  if (!is.character(x)) {
    abort_invalid_argument(
      c(
        "{.arg x} must be paths, texts or a data frame, not {.obj_type_friendly {x}}.",
        i = "Wrap texts in {.fn I}: {.code rag_index(I(texts))}."
      ),
      call = call
    )
  }
  paths <- check_complete_text(x, arg = "x", call = call)
  list(kind = "paths", paths = to_engine(path.expand(paths)))
}

sources_from_texts <- function(x, call) {
  ids <- if (is.null(names(x))) NULL else check_ids(names(x), "Names of the texts", call)
  texts <- check_text(x, arg = "x", call = call)
  list(kind = "texts", texts = to_engine(na_to_blank(texts)), ids = to_engine(ids), metadata = NULL)
}

sources_from_data <- function(x, text, id, call) {
  if (quo_is_null(text)) {
    abort_invalid_argument(
      c(
        "{.arg text} must name the column that holds the texts.",
        i = "Columns: {.val {names(x)}}."
      ),
      call = call
    )
  }
  twice <- unique(names(x)[duplicated(names(x))])
  if (length(twice) > 0) {
    abort_invalid_argument("{.arg x} has several columns of the name {.val {twice}}.", call = call)
  }
  texts <- check_text(eval_column(text, x, call), arg = "text", call = call)
  ids <- eval_column(id, x, call)
  used <- c(column_name(text), column_name(id))
  metadata <- lapply(set_names(setdiff(names(x), used)), \(name) {
    metadata_for_engine(as_metadata(x[[name]], name, call))
  })
  list(
    kind = "texts",
    texts = to_engine(na_to_blank(texts)),
    ids = if (!is.null(ids)) to_engine(check_ids(as_id(ids), "{.arg id}", call)),
    metadata = if (length(metadata) > 0) metadata
  )
}

# `text = komentar` and `text = "komentar"` name a column; any other expression computes one.
eval_column <- function(quo, data, call) {
  name <- column_name(quo)
  if (is.null(name)) {
    value <- eval_tidy(quo, data)
  } else if (name %in% names(data)) {
    value <- data[[name]]
  } else {
    abort_invalid_argument(
      c("There is no column {.val {name}}.", i = "Columns: {.val {names(data)}}."),
      call = call
    )
  }
  if (!is.null(value) && length(value) != nrow(data)) {
    abort_invalid_argument(
      "{.code {as_label(quo)}} must give one value per row: {nrow(data)}, not {length(value)}.",
      call = call
    )
  }
  value
}

column_name <- function(quo) {
  expr <- quo_get_expr(quo)
  if (is_symbol(expr)) as_string(expr) else if (is_string(expr)) expr
}

as_id <- function(x) {
  if (is.factor(x)) {
    x <- as.character(x)
  }
  if (!is.double(x) || is.object(x)) {
    return(as.character(x))
  }
  # as.character() would turn the id 100000 into "1e+05".
  whole <- !is.na(x) & x == trunc(x)
  ids <- as.character(x)
  ids[whole] <- sprintf("%.0f", x[whole])
  ids
}

check_ids <- function(ids, what, call) {
  bad <- which(is.na(ids) | !nzchar(ids))
  if (length(bad) > 0) {
    abort_invalid_argument(
      c(
        paste(what, "must not be missing or empty."),
        x = "Look at {cli::qty(length(bad))}position{?s} {bad}."
      ),
      details = list(positions = bad),
      call = call
    )
  }
  twice <- unique(ids[duplicated(ids)])
  if (length(twice) > 0) {
    abort_invalid_argument(
      c(paste(what, "must be unique."), x = "More than once: {.val {twice}}."),
      details = list(duplicates = twice),
      call = call
    )
  }
  enc2utf8(ids)
}

# The engine reports a text without words as a document that is empty, as it does an empty file:
# seen by the user, and no reason to stop.
na_to_blank <- function(x) replace(x, is.na(x), "")

# As in tables that come from the engine, what is missing stands beside the values.
metadata_for_engine <- function(x) list(values = to_engine(x), missing = to_engine(which(is.na(x))))

# A column of metadata as strings, numbers or logicals.
as_metadata <- function(x, name, call = caller_env()) {
  if (is.factor(x)) {
    as.character(x)
  } else if (inherits(x, "Date")) {
    format(x, "%Y-%m-%d")
  } else if (inherits(x, "POSIXt")) {
    format(as.POSIXct(x), "%Y-%m-%dT%H:%M:%SZ", tz = "UTC")
  } else if (inherits(x, c("AsIs", "haven_labelled")) && is.atomic(x)) {
    as.vector(unclass(x))
  } else if (is.object(x) || !(is.character(x) || is.numeric(x) || is.logical(x))) {
    abort_invalid_argument(
      c(
        "Column {.val {name}} can't be kept as metadata: it is {.obj_type_friendly {x}}.",
        i = "Turn it into strings, numbers, logicals, dates or a factor, or drop it."
      ),
      call = call
    )
  } else {
    as.vector(x)
  }
}
