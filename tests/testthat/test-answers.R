test_that("answers print as a tibble that explains what is missing", {
  answers <- made_answers()
  expect_named(tbl_sum(answers), "Answers")
  printed <- format(answers, width = 80)
  expect_match(printed[[4]], "14 hari kerja")
  expect_match(paste(printed, collapse = "\n"), "1 question has no answer in these documents")
  expect_snapshot({
    answer_notes(answers)
    answer_notes(made_answers(abstains = FALSE))
    answer_notes(answers[1, ])
  })
})

test_that("answers stay answers through subsetting, with whatever columns are left", {
  answers <- made_answers()
  expect_s3_class(answers[2, ], "tanya_answers")
  expect_match(format(answers[2, ])[[1]], "Answers: 1")
  expect_no_error(format(answers[c("score", "document")]))
  expect_identical(answer_notes(answers["score"]), character())
  expect_no_error(format(answers[0, ]))
  skip_if_not_installed("dplyr")
  kept <- dplyr::mutate(dplyr::filter(answers, score > 0.5), sure = score > 0.9)
  expect_s3_class(kept, "tanya_answers")
  expect_identical(kept$sure, TRUE)
})

test_that("other places are tibbles of one shape", {
  places <- made_answers()$elsewhere
  expect_identical(lapply(places[[1]], typeof), lapply(places[[2]], typeof))
  expect_identical(vapply(places, nrow, 1L), c(1L, 0L))
})

test_that("in a report, answers are a plain table that shows every character", {
  skip_if_not_installed("knitr")
  answers <- made_answers()
  answers$answer[[1]] <- "a|b *c* <script>\n`d` $x$ {e}"
  expect_snapshot(cat(knitr::knit_print(answers)))
  skip_if_not(rmarkdown::pandoc_available())
  folder <- withr::local_tempdir()
  report <- file.path(folder, "report.Rmd")
  saveRDS(answers, file.path(folder, "answers.rds"))
  lines <- c("---", "title: x", "---", "```{r}", "library(tanya)", "readRDS('answers.rds')", "```")
  writeLines(lines, report)
  html <- rmarkdown::render(report, "html_fragment", output_dir = folder, quiet = TRUE)
  html <- paste(readLines(html), collapse = "\n")
  expect_match(html, "a|b *c* &lt;script&gt; `d` $x$ {e}", fixed = TRUE)
  expect_match(html, "<table>", fixed = TRUE)
})

test_that("in a report, what was made of answers shows all of its columns", {
  skip_if_not_installed("knitr")
  answers <- made_answers()
  header <- \(x) grep("question|document", strsplit(knitr::knit_print(x), "\n")[[1]], value = TRUE)[[1]]
  expect_match(header(answers[c("question", "candidate", "margin")]), "candidate.*margin")
  answers$wilayah <- "Jawa"
  expect_match(header(answers), "question.*page.*wilayah")
  expect_no_match(header(answers), "candidate|elsewhere")
})

test_that("the engine draws no progress bar in a report or a script", {
  expect_null(progress_callback())
  withr::local_options(knitr.in.progress = TRUE, rlang_interactive = TRUE, cli.dynamic = TRUE)
  expect_null(progress_callback())
})

test_that("a progress bar follows its stages, and never fails", {
  withr::local_options(rlang_interactive = TRUE, cli.dynamic = TRUE, cli.progress_show_after = 0)
  skip_if(isTRUE(getOption("knitr.in.progress")))
  work <- function() {
    progress <- progress_callback()
    for (i in 1:3) progress("convert", i, 3)
    progress("embed", 1, 0)
    progress("embed", "nonsense", NULL)
    "done"
  }
  expect_identical(suppressMessages(work()), "done")
})
