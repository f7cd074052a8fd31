#' Ask at the console
#'
#' Asks for a question, answers it, and asks for the next, until the line is empty or `q`. In a
#' script the questions are read from standard input.
#'
#' @inheritParams rag_ask
#' @param ... Passed on to [rag_ask()]: `threshold`, `k`, `filter` and so on.
#' @returns What was asked and answered, as [rag_ask()] gives it, invisibly. `NULL` if nothing was
#'   asked.
#' @export
#' @examplesIf interactive() && tanya::rag_available()
#' index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))
#' rag_chat(index)
rag_chat <- function(index, ...) {
  check_index(index)
  if (is_interactive()) {
    return(chat(index, readline, ...))
  }
  # Where readline() would give "" at once.
  input <- file("stdin", open = "r", encoding = "UTF-8")
  on.exit(close(input))
  chat(index, line_reader(input), ...)
}

# `next_line` takes a prompt and gives the next line, "" at the end.
chat <- function(index, next_line, ...) {
  asked <- list()
  question <- next_line("Tanya: ")
  while (is_question(question)) {
    answers <- rag_ask(index, question, ...)
    asked <- c(asked, list(answers))
    writeLines(c(chat_lines(answers), ""))
    question <- next_line("Tanya lagi? ")
  }
  invisible(bind_answers(asked))
}

is_question <- function(line) !tolower(trimws(line)) %in% c("", "q")

line_reader <- function(input) {
  function(prompt) {
    cat(prompt)
    c(readLines(input, n = 1, warn = FALSE), "")[[1]]
  }
}

chat_lines <- function(answers) {
  found <- answers[!is.na(answers$answer), ]
  if (nrow(found) == 0) {
    return(answer_notes(answers))
  }
  page <- ifelse(is.na(found$page), "", paste0(", p. ", found$page))
  c(
    paste0(found$answer, "  (", found$document, page, ", ", round(100 * found$score), "%)"),
    if (isFALSE(attr(answers, "abstains"))) answer_notes(answers)
  )
}

bind_answers <- function(parts) {
  if (length(parts) == 0) {
    return(NULL)
  }
  columns <- lapply(set_names(answer_columns), \(name) do.call(c, lapply(parts, `[[`, name)))
  new_answers(
    tibble::new_tibble(columns, nrow = length(columns[[1]])),
    threshold = attr(parts[[1]], "threshold"),
    abstains = attr(parts[[1]], "abstains"),
    asked = attr(parts[[1]], "asked")
  )
}
