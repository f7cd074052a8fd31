test_that("every code has its class, that of its family, and the common one", {
  expect_identical(
    condition_classes("index_locked"),
    c("tanya_error_index_locked", "tanya_error_index", "tanya_error")
  )
  expect_identical(condition_classes("model"), c("tanya_error_model", "tanya_error"))
  expect_identical(
    condition_classes("invalid_argument"),
    c("tanya_error_invalid_argument", "tanya_error")
  )
})

test_that("an error of the engine carries its fields", {
  error <- catch_cnd(abort_engine(list(
    code = "model_unavailable",
    message = "No source has the model 'a/b'.",
    hint = "Give a directory.",
    details = '{"tried": ["hub", "cache"]}',
    traceback = "Traceback (most recent call last): ..."
  )))
  expect_s3_class(
    error,
    c("tanya_error_model_unavailable", "tanya_error_model", "tanya_error", "rlang_error"),
    exact = FALSE
  )
  expect_identical(error$hint, "Give a directory.")
  expect_identical(error$details, list(tried = c("hub", "cache")))
  expect_match(error$traceback, "^Traceback")
  expect_match(conditionMessage(error), "No source has the model 'a/b'.", fixed = TRUE)
  expect_match(conditionMessage(error), "Give a directory.", fixed = TRUE)
})

test_that("text from outside is never read as markup", {
  for (nasty in c("{stop('read')}", "{.val x", "}}{{", "%s <b> {cli::symbol$tick}")) {
    error <- catch_cnd(abort_engine(list(code = "index_damaged", message = nasty, hint = nasty)))
    expect_s3_class(error, "tanya_error_index_damaged")
    expect_match(conditionMessage(error), nasty, fixed = TRUE)
  }
})
