test_that("text may be a factor, and comes back as plain UTF-8", {
  latin1 <- "caf\xe9"
  Encoding(latin1) <- "latin1"
  checked <- check_text(c(a = latin1))
  expect_identical(checked, "caf\u00e9")
  expect_identical(Encoding(checked), "UTF-8")
  expect_identical(check_text(factor(c("b", NA, "a"))), c("b", NA, "a"))
  expect_identical(check_text(character()), character())
})

test_that("missing and blank values are named by their positions", {
  error <- expect_error(
    check_complete_text(c("a", NA, " "), arg = "question"),
    class = "tanya_error_invalid_argument"
  )
  expect_identical(error$details$positions, 2:3)
  expect_match(conditionMessage(error), "2 and 3")
})

test_that("numbers are checked for what they stand for", {
  expect_identical(check_count(3), 3L)
  for (bad in list(0, 1.5, NA, "1", c(1, 2), Inf, 1e12)) {
    expect_error(check_count(bad), class = "tanya_error_invalid_argument")
  }
  expect_identical(check_probability(1L), 1)
  for (bad in list(-0.1, 1.1, NA_real_, "0.5", numeric())) {
    expect_error(check_probability(bad), class = "tanya_error_invalid_argument")
  }
})

test_that("a choice left at its default is the first", {
  expect_identical(check_choice(c("a", "b"), c("a", "b")), "a")
  expect_identical(check_choice("b", c("a", "b")), "b")
  expect_snapshot(error = TRUE, {
    method <- "bm26"
    check_choice(method, c("hybrid", "cosine", "keyword"))
  })
})

test_that("arguments that a function doesn't have are an error", {
  f <- function(...) check_dots(...)
  expect_null(f())
  expect_error(f(treshold = 1), "treshold", class = "tanya_error_invalid_argument")
  expect_error(f(1), class = "tanya_error_invalid_argument")
})

test_that("only an index is an index", {
  expect_snapshot(error = TRUE, {
    index <- list("perusahaan.tanya")
    check_index(index)
  })
})
