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
  next_line <- line_reader()
  asked <- list()
  prompt <- "Tanya: "
  while (is_question(question <- next_line(prompt))) {
    answers <- rag_ask(index, question, ...)
    asked <- c(asked, list(answers))
    writeLines(c(chat_lines(answers), ""))
    prompt <- "Tanya lagi? "
  }
  invisible(bind_answers(asked))
}

is_question <- function(line) !tolower(trimws(line)) %in% c("", "q")

# readline() gives "" at once in a session that is not interactive.
line_reader <- function() {
  if (is_interactive()) {
    return(readline)
  }
  input <- file("stdin", encoding = "UTF-8")
  open(input)
  function(prompt) {
    line <- readLines(input, n = 1, warn = FALSE)
    if (length(line) == 0 || !is_question(line)) close(input)
    if (length(line) == 0) "" else line
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
    abstains = attr(parts[[1]], "abstains")
  )
}
