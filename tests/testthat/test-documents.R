test_that("every sample document is listed, with what is known of it", {
  documents <- rag_documents(sample_index())
  expect_identical(anyDuplicated(documents$document), 0L)
  expect_true(all(documents$status == "indexed"))
  pdf <- documents$type == "pdf"
  expect_true(all(documents$pages[pdf] >= 1))
  expect_true(all(nchar(documents$hash) == 64))
})

test_that("passages and texts are those of the documents asked for", {
  index <- text_index(c(a = "Kantor pusat ada di Bandung.", b = "Gudang ada di Cirebon."))
  expect_identical(unique(rag_passages(index, "b")$document), "b")
  expect_setequal(rag_passages(index)$document, c("a", "b"))
  warehouse <- "Gudang ada di Cirebon."
  expect_identical(rag_text(index, c("b", NA, "b")), c(warehouse, NA, warehouse))
  expect_identical(rag_text(index, character()), character())
  expect_error(rag_text(index, "c"), class = "tanya_error")
  expect_error(rag_passages(index, "c"), class = "tanya_error_invalid_argument")
})
