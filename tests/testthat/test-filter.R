translate <- function(filter) jsonlite::parse_json(filter_for_engine(enquo(filter)))

test_that("a filter becomes a tree", {
  expect_null(filter_for_engine(quo(NULL)))
  expect_identical(translate(tahun >= 2024), list(">=", "tahun", 2024L))
  expect_identical(
    translate(tahun >= 2024 & (jenis == "SOP" | !aktif)),
    list(
      "and", list(">=", "tahun", 2024L),
      list("or", list("==", "jenis", "SOP"), list("not", list("==", "aktif", TRUE)))
    )
  )
  expect_identical(translate(is.na(jenis)), list("is_na", "jenis"))
  expect_identical(
    translate(startsWith(document, "notulen/")),
    list("starts_with", "document", "notulen/")
  )
  expect_identical(translate(grepl("045", nomor, fixed = TRUE)), list("contains", "nomor", "045"))
})

test_that("the column may stand on either side", {
  expect_identical(translate(2024 <= tahun), list(">=", "tahun", 2024L))
  expect_identical(translate(2024 > tahun), list("<", "tahun", 2024L))
  expect_identical(translate("SOP" == jenis), list("==", "jenis", "SOP"))
})

test_that("values come from the caller", {
  batas <- 2024
  expect_identical(translate(tahun >= batas + 1), list(">=", "tahun", 2025L))
  tahun <- 2020
  expect_identical(translate(tahun >= .env$tahun), list(">=", "tahun", 2020L))
  expect_identical(translate(tahun >= !!tahun), list(">=", "tahun", 2020L))
  expect_identical(translate(.data$tahun >= 1), list(">=", "tahun", 1L))
  expect_identical(translate(.data[["nama panjang"]] == "x"), list("==", "nama panjang", "x"))
  expect_identical(translate(`nama panjang` == "x"), list("==", "nama panjang", "x"))
  rule <- quo(tahun >= batas)
  expect_identical(translate(!!rule & aktif == TRUE)[[2]], list(">=", "tahun", 2024L))
})

test_that("one value stays a list after %in%", {
  expect_identical(translate(jenis %in% "SOP"), list("in", "jenis", list("SOP")))
  expect_identical(translate(jenis %in% character()), list("in", "jenis", list()))
})

test_that("dates and factors are compared as they are kept", {
  expect_identical(
    translate(tanggal < as.Date("2024-07-01")),
    list("<", "tanggal", "2024-07-01")
  )
  expect_identical(translate(jenis == factor("SOP")), list("==", "jenis", "SOP"))
})

test_that("strings can't break out of the tree", {
  nasty <- "x'); DROP TABLE documents; --\"\\ {stop()}"
  expect_identical(translate(jenis == nasty), list("==", "jenis", nasty))
})

test_that("what can't be translated is an error that names it", {
  expect_error(translate(log(tahun) > 1), "log", class = "tanya_error_invalid_argument")
  expect_error(translate(tahun + 1 > 2), class = "tanya_error_invalid_argument")
  expect_error(translate(tahun > c(1, 2)), "%in%", class = "tanya_error_invalid_argument")
  expect_error(translate(tahun == NA), "is.na", class = "tanya_error_invalid_argument")
  expect_error(translate(TRUE), class = "tanya_error_invalid_argument")
  expect_error(translate(tahun == list(1)), class = "tanya_error_invalid_argument")
  expect_error(translate(grepl("a", x)), class = "tanya_error_invalid_argument")
})

test_that("numbers keep all their digits", {
  kept <- function(x) jsonlite::parse_json(filter_for_engine(quo(nilai == !!x)))[[3]]
  for (x in c(1 / 3, 0.1, 2^53 - 1, -1e-300, 5)) expect_identical(as.double(kept(x)), x)
  skip_if_no_engine()
  data <- data.frame(
    isi = c("Gudang di Garut.", "Gudang di Tegal."),
    nik = c(3174012345678903, 1 / 3)
  )
  index <- suppressMessages(rag_index(data, text = isi))
  found <- function(...) nrow(rag_retrieve(index, "gudang", ...))
  expect_identical(found(filter = nik == 3174012345678903), 1L)
  expect_identical(found(filter = nik == 1 / 3), 1L)
  expect_identical(found(filter = nik %in% c(1 / 3, 3174012345678903)), 2L)
  expect_identical(found(filter = nik < Inf), 2L)
  expect_identical(found(filter = is.na(title)), 2L)
})
