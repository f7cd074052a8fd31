# The class of what rag_ask() gives: a tibble that knows the threshold, to explain itself when it is
# printed. It stays one through subsetting, so nothing here may count on all columns being there.

answer_columns <- c(
  "question", "answer", "score", "document", "page", "start", "end", "passage", "retrieval_score",
  "margin", "rank", "place", "candidate", "support", "elsewhere"
)

# `asked` is what rag_explain() needs to ask again.
new_answers <- function(answers, threshold, abstains, asked = NULL) {
  answers <- with_places(answers[answer_columns])
  tibble::new_tibble(
    answers,
    nrow = nrow(answers), class = "tanya_answers",
    threshold = threshold, abstains = abstains, asked = asked
  )
}

with_places <- function(x) {
  nowhere <- as_places(list())
  x$elsewhere <- lapply(x$elsewhere, \(places) if (length(places)) as_places(places) else nowhere)
  x
}

as_places <- function(x) {
  tibble::new_tibble(list(
    document = as.character(x$document),
    page = as.integer(x$page),
    start = as.integer(x$start),
    end = as.integer(x$end),
    place = as.character(x$place)
  ), nrow = length(x$document))
}

#' @importFrom pillar tbl_sum
#' @export
tbl_sum.tanya_answers <- function(x, ...) {
  header <- NextMethod()
  names(header)[[1]] <- "Answers"
  header
}

# On a narrow console, columns of text as wide as they need to be read, rather than all columns.
#' @importFrom pillar tbl_format_setup
#' @export
tbl_format_setup.tanya_answers <- function(x, width, ...) {
  local_options(pillar.min_chars = max(18, getOption("pillar.min_chars", 0)))
  NextMethod()
}

#' @importFrom pillar tbl_format_footer
#' @export
tbl_format_footer.tanya_answers <- function(x, setup, ...) {
  notes <- answer_notes(x)
  c(NextMethod(), if (length(notes) > 0) pillar::style_subtle(paste("#", cli::symbol$info, notes)))
}

# What has to be known to read the answers right, in sentences.
answer_notes <- function(x) {
  if (isFALSE(attr(x, "abstains"))) {
    return(paste(
      "The reader was not trained to decline:",
      "scores rank answers, and every question gets one."
    ))
  }
  declined <- if (all(c("question", "answer") %in% names(x))) unique(x$question[is.na(x$answer)])
  if (length(declined) == 0) {
    return(character())
  }
  paste0(
    counted(length(declined), "question"), if (length(declined) == 1) " has" else " have",
    " no answer in these documents (score below the threshold, ",
    format(round(attr(x, "threshold"), 2)), ")."
  )
}

#' @exportS3Method knitr::knit_print
knit_print.tanya_answers <- function(x, ...) {
  # Whole answers have more columns than a page; what somebody made of them is shown as it is.
  whole <- all(answer_columns %in% names(x))
  main <- c("question", "answer", "score", "document", "page")
  shown <- if (whole) c(main, setdiff(names(x), answer_columns)) else names(x)
  shown <- shown[!vapply(as.list(x)[shown], is.list, NA)]
  table <- lapply(as.list(x)[shown], cell_text)
  rows <- knitr::kable(as.data.frame(table), format = "pipe", row.names = FALSE)
  knitr::asis_output(paste0(paste(c("", rows, "", answer_notes(x)), collapse = "\n"), "\n\n"))
}

# A column as Markdown that shows the characters as they are.
cell_text <- function(x) {
  text <- if (is.double(x)) formatC(x, format = "f", digits = 2) else as.character(x)
  text <- gsub("([\\\\`*_{}\\[\\]<>#~$^&])", "\\\\\\1", text, perl = TRUE)
  replace(gsub("\\s+", " ", text), is.na(x), "\u2014")
}
