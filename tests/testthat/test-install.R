# A program that notes its arguments, and fails when they match `fails`.
recording_python <- function(fails = "^$") {
  folder <- withr::local_tempdir(.local_envir = parent.frame())
  program <- file.path(folder, "python")
  log <- file.path(folder, "log")
  writeLines(
    c(
      "#!/bin/sh",
      sprintf("echo \"$*\" >> '%s'", log),
      sprintf("if echo \"$*\" | grep -q '%s'; then exit 1; fi", fails)
    ),
    program
  )
  Sys.chmod(program, "755")
  list(program = program, calls = \() readLines(log))
}

test_that("a Python that can't be used is told from one that can", {
  expect_null(describe_python("/nowhere/python"))
  usable <- list(supported = TRUE, venv = TRUE, shared = TRUE)
  expect_true(is_starter(usable))
  expect_false(is_starter(NULL))
  for (field in names(usable)) {
    expect_false(is_starter(replace(usable, field, FALSE)))
  }
})

test_that("no usable Python is an error with the way out", {
  error <- expect_error(find_starter("/nowhere/python"), class = "tanya_error_installation")
  expect_identical(error$details$candidates, "/nowhere/python")
  expect_match(conditionMessage(error), "install_python")
})

test_that("an environment of the user's own is left alone", {
  choice <- list(way = "VIRTUAL_ENV", python = "/home/a/venv/bin/python", running = FALSE)
  error <- expect_error(check_not_overruled(choice), class = "tanya_error_installation")
  expect_match(error$details$command, "pip install -r")
  expect_no_error(check_not_overruled(replace(choice, "way", "r-tanya")))
})

test_that("the tested PyTorch comes first, then the rest", {
  skip_on_os("windows")
  python <- recording_python()
  install_packages(python$program, torch = "cuda", upgrade = FALSE)
  calls <- grep("pip install", python$calls(), value = TRUE)
  expect_match(calls[[1]], "torch==")
  expect_no_match(calls[[1]], "extra-index-url")
  expect_match(calls[[2]], "-r .*requirements.txt")
})

test_that("where the tested PyTorch doesn't exist, a newer or older one will do", {
  skip_on_os("windows")
  python <- recording_python(fails = "torch==")
  suppressMessages(install_torch(python$program, "cuda", NULL, current_env()))
  expect_match(python$calls()[[2]], "torch>=")
})

test_that("a program that fails is named", {
  skip_on_os("windows")
  python <- recording_python(fails = "pip")
  error <- expect_error(run_pip(python$program, "x"), class = "tanya_error_installation")
  expect_match(error$details$command, "pip install .* x$")
  expect_identical(error$details$status, 1L)
})

test_that("a host that doesn't answer costs no more than the time allowed", {
  took <- system.time(expect_false(answers("http://127.0.0.1:9", seconds = 2)))
  expect_lt(took[["elapsed"]], 5)
  expect_false(wants_cpu_index("cuda"))
})
