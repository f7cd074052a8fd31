test_that("the presets are listed, a row for each model", {
  skip_if_no_engine()
  models <- rag_models()
  expect_true(all(c("compact", "indonesian", "english") %in% models$preset))
  expect_identical(rag_models("compact"), models[models$preset == "compact", ])
  expect_error(rag_models("besar"), class = "tanya_error_invalid_argument")
})

test_that("any model can take the place of one", {
  skip_if_no_engine()
  models <- rag_models("indonesian", reader = "seseorang/pembaca")
  expect_identical(models$role, c("embedder", "reader"))
  expect_identical(models$model, c("naufalihsan/indonesian-sbert-large", "seseorang/pembaca"))
  expect_identical(models$preset, c("custom", "custom"))
  expect_identical(
    models_for_engine(models),
    list(embedder = "naufalihsan/indonesian-sbert-large", reader = "seseorang/pembaca")
  )
})

test_that("models for an index are a pair", {
  pair <- data.frame(role = c("reader", "embedder"), model = c("r", "e"))
  expect_mapequal(models_for_engine(pair), list(embedder = "e", reader = "r"))
  expect_error(models_for_engine(pair[1, ]), class = "tanya_error_invalid_argument")
  expect_error(models_for_engine(pair[c(1, 1), ]), class = "tanya_error_invalid_argument")
  expect_error(models_for_engine(1), class = "tanya_error_invalid_argument")
})
