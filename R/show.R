#' Look at an answer in its document
#'
#' Writes a web page with the text of the document an answer comes from, with the answer marked, and
#' opens it: in the viewer pane of RStudio, or else in the browser. The page stands by itself and
#' loads nothing.
#'
#' For a question that was declined, the page says so, and what the best candidate was.
#'
#' @inheritParams rag_explain
#' @param row Which row to show.
#' @param ... Must be empty: the arguments after it are given by name.
#' @param open Whether to open the page. In a Shiny app, say `FALSE` and put the page into a frame: see
#'   `vignette("shiny", package = "tanya")`.
#' @returns The path of the page, a temporary file, invisibly.
#' @section Errors:
#' `tanya_error_invalid_argument` where the document was changed or removed after the question was
#' asked. See [tanya_error].
#' @export
#' @examplesIf tanya::rag_available()
#' index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))
#' answers <- rag_ask(index, "Berapa hari cuti tahunan karyawan tetap?")
#' page <- rag_show(answers)
#' file.size(page)
rag_show <- function(answers, row = 1, ..., open = rlang::is_interactive()) {
  check_dots(...)
  open <- check_flag(open)
  answer <- check_answer(answers, row, shown_columns)
  page <- if (is.na(answer$answer)) declined_page(answer) else answer_page(answer)
  path <- tempfile("tanya-", fileext = ".html")
  writeLines(enc2utf8(page), path, useBytes = TRUE)
  if (open) {
    view <- getOption("viewer") %||% utils::browseURL
    view(path)
  }
  invisible(path)
}

shown_columns <- c(
  "question", "answer", "score", "document", "place", "start", "end", "candidate"
)

answer_page <- function(answer, call = caller_env()) {
  at <- list(path = attr(answer, "asked")$path, document = answer$document)
  text <- engine_call("text", at, call)
  marked <- substr(text, answer$start, answer$end)
  if (marked != answer$answer) {
    abort_invalid_argument(
      c(
        "The document {.file {answer$document}} has changed since the question was asked.",
        i = "Ask again with {.fn rag_ask}."
      ),
      call = call
    )
  }
  # `autofocus` makes browsers scroll to the mark without a script. Inside a frame, as in viewers,
  # they may not, and the link is there.
  html_page(
    title = paste0(answer$document, if (!is.na(answer$place)) paste0(", ", answer$place)),
    question = answer$question,
    verdict = paste0("Score ", format_score(answer$score)),
    link = " \u00b7 <a href=\"#answer\">Go to the answer</a>",
    body = c(
      "<pre dir=\"auto\">",
      escape_html(substr(text, 1, answer$start - 1)),
      "<mark id=\"answer\" tabindex=\"-1\" autofocus>", escape_html(marked), "</mark>",
      escape_html(substr(text, answer$end + 1, nchar(text))),
      "</pre>"
    )
  )
}

declined_page <- function(answer) {
  candidate <- if (!is.na(answer$candidate)) {
    c("<p>The best candidate was: <q dir=\"auto\">", escape_html(answer$candidate), "</q></p>")
  }
  html_page(
    title = "No answer",
    question = answer$question,
    verdict = paste0(
      "Score ", format_score(answer$score), ", below the threshold of ",
      format_score(attr(answer, "threshold"))
    ),
    link = "",
    body = c("<p>The documents of the index hold no answer to this question.</p>", candidate)
  )
}

# A page from plain strings, and a link and a body that are HTML already. Documents are foreign: the policy
# forbids scripts, pictures and the network even if something should slip through the escaping.
html_page <- function(title, question, verdict, link, body) {
  title <- escape_html(title)
  paste(c(
    "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta http-equiv=\"Content-Security-Policy\" ",
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<title>", title, "</title>\n<style>", page_style, "</style>\n</head>\n<body>\n",
    "<header>\n<h1 dir=\"auto\">", escape_html(question), "</h1>\n<p><b>", title, "</b> \u00b7 ",
    escape_html(verdict), link, "</p>\n</header>\n<main>\n", body, "\n</main>\n</body>\n</html>"
  ), collapse = "")
}

page_style <- "
  body { margin: 0 auto; max-width: 46rem; padding: 0 1rem; color: #222; background: #fff;
         font: 1rem/1.6 system-ui, sans-serif; }
  header { position: sticky; top: 0; padding: .75rem 0; background: #fff;
           border-bottom: 1px solid #ccc; }
  h1 { margin: 0; font-size: 1.15rem; }
  header p { margin: .25rem 0 0; color: #555; font-size: .9rem; }
  pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; }
  mark { padding: .1em 0; background: #ffe066; outline: none; scroll-margin: 40vh 0; }
"

format_score <- function(x) formatC(x, format = "f", digits = 2)

escape_html <- function(x) {
  entities <- c("&" = "&amp;", "<" = "&lt;", ">" = "&gt;", "\"" = "&quot;", "'" = "&#39;")
  for (character in names(entities)) {
    x <- gsub(character, entities[[character]], x, fixed = TRUE)
  }
  x
}
