test_that("documents are added, replaced and removed", {
  index <- text_index(c(a = "Kantor pusat ada di Bandung."))
  expect_error(rag_remove(index, c("a", NA)), "`document`", class = "tanya_error_invalid_argument")
  added <- rag_add(index, I(c(a = "Kantor pusat ada di Garut.", b = "Gudang ada di Cirebon.")))
  expect_named(added, c("document", "change", "status", "message"))
  expect_identical(added$change, c("changed", "new"))
  expect_identical(rag_text(index, "a"), "Kantor pusat ada di Garut.")
  removed <- rag_remove(index, "a")
  expect_identical(removed$change, "removed")
  expect_identical(rag_documents(index)$document, "b")
  expect_error(rag_remove(index, "a"), class = "tanya_error_invalid_argument")
  expect_identical(nrow(rag_remove(index, character())), 0L)
})

test_that("a folder is followed, and only looked at", {
  skip_if_no_engine()
  folder <- withr::local_tempdir()
  write <- \(name, text) writeLines(text, file.path(folder, name))
  write("tetap.txt", "Kantor pusat ada di Bandung.")
  write("berubah.txt", "Gudang ada di Cirebon.")
  write("hilang.txt", "Pabrik ada di Garut.")
  index <- suppressMessages(rag_index(folder, path = tempfile()))
  write("berubah.txt", "Gudang ada di Tegal.")
  write("baru.txt", "Toko ada di Solo.")
  unlink(file.path(folder, "hilang.txt"))

  expected <- c(
    "baru.txt" = "new", "berubah.txt" = "changed", "hilang.txt" = "gone", "tetap.txt" = "unchanged"
  )
  changes <- \(result) set_names(result$change, result$document)[names(expected)]
  before <- rag_documents(index)
  expect_identical(changes(rag_sync(index, folder, dry_run = TRUE)), expected)
  expect_identical(rag_documents(index), before)
  files <- list.files(folder)
  expect_identical(changes(rag_sync(index, folder)), expected)
  expect_identical(list.files(folder), files)
  expect_setequal(rag_documents(index)$document, c("baru.txt", "berubah.txt", "tetap.txt"))
  expect_true(all(rag_sync(index, folder)$change == "unchanged"))
})

test_that("a rebuild answers as before", {
  index <- text_index(c(a = "Kantor pusat ada di Bandung."))
  rag_index(I(c(a = "Kantor pusat ada di Bandung.")), index$path, update = "rebuild")
  expect_identical(rag_documents(index)$document, "a")
  expect_identical(rag_retrieve(index, "kantor")$document, "a")
})
