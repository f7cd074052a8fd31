test_that("the report names what is there", {
  skip_if_no_engine()
  output <- capture.output(about <- rag_sitrep())
  expect_identical(about$python$problem, NA_character_)
  expect_true(all(about$packages$ok))
  expect_match(output, "torch", all = FALSE)
  expect_match(output, "compact", all = FALSE)
})

test_that("the report does not fail without Python, and says what is wrong", {
  output <- run_r(
    c("about <- rag_sitrep()", "cat(names(about))"),
    env = "RETICULATE_PYTHON=/nowhere/python"
  )
  expect_match(output, "does not exist", all = FALSE)
  expect_identical(tail(output, 1), "versions python packages models offline")
})

test_that("the report marks what is missing", {
  about <- list(
    versions = c(tanya = "0.1.0", R = "4.2.2", reticulate = "1.28"),
    python = list(
      way = "r-tanya", path = "/home/a/.virtualenvs/r-tanya/bin/python", version = "3.11.2",
      problem = "Python is not ready for tanya."
    ),
    packages = data.frame(
      package = c("numpy", "torch"), needed = c("1.26", "2.2"), installed = c("1.20", NA),
      ok = c(FALSE, FALSE)
    ),
    models = data.frame(
      preset = "compact", role = "embedder", model = "intfloat/multilingual-e5-small",
      status = "to download"
    ),
    offline = TRUE
  )
  withr::local_options(cli.unicode = FALSE, cli.width = 60)
  expect_snapshot(writeLines(sitrep_lines(about)))
})
