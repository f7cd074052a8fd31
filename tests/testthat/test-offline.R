test_that("with the network forbidden and every socket blocked, answers stay the same", {
  index <- sample_index()
  folder <- system.file("extdata", "perusahaan", package = "tanya")
  with_network <- rag_ask(index, sample_questions)
  lines <- c(
    "rag_offline()",
    "tanya:::engine_bridge()",
    "reticulate::py_run_string(paste(c(",
    "  'import socket',",
    "  'def blocked(*args, **kwargs): raise RuntimeError(\"a socket was opened\")',",
    "  'socket.socket.connect = blocked',",
    "  'socket.create_connection = blocked',",
    "  'socket.getaddrinfo = blocked'",
    "), collapse = '\n'))",
    sprintf("index <- rag_index(%s, path = tempfile())", deparse(folder)),
    sprintf("answers <- rag_ask(index, %s)", paste(deparse(sample_questions), collapse = "")),
    sprintf("saveRDS(answers, %s)", deparse(result <- tempfile(fileext = ".rds")))
  )
  output <- run_r(lines)
  expect_true(file.exists(result), info = paste(output, collapse = "\n"))
  without <- readRDS(result)
  columns <- c("question", "answer", "document", "page", "start", "end")
  expect_equal(as.list(without)[columns], as.list(with_network)[columns])
  expect_equal(without$score, with_network$score, tolerance = 1e-4)
})

test_that("a model that isn't here is a classed error, and nothing is fetched", {
  skip_if_no_engine()
  before <- rag_offline()
  withr::defer(rag_offline(before))
  models <- rag_models(embedder = "nobody/no-such-model")
  error <- expect_error(
    rag_index(I("x"), path = tempfile(), models = models),
    class = "tanya_error_model_unavailable"
  )
  expect_s3_class(error, "tanya_error_model")
  expect_true(length(error$details$tried) > 0)
})

test_that("rag_offline() gives back what was asked before", {
  before <- rag_offline(TRUE)
  withr::defer(rag_offline(before))
  expect_true(rag_offline(FALSE))
  expect_false(rag_offline(TRUE))
  expect_error(rag_offline(NA), class = "tanya_error_invalid_argument")
})
