# The engine is needed here, the models are not.
skip_if_no_python <- function() {
  error <- catch_cnd(engine_bridge(), "tanya_error")
  skip_if_not(is.null(error), "Python or its packages are not here")
}

file_with <- function(name, lines, folder = parent.frame()$folder) {
  path <- file.path(folder, name)
  writeLines(enc2utf8(lines), path, useBytes = TRUE)
  path
}

test_that("files are read in their order, without an index", {
  skip_if_no_python()
  folder <- withr::local_tempdir()
  lines <- c("# Cuti \u00e9", "", "Dua belas hari.", "", "## Sakit", "", "Surat dokter.")
  cuti <- file_with("cuti.md", lines)
  kosong <- file_with("kosong.txt", character())
  documents <- rag_read(c(kosong, cuti))
  expect_named(documents, c(
    "document", "path", "type", "title", "pages", "characters", "status", "message", "text",
    "places"
  ))
  expect_identical(documents$document, c("kosong.txt", "cuti.md"))
  expect_identical(documents$status, c("empty", "ok"))
  expect_identical(is.na(documents$text), c(TRUE, FALSE))
  expect_identical(documents$characters, c(NA, nchar(documents$text[[2]])))
  expect_match(documents$message[[1]], "empty")

  expect_identical(lapply(documents$places[[1]], typeof), lapply(documents$places[[2]], typeof))
  expect_identical(nrow(documents$places[[1]]), 0L)
  headings <- documents$places[[2]]
  expect_identical(headings$label, c("Cuti \u00e9", "Sakit"))
  expect_identical(headings$level, 1:2)
  sections <- substring(documents$text[[2]], headings$start, headings$end)
  expect_match(sections, "Surat dokter")
  expect_match(sections[[2]], "^#* *Sakit")
  expect_identical(nrow(rag_read(character())), 0L)
})

test_that("a path that isn't there, and a wish that makes no sense, are errors", {
  expect_error(rag_read(1), class = "tanya_error_invalid_argument")
  expect_error(rag_read("a", TRUE), class = "tanya_error_invalid_argument")
  expect_error(rag_read("a", ocr = NA), class = "tanya_error_invalid_argument")
  expect_error(rag_read("a", ocr = c("ind", "eng")), class = "tanya_error_invalid_argument")
  expect_error(rag_read("a", ocr = "ind, eng"), class = "tanya_error_invalid_argument")
  expect_identical(ocr_for_engine(TRUE), "ind+eng")
  expect_null(ocr_for_engine(FALSE))
  skip_if_no_python()
  expect_error(rag_read(tempfile()), class = "tanya_error_file_not_found")
  folder <- withr::local_tempdir()
  file <- file_with("a.txt", "isi")
  expect_error(rag_read(file, ocr = "tidak_ada"), class = "tanya_error_missing_dependency")
})

test_that("a function of the user's reads its suffix until it is taken away", {
  skip_if_no_python()
  folder <- withr::local_tempdir()
  withr::defer(rag_register_format(".catatan", NULL))
  file <- file_with("rapat.CATATAN", c("# Rapat \u00e9", "Gudang ditutup."))
  read <- \(path) sub("^# ", "", readLines(path, encoding = "UTF-8"))
  expect_null(rag_register_format(".Catatan", read))
  document <- rag_read(file)
  expect_identical(document$text, "Rapat \u00e9\nGudang ditutup.")
  expect_identical(document$type, "catatan")
  expect_identical(rag_register_format(".catatan", NULL), read)
  expect_match(rag_read(file)$text, "^# Rapat")
})

test_that("a function that fails costs its own files only", {
  skip_if_no_python()
  folder <- withr::local_tempdir()
  withr::defer(rag_register_format(".catatan", NULL))
  file_with("a.catatan", "a")
  file_with("b.txt", "b")
  wrong <- list(
    \(path) stop("tinta {habis}"), \(path) NULL, \(path) NA_character_, \() "x", \(path) " "
  )
  for (read in wrong) {
    rag_register_format(".catatan", read)
    documents <- rag_read(folder)
    expect_identical(documents$document, c("a.catatan", "b.txt"))
    expect_true(documents$status[[1]] %in% c("failed", "empty"))
    expect_false(is.na(documents$message[[1]]))
    expect_identical(documents$status[[2]], "ok")
  }
  rag_register_format(".catatan", \(path) stop("tinta {habis}"))
  failed <- rag_read(folder)[1, ]
  expect_identical(failed$status, "failed")
  expect_match(failed$message, "tinta {habis}", fixed = TRUE)
})

test_that("only a suffix and a function will do", {
  for (suffix in c("xyz", ".", ".tar.gz", ". x", "*.x")) {
    expect_error(rag_register_format(suffix, identity), class = "tanya_error_invalid_argument")
  }
  expect_error(rag_register_format(".xyz", "readLines"), class = "tanya_error_invalid_argument")
})

test_that("formats registered before Python starts are known when it has", {
  skip_if_no_python()
  output <- run_r(c(
    'rag_register_format(".catatan", \\(path) toupper(readLines(path)))',
    "stopifnot(!reticulate::py_available(initialize = FALSE))",
    'file <- tempfile(fileext = ".catatan")',
    'writeLines("gudang", file)',
    "cat(rag_read(file)$text)"
  ))
  expect_identical(output[[length(output)]], "GUDANG")
})

test_that("an index takes formats and OCR too, and tries again what it could not read", {
  skip_if_no_engine()
  folder <- withr::local_tempdir()
  withr::defer(rag_register_format(".png", NULL))
  signature <- as.raw(c(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0))
  writeBin(signature, file.path(folder, "a.png"))
  index <- suppressMessages(rag_index(folder, tempfile(fileext = ".tanya")))
  expect_false(rag_documents(index)$status == "indexed")
  rag_register_format(".png", \(path) "Gudang ada di Cirebon.")
  expect_identical(rag_sync(index, folder, dry_run = TRUE)$change, "changed")
  expect_identical(rag_sync(index, folder)$change, "changed")
  expect_identical(rag_text(index, "a.png"), "Gudang ada di Cirebon.")
  expect_identical(rag_add(index, folder)$change, "unchanged")
  expect_error(rag_add(index, folder, ocr = NA), class = "tanya_error_invalid_argument")
  expect_error(
    rag_add(index, I("Toko ada di Solo."), ocr = "tidak_ada"),
    class = "tanya_error_missing_dependency"
  )
})

test_that("a scanned page is read with OCR, and asked for without", {
  skip_if_no_engine()
  skip_if(!nzchar(Sys.which("tesseract")), "tesseract is not here")
  skip_if_not(capabilities("png"))
  folder <- withr::local_tempdir()
  file <- file.path(folder, "pindai.png")
  grDevices::png(file, 900, 200)
  graphics::par(mar = c(0, 0, 0, 0))
  graphics::plot.new()
  graphics::text(0.5, 0.5, "Cuti tahunan dua belas hari", cex = 4)
  grDevices::dev.off()
  expect_true(is.na(rag_read(file)$text))
  expect_match(rag_read(file, ocr = TRUE)$text, "Cuti tahunan dua belas hari")

  index <- suppressMessages(rag_index(folder, tempfile(fileext = ".tanya")))
  expect_identical(rag_add(index, folder)$change, "unchanged")
  expect_identical(rag_add(index, folder, ocr = TRUE)$change, "changed")
  expect_identical(rag_add(index, folder)$change, "unchanged")
  expect_match(rag_text(index, "pindai.png"), "Cuti tahunan dua belas hari")
})
