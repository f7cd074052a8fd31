# Runs the tests of the R package, snapshots included, and closes with a line that counts them.
Sys.setenv(NOT_CRAN = "true")
results <- as.data.frame(
  testthat::test_dir(
    "tests/testthat",
    package = "tanya",
    load_package = "installed",
    reporter = "check",
    stop_on_failure = FALSE
  )
)
failed <- sum(results$failed) + sum(results$error)
cat(sprintf("%d passed, %d failed, %d skipped\n", sum(results$passed), failed, sum(results$skipped)))
quit(status = as.integer(failed > 0 || sum(results$passed) == 0))
