test_that("texts become rows of length 1", {
  skip_if_no_engine()
  texts <- c(asin = "mi terlalu asin", bumbu = "bumbunya keasinan", kurir = "kurir datang terlambat")
  embeddings <- rag_embed(texts)
  expect_identical(rownames(embeddings), names(texts))
  expect_type(embeddings, "double")
  expect_equal(unname(rowSums(embeddings^2)), c(1, 1, 1), tolerance = 1e-5)
  cosines <- embeddings %*% t(embeddings)
  expect_gt(cosines["asin", "bumbu"], cosines["asin", "kurir"])
})

test_that("missing texts, one text and none keep the shape", {
  skip_if_no_engine()
  embeddings <- rag_embed(factor(c("a", NA)))
  expect_true(all(is.na(embeddings[2, ])))
  expect_false(anyNA(embeddings[1, ]))
  expect_identical(nrow(rag_embed("a")), 1L)
  expect_identical(dim(rag_embed(character())), c(0L, ncol(embeddings)))
  expect_equal(rag_embed("a")[1, ], embeddings[1, ], tolerance = 1e-5)
})

test_that("bfloat16 gives nearly the same embeddings", {
  expect_error(rag_embed("a", precision = "int8"), class = "tanya_error_invalid_argument")
  skip_if_no_engine()
  texts <- c("mi terlalu asin", "kurir datang terlambat")
  cosines <- rowSums(rag_embed(texts) * rag_embed(texts, precision = "float32"))
  expect_true(all(cosines > 0.9999))
})

test_that("roles and models are checked", {
  expect_error(rag_embed("a", role = "query"), class = "tanya_error_invalid_argument")
  expect_error(rag_embed(1), class = "tanya_error_invalid_argument")
  skip_if_no_engine()
  same <- rag_embed("a", model = rag_models("compact"))
  expect_identical(same, rag_embed("a"))
  expect_false(isTRUE(all.equal(same, rag_embed("a", role = "question"))))
})
