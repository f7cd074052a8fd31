test_that("a table becomes a tibble with the columns' own types", {
  table <- list(
    kind = "table", names = c("a", "b", "c", "d", "e"), rows = 3L,
    columns = list(
      a = list(type = "chr", values = c("x", "", "z"), missing = 2L),
      b = list(type = "int", values = c(1L, 2L, 0L), missing = 3L),
      c = list(type = "dbl", values = c(0, 0.5, 1), missing = c(1L, 3L)),
      d = list(type = "lgl", values = c(TRUE, FALSE, TRUE), missing = list()),
      e = list(type = "json", values = c('{"a":1}', "null", "[]"), missing = 2L)
    )
  )
  expect_identical(
    from_engine(table),
    tibble::tibble(
      a = c("x", NA, "z"), b = c(1L, 2L, NA), c = c(NA, 0.5, NA), d = c(TRUE, FALSE, TRUE),
      e = list(list(a = 1L), NULL, list())
    )
  )
})

test_that("a table of one column or no rows keeps its shape", {
  column <- \(type) list(type = type, values = list(), missing = list())
  empty <- list(
    kind = "table", names = c("a", "b"), rows = 0L,
    columns = list(a = column("chr"), b = column("json"))
  )
  expect_identical(from_engine(empty), tibble::tibble(a = character(), b = list()))
  single <- list(
    kind = "table", names = "a", rows = 1L,
    columns = list(a = list(type = "chr", values = "", missing = 1L))
  )
  expect_identical(from_engine(single), tibble::tibble(a = NA_character_))
})

test_that("a matrix arrives row by row", {
  doubles <- writeBin(c(1, 2, 3, 4, 5, 6), raw(), size = 8L, endian = "little")
  value <- list(kind = "matrix", rows = 2L, columns = 3L, doubles = doubles)
  expect_identical(from_engine(value), rbind(c(1, 2, 3), c(4, 5, 6)))
})

test_that("vectors leave as lists, whatever their length, without missing values", {
  expect_null(to_engine(NULL))
  expect_identical(to_engine("a"), list("a"))
  expect_identical(to_engine(character()), list())
  expect_identical(to_engine(c(a = 1, b = NA)), list(1, NULL))
})

test_that("loading the package neither loads reticulate nor touches Python", {
  output <- run_r(
    c(
      'cat("reticulate" %in% loadedNamespaces(), Sys.getenv("RETICULATE_PYTHON"))',
      'cat("", reticulate::py_available(initialize = FALSE))'
    ),
    env = "RETICULATE_PYTHON=/nowhere/python"
  )
  expect_identical(output, "FALSE /nowhere/python FALSE")
})

test_that("RETICULATE_PYTHON pointing nowhere fails the first call, with the way out", {
  output <- run_r(
    c(
      'index <- structure(list(path = tempdir()), class = "tanya_index")',
      'error <- tryCatch(rag_ask(index, "Apa?"), error = identity)',
      "cat(class(error)[1:2], error$reason, rag_available(), sep = '\n')",
      "cat(conditionMessage(error))"
    ),
    env = "RETICULATE_PYTHON=/nowhere/python"
  )
  expect_identical(
    output[1:4],
    c("tanya_error_python_unavailable", "tanya_error", "not_found", "FALSE")
  )
  expect_match(paste(output, collapse = " "), "/nowhere/python.*rag_install")
})

test_that("a Python that does not start is the same error", {
  skip_on_os("windows")
  output <- run_r(
    c(
      "error <- tryCatch(rag_open('x'), error = identity)",
      "cat(class(error)[[1]], error$reason)"
    ),
    # From 1.41 on, reticulate would take the environment that the session of the tests is in.
    env = c("RETICULATE_PYTHON=/bin/false", "VIRTUAL_ENV=")
  )
  expect_identical(tail(output, 1), "tanya_error_python_unavailable broken")
})

test_that("a Python that lacks packages is named, and so are they", {
  report <- list(
    python = "/opt/python", version = "3.12.1", supported = TRUE,
    packages = data.frame(package = c("numpy", "torch"), ok = c(TRUE, FALSE))
  )
  error <- expect_error(check_environment(report), class = "tanya_error_python_unavailable")
  expect_identical(error$reason, "packages")
  expect_identical(error$details, list(python = "/opt/python", packages = "torch"))
  report$supported <- FALSE
  error <- expect_error(check_environment(report), class = "tanya_error_python_unavailable")
  expect_identical(error$reason, "too_old")
})

test_that("VIRTUAL_ENV counts only if it is one", {
  output <- run_r(
    "cat(tanya:::choose_python()$way == 'VIRTUAL_ENV')",
    env = c("RETICULATE_PYTHON=", paste0("VIRTUAL_ENV=", tempdir()))
  )
  expect_identical(output, "FALSE")
})

test_that("errors of Python arrive with class and traceback", {
  skip_if_no_engine()
  missing <- tempfile(fileext = ".tanya")
  error <- expect_error(rag_open(missing), class = "tanya_error_index_not_found")
  expect_s3_class(error, "tanya_error_index")
  expect_match(error$traceback, "Traceback")
  expect_error(engine_call("no_such_function"), class = "tanya_error_internal")
  expect_error(engine_call("describe", list(no = 1)), class = "tanya_error_internal")
})

test_that("torch multiplies with its own BLAS, not with R's", {
  skip_on_os(c("windows", "mac"))
  skip_if_no_engine()
  reticulate::py_run_string(paste(
    "import time, torch, numpy",
    "def fastest(x):",
    "    times = []",
    "    for _ in range(5):",
    "        start = time.perf_counter(); x @ x; times.append(time.perf_counter() - start)",
    "    return min(times)",
    "torch_to_numpy = fastest(torch.ones(800, 800)) / fastest(numpy.ones((800, 800), 'f4'))",
    sep = "\n"
  ))
  expect_lt(reticulate::py$torch_to_numpy, 5)
})

test_that("Ctrl-C interrupts a long call, and the session goes on", {
  skip_on_os("windows")
  skip_if_no_engine()
  output <- run_r(c(
    "bridge <- tanya:::engine_bridge()",
    "reticulate::py_run_string(paste(c(",
    "  'import time, tanya.bridge as bridge',",
    "  'def sleep():',",
    "  '    end = time.time() + 30',",
    "  '    while time.time() < end: time.sleep(0.01)',",
    "  'bridge._FUNCTIONS[\"sleep\"] = sleep'",
    "), collapse = '\n'))",
    "system(paste('(sleep 2; kill -INT', Sys.getpid(), ') &'))",
    "took <- system.time(",
    "  result <- tryCatch(tanya:::engine_call('sleep'), interrupt = \\(cnd) 'interrupted')",
    ")",
    "cat(result, took[['elapsed']] < 15, is.data.frame(rag_models()))"
  ))
  expect_identical(tail(output, 1), "interrupted TRUE TRUE")
})
