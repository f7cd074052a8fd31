# Answers from an index whose one document is `text`; no reader is asked.
answers_in <- function(text, answer, ...) {
  index <- text_index(c("<b>\"surat\" & 'lampiran'.txt" = text))
  start <- regexpr(answer, text, fixed = TRUE)[[1]]
  answers <- made_answers()
  answers$answer[[1]] <- answers$candidate[[1]] <- answer
  answers$document[[1]] <- rag_documents(index)$document
  answers$start[[1]] <- start
  answers$end[[1]] <- start + nchar(answer) - 1L
  attr(answers, "asked") <- list(path = index$path)
  answers
}

page_of <- function(...) paste(readLines(rag_show(...), encoding = "UTF-8"), collapse = "\n")

test_that("the answer is marked in the whole text, and every character is shown as it is", {
  text <- "</pre><script>alert('\u00e9')</script>\n&lt; \U0001F600 <mark> 5 < 7 & \"x\" habis"
  answers <- answers_in(text, "<mark> 5 < 7 &")
  answers$question[[1]] <- "<img src=x onerror=alert(1)>"
  answers$place[[1]] <- "</title><script>"
  page <- page_of(answers)
  expect_match(page, ">&lt;mark&gt; 5 &lt; 7 &amp;</mark> &quot;x&quot; habis</pre>", fixed = TRUE)
  before <- "<pre dir=\"auto\">&lt;/pre&gt;&lt;script&gt;alert(&#39;\u00e9&#39;)&lt;/script&gt;\n"
  expect_match(page, paste0(before, "&amp;lt; \U0001F600 <mark"), fixed = TRUE)
  expect_no_match(page, "<script|<img|<b>\"")
  expect_identical(lengths(regmatches(page, gregexpr("<mark", page))), 1L)
})

test_that("an answer at the very start, or the end, or all of the text, is marked", {
  expect_match(page_of(answers_in("Dua hari", "Dua")), ">Dua</mark> hari</pre>", fixed = TRUE)
  expect_match(page_of(answers_in("Dua hari", "hari")), ">hari</mark></pre>", fixed = TRUE)
  expect_match(page_of(answers_in("Dua hari", "Dua hari")), ">Dua hari</mark></pre>", fixed = TRUE)
})

test_that("a declined question has a page that says so", {
  answers <- made_answers()
  attr(answers, "asked") <- list(path = "nowhere")
  answers$candidate[[2]] <- "<direktur>"
  page <- page_of(answers, 2)
  expect_match(page, "hold no answer")
  expect_match(page, "&lt;direktur&gt;", fixed = TRUE)
  answers$candidate[[2]] <- NA
  expect_no_match(page_of(answers, 2), "candidate")
})

test_that("an answer that its document no longer holds is not shown", {
  answers <- answers_in("Dua hari", "Dua")
  rag_add(rag_open(attr(answers, "asked")$path), I(set_names("Tiga hari", answers$document[[1]])))
  expect_error(rag_show(answers), "Ask again", class = "tanya_error_invalid_argument")
})

test_that("the page is opened where somebody watches", {
  answers <- made_answers()
  attr(answers, "asked") <- list(path = "nowhere")
  opened <- NULL
  withr::local_options(viewer = \(path) opened <<- path, rlang_interactive = FALSE)
  expect_invisible(rag_show(answers, 2))
  expect_null(opened)
  withr::local_options(rlang_interactive = TRUE)
  expect_identical(rag_show(answers, 2), opened)
})

test_that("only answers, and a row of them, can be shown", {
  answers <- made_answers()
  expect_error(rag_show(answers), class = "tanya_error_invalid_argument")
  attr(answers, "asked") <- list(path = "nowhere")
  expect_error(rag_show(answers, 3), class = "tanya_error_invalid_argument")
  expect_error(rag_show(answers["question"]), "answer", class = "tanya_error_invalid_argument")
  expect_error(rag_show("a"), class = "tanya_error_invalid_argument")
})
