test_that("copies take one place and are listed", {
  rule <- "Karyawan tetap berhak atas cuti tahunan dua belas hari kerja setiap tahun."
  texts <- c(asli = rule, salinan = gsub(" ", "\n", rule), lain = "Uang makan Rp200.000 per hari.")
  index <- text_index(texts)
  found <- rag_retrieve(index, "Berapa hari cuti tahunan?", k = 2)
  expect_identical(nrow(found), 2L)
  expect_identical(found$document[[2]], "lain")
  places <- found$elsewhere[[1]]
  expect_identical(sort(c(found$document[[1]], places$document)), c("asli", "salinan"))
  copied <- substr(rag_text(index, places$document), places$start, places$end)
  expect_identical(copied, texts[[places$document]])
  expect_identical(nrow(found$elsewhere[[2]]), 0L)
})

test_that("rag_similar() finds passages like a text, but not the text", {
  index <- text_index(c(
    asin = "Bumbu mi gorengnya terlalu asin.",
    kurir = "Kurir datang terlambat dua hari.",
    keasinan = "Mi gorengnya keasinan sekali."
  ))
  found <- rag_similar(index, c("Bumbu mi gorengnya terlalu asin.", "Kurirnya terlambat sekali."), k = 1)
  expect_identical(found$document, c("keasinan", "kurir"))
  expect_named(found)
  expect_identical(found$text[[2]], "Kurirnya terlambat sekali.")
  expect_equal(found$cosine, found$retrieval_score)
  narrowed <- rag_similar(index, "telat", filter = document == "asin")
  expect_identical(narrowed$document, "asin")
  expect_identical(nrow(rag_similar(index, character())), 0L)
  expect_error(rag_similar(index, NA_character_), class = "tanya_error_invalid_argument")
})

test_that("a reranker that is not there is a classed error", {
  index <- text_index(c(a = "Cuti dua belas hari."))
  before <- rag_offline()
  on.exit(rag_offline(before))
  expect_error(
    rag_retrieve(index, "cuti", rerank = "nobody/has-this"),
    class = "tanya_error_model_unavailable"
  )
  expect_error(rag_ask(index, "cuti", rerank = "./nowhere"), class = "tanya_error_invalid_argument")
  expect_error(rag_ask(index, "cuti", rerank = 1), class = "tanya_error_invalid_argument")
})
