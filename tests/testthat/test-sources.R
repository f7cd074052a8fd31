sources <- function(x, text = NULL, id = NULL) as_sources(x, enquo(text), enquo(id))

test_that("paths are sent as they are, and are never texts", {
  expect_identical(
    sources(c("a.txt", "folder")),
    list(kind = "paths", paths = list("a.txt", "folder"))
  )
  expect_error(sources(1), class = "tanya_error_invalid_argument")
  expect_error(sources(c("a", NA)), class = "tanya_error_invalid_argument")
  expect_error(sources("a.txt", id = no), class = "tanya_error_invalid_argument")
})

test_that("I() marks texts, and their names become ids", {
  expect_identical(
    sources(I(c(a = "Satu", b = NA))),
    list(kind = "texts", texts = list("Satu", ""), ids = list("a", "b"), metadata = NULL)
  )
  expect_null(sources(I("Satu"))$ids)
  expect_identical(sources(I(character()))$texts, list())
  expect_error(sources(I(c(a = "x", a = "y"))), class = "tanya_error_invalid_argument")
})

test_that("a data frame gives texts, ids and metadata by tidy evaluation", {
  data <- data.frame(no = c(1, 100000), judul = c("A", "B"), isi = c("x", "y"), tahun = 2023:2024)
  made <- sources(data, text = isi, id = no)
  expect_identical(made$texts, list("x", "y"))
  expect_identical(made$ids, list("1", "100000"))
  expect_identical(names(made$metadata), c("judul", "tahun"))
  expect_identical(sources(data, text = "isi")$texts, list("x", "y"))
  joined <- sources(data, text = paste(judul, isi))
  expect_identical(joined$texts, list("A x", "B y"))
  expect_named(joined$metadata, names(data))
  expect_null(sources(data["isi"], text = isi)$metadata)
})

test_that("columns that don't fit are named", {
  data <- data.frame(no = c(1, 1), isi = c("x", "y"))
  expect_error(sources(data), "isi", class = "tanya_error_invalid_argument")
  expect_error(sources(data, text = komentar), "komentar", class = "tanya_error_invalid_argument")
  expect_error(sources(data, text = isi, id = no), "unique", class = "tanya_error_invalid_argument")
  expect_error(sources(data, text = no), class = "tanya_error_invalid_argument")
  expect_error(
    sources(data, text = paste("a")),
    "one value per row",
    class = "tanya_error_invalid_argument"
  )
  twins <- set_names(data, c("isi", "isi"))
  expect_error(sources(twins, text = isi), "several", class = "tanya_error_invalid_argument")
  data$lain <- list(1, 2)
  expect_error(sources(data, text = isi), "lain", class = "tanya_error_invalid_argument")
})

test_that("metadata keep their type, or become strings that sort", {
  expect_identical(as_metadata(factor(c("b", "a")), "x"), c("b", "a"))
  expect_identical(as_metadata(as.Date(c("2024-02-01", NA)), "x"), c("2024-02-01", NA))
  time <- as.POSIXct("2024-02-01 07:30:00", tz = "Asia/Jakarta")
  expect_identical(as_metadata(time, "x"), "2024-02-01T00:30:00Z")
  expect_identical(as_metadata(as.POSIXlt(time), "x"), "2024-02-01T00:30:00Z")
  expect_identical(as_metadata(c(a = 1L), "x"), 1L)
  expect_identical(as_metadata(TRUE, "x"), TRUE)
  expect_identical(as_metadata(structure(1, class = c("haven_labelled", "double")), "x"), 1)
  expect_error(as_metadata(1i, "x"), class = "tanya_error_invalid_argument")
  expect_error(
    as_metadata(as.difftime(1, units = "days"), "x"),
    class = "tanya_error_invalid_argument"
  )
})

test_that("missing metadata stand beside the values", {
  expect_identical(metadata_for_engine(c(1, NA)), list(values = list(1, NULL), missing = list(2L)))
})
