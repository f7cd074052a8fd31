test_that("an index is a path, and survives being saved", {
  index <- sample_index()
  expect_s3_class(index, "tanya_index")
  expect_identical(names(index), "path")
  saved <- tempfile(fileext = ".rds")
  saveRDS(index, saved)
  expect_identical(readRDS(saved), index)
  expect_identical(rag_open(index$path), index)
})

test_that("an index tells what it holds", {
  index <- sample_index()
  expect_output(print(index), "<tanya_index>")
  lines <- format(index)
  expect_match(lines[[2]], "^[0-9]+ documents, [0-9,]+ passages")
  about <- summary(index)
  expect_identical(nrow(about), 1L)
  expect_true(about$documents >= 14)
})

test_that("an index that is gone can still be printed", {
  skip_if_no_engine()
  index <- structure(list(path = tempfile(fileext = ".tanya")), class = "tanya_index")
  expect_match(format(index)[[2]], "^! ")
})

test_that("indexing the same again changes nothing", {
  skip_if_no_engine()
  path <- tempfile(fileext = ".tanya")
  texts <- I(c(a = "Kantor pusat ada di Bandung.", b = "Gudang ada di Cirebon."))
  index <- rag_index(texts, path = path)
  before <- rag_documents(index)
  expect_silent(rag_index(texts, path = path))
  expect_identical(rag_documents(index), before)
})

test_that("without a path the index is temporary, and says so", {
  skip_if_no_engine()
  expect_message(index <- rag_index(I("Kantor pusat ada di Bandung.")), "ends with this session")
  expect_true(startsWith(index$path, normalizePath(tempdir(), winslash = "/")))
})

test_that("a path that doesn't exist is an error, never a text", {
  skip_if_no_engine()
  path <- tempfile(fileext = ".tanya")
  expect_error(
    rag_index("Kantor pusat ada di Bandung.", path = path),
    class = "tanya_error_file_not_found"
  )
  expect_false(file.exists(path))
})

test_that("a document without text is reported, and stops nothing", {
  skip_if_no_engine()
  data <- data.frame(no = 1:3, komentar = c("Rasanya enak.", NA, "Terlalu asin."))
  expect_message(
    index <- rag_index(data, path = tempfile(), text = komentar, id = no),
    "1 document could not be read"
  )
  documents <- rag_documents(index)
  expect_setequal(documents$document, c("1", "2", "3"))
  expect_identical(documents$status[documents$document == "2"], "empty")
})

test_that("nothing to index gives an empty index that can be asked", {
  index <- text_index(character())
  expect_identical(nrow(rag_documents(index)), 0L)
  answers <- rag_ask(index, "Di mana kantor pusat?")
  expect_identical(answers$answer, NA_character_)
})

test_that("metadata keep their types", {
  skip_if_no_engine()
  data <- tibble::tibble(
    no = c("a", "b"), isi = c("Rasanya enak.", "Terlalu asin."),
    tahun = c(2023L, NA), bobot = c(0.5, 1), lunas = c(TRUE, FALSE),
    jenis = factor(c("mi", NA)), tanggal = as.Date(c("2023-05-01", "2024-05-01"))
  )
  index <- suppressMessages(rag_index(data, path = tempfile(), text = isi, id = no))
  documents <- rag_documents(index)
  metadata <- set_names(documents$metadata, documents$document)
  expect_identical(
    metadata$a[c("tahun", "bobot", "lunas", "jenis", "tanggal")],
    list(tahun = 2023L, bobot = 0.5, lunas = TRUE, jenis = "mi", tanggal = "2023-05-01")
  )
  expect_null(metadata$b$tahun)
})

test_that("texts in any encoding arrive as they are", {
  latin1 <- "Le caf\xe9 est \xe0 Bandung."
  Encoding(latin1) <- "latin1"
  index <- text_index(c("d\u00e9p\u00f4t" = latin1))
  expect_identical(rag_text(index, "d\u00e9p\u00f4t"), "Le caf\u00e9 est \u00e0 Bandung.")
})

test_that("arguments are checked before anything is made", {
  path <- tempfile()
  expect_error(rag_index(I("x"), path, upate = "add"), class = "tanya_error_invalid_argument")
  expect_error(rag_index(I("x"), c("a", "b")), class = "tanya_error_invalid_argument")
  expect_error(
    check_passages(c(tokens = 100, overlaps = 3)),
    class = "tanya_error_invalid_argument"
  )
  expect_identical(check_passages(c(tokens = 100, overlap = 0)), list(tokens = 100L, overlap = 0L))
  expect_null(check_passages(NULL))
  expect_false(file.exists(path))
})

test_that("an index keeps its precision", {
  expect_error(rag_index(I("a"), precision = "int8"), class = "tanya_error_invalid_argument")
  index <- text_index("Kantor buka pukul delapan.", precision = "float32")
  expect_identical(summary(index)$precision, "float32")
  expect_match(format(index), "in float32", all = FALSE)
  expect_identical(rag_retrieve(index, "Pukul berapa kantor buka?")$rank, 1L)
  more <- \(...) suppressMessages(rag_index(I("Kantor tutup pukul lima."), index$path, ...))
  expect_identical(summary(more())$precision, "float32")
  expect_error(more(precision = "bfloat16"), class = "tanya_error_model_mismatch")
  expect_identical(summary(more(precision = "bfloat16", update = "rebuild"))$precision, "bfloat16")
})
